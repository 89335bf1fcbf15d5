variable "region" {
  description = "Where everything stands."
  type        = string
  default     = "eu-west-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region is one of AWS's: eu-west-1."
  }
}

variable "name" {
  description = "Name of the service, and what the names of its parts begin with."
  type        = string
  default     = "presignd"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "name is 2 to 20 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "bucket_name" {
  description = "Name of the bucket for uploads; nobody else in the world may have one of this name."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name is 3 to 63 of a-z, 0-9 and -, and begins and ends with a letter or digit."
  }
}

variable "image" {
  description = "presignd's image, by digest or by a tag that is never moved."
  type        = string

  validation {
    condition     = !endswith(var.image, ":latest") && can(regex("[:@]", var.image))
    error_message = "image names a version, not latest."
  }
}

variable "certificate_arn" {
  description = "ARN of the certificate (ACM, in the region) for the name under which browsers reach presignd."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:", var.certificate_arn))
    error_message = "certificate_arn is the ARN of a certificate of ACM."
  }
}

variable "origins" {
  description = "Origins of the pages that upload: https://app.example.com."
  type        = list(string)

  validation {
    condition     = length(var.origins) > 0 && alltrue([for o in var.origins : startswith(o, "https://")])
    error_message = "origins holds at least one https:// origin."
  }
}

variable "issuer" {
  description = "Who issues the users' tokens: their iss, to the letter."
  type        = string

  validation {
    condition     = startswith(var.issuer, "https://")
    error_message = "issuer begins with https://."
  }
}

variable "jwks_url" {
  description = "Where the issuer publishes its keys."
  type        = string

  validation {
    condition     = startswith(var.jwks_url, "https://")
    error_message = "jwks_url begins with https://."
  }
}

variable "audience" {
  description = "What the tokens name as their audience."
  type        = string
  default     = "presignd"

  validation {
    condition     = length(var.audience) > 0
    error_message = "audience is not empty."
  }
}

variable "max_expires_s" {
  description = "The longest life of a packet, in seconds; the bucket refuses older signatures too."
  type        = number
  default     = 3600

  validation {
    condition     = var.max_expires_s >= 900 && var.max_expires_s <= 43200 && floor(var.max_expires_s) == var.max_expires_s
    error_message = "max_expires_s is a whole number from 900 to 43200: no credentials of a task live longer."
  }
}

variable "complete" {
  description = "Whether presignd sees what became of an upload, so that quotas count what arrived. Its role may then read under the prefix and list it."
  type        = bool
  default     = true
}

variable "cidr" {
  description = "Addresses of the network."
  type        = string
  default     = "10.64.0.0/20"

  validation {
    condition     = can(cidrsubnet(var.cidr, 4, 15))
    error_message = "cidr is an IPv4 network of at most /24: 10.64.0.0/20."
  }
}

variable "alarm_actions" {
  description = "ARNs that alarms are told to: an SNS topic, say."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for a in var.alarm_actions : startswith(a, "arn:aws")])
    error_message = "alarm_actions holds ARNs."
  }
}

variable "deletion_protection" {
  description = "Whether the load balancer refuses to be deleted."
  type        = bool
  default     = true
}
