terraform {
  # 1.9: a variable's validation may look at other variables.
  required_version = ">= 1.9, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25"
    }

    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }
}
