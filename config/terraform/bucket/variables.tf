variable "bucket_name" {
  description = "Name of the bucket. Without dots: the TLS certificate of S3 covers one label, and browsers post to that name."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name is 3 to 63 of a-z, 0-9 and -, and begins and ends with a letter or digit."
  }
}

variable "prefix" {
  description = "Where uploads go: what the keys of presignd's profiles begin with. The role can do nothing outside it."
  type        = string
  default     = "uploads/"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9/_-]{0,126}/$", var.prefix)) && !strcontains(var.prefix, "//")
    error_message = "prefix is letters, digits, /, _ and -, begins with a letter or digit and ends with one /: \"uploads/\"."
  }
}

variable "allowed_origins" {
  description = "Origins (scheme, host, port) of the pages that upload. One * within a host name is the bucket's way to say every subdomain."
  type        = list(string)

  validation {
    condition     = length(var.allowed_origins) > 0
    error_message = "allowed_origins needs the origin of at least one page."
  }

  validation {
    condition = alltrue([
      for o in var.allowed_origins : can(regex("^(https://(\\*\\.)?[a-z0-9-]+(\\.[a-z0-9-]+)+(:[0-9]+)?|http://localhost(:[0-9]+)?)$", o))
    ])
    error_message = "Each origin is https://host or https://*.host, with a port where it has one and without a path; http only for localhost."
  }
}

variable "complete" {
  description = "Whether presignd sees what became of an upload (POST /v1/uploads/{id}/complete, quotas that settle): adds s3:GetObject under the prefix and s3:ListBucket limited to it, without which a HEAD for a missing object is 403 and not 404."
  type        = bool
  default     = false
}

variable "service" {
  description = "Who runs presignd and takes the role: ecs (tasks), ec2 (an instance profile is made too) or eks (Pod Identity)."
  type        = string
  default     = "ecs"

  validation {
    condition     = contains(["ecs", "ec2", "eks"], var.service)
    error_message = "service is ecs, ec2 or eks."
  }
}

variable "role_name" {
  description = "Name of the role; null: the bucket's name followed by -presignd."
  type        = string
  default     = null

  validation {
    condition     = var.role_name == null || can(regex("^[A-Za-z0-9_+=,.@-]{1,64}$", var.role_name))
    error_message = "role_name is 1 to 64 of letters, digits and _+=,.@-."
  }
}

variable "max_session_s" {
  description = "How long a session of the role may last, in seconds. A packet dies with the credentials that signed it; this matters for presignd's assume_role, metadata services set their own."
  type        = number
  default     = 3600

  validation {
    condition     = var.max_session_s >= 3600 && var.max_session_s <= 43200
    error_message = "max_session_s is 3600 to 43200."
  }
}

variable "signature_max_age_s" {
  description = "The bucket refuses what was signed longer ago than this, in seconds, whatever expiry the packet says. At least the largest max_expires_s of presignd's profiles on this bucket."
  type        = number
  default     = 3600

  validation {
    condition     = var.signature_max_age_s >= 60 && var.signature_max_age_s <= 604800 && floor(var.signature_max_age_s) == var.signature_max_age_s
    error_message = "signature_max_age_s is a whole number of seconds from 60 to 604800 (seven days, where SigV4 ends)."
  }
}

variable "versioning" {
  description = "Whether versions are kept, so that an overwritten or deleted object can be brought back. Each use of a packet is then a version that is stored until noncurrent_days have passed."
  type        = bool
  default     = true
}

variable "noncurrent_days" {
  description = "Days after which a version that is no longer current is removed for good."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days is a whole number from 1."
  }
}

variable "abort_multipart_days" {
  description = "Days after which an unfinished multipart upload is removed. Packets make none; other writers might, and their parts cost without being listed."
  type        = number
  default     = 1

  validation {
    condition     = var.abort_multipart_days >= 1 && floor(var.abort_multipart_days) == var.abort_multipart_days
    error_message = "abort_multipart_days is a whole number from 1."
  }
}

variable "kms_key_arn" {
  description = "A KMS key that encrypts the objects, with a bucket key; null: S3's own keys. The role then also gets what that key needs, and the key's policy must let it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), no alias: the role's policy names it."
  }
}

variable "access_logs_bucket" {
  description = "Name of a bucket that takes S3's server access logs; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.access_logs_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.access_logs_bucket))
    error_message = "access_logs_bucket is the name of a bucket, no ARN."
  }
}

variable "force_destroy" {
  description = "Whether terraform destroy removes the bucket although it holds objects."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags for everything that takes them."
  type        = map(string)
  default     = {}
}
