terraform {
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

  # The state knows the ledger's password: before this serves anybody, keep it in a bucket of your
  # own that is encrypted and versioned, with a `backend "s3"` block here.
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { application = var.name }
  }
}
