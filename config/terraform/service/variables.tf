variable "name" {
  description = "Name of the service, and what the names of its parts begin with."
  type        = string
  default     = "presignd"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name)) && !strcontains(var.name, "--")
    error_message = "name is 2 to 20 of a-z, 0-9 and single -, and begins with a letter: load balancers and caches take no more."
  }
}

variable "image" {
  description = "The container image, by digest or by a tag that is never moved. From a registry of ECR the tasks get the right to pull it."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})$", var.image)) && !endswith(var.image, ":latest")
    error_message = "image names a version: registry/name@sha256:... or registry/name:1.2.3, not latest."
  }
}

variable "secrets_image" {
  description = "An image with sh, which lays the ledger's password into a file before presignd starts; presignd's own image has no shell."
  type        = string
  default     = "public.ecr.aws/docker/library/busybox:1.37.0"

  validation {
    condition     = can(regex("(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})$", var.secrets_image)) && !endswith(var.secrets_image, ":latest")
    error_message = "secrets_image names a version, not latest."
  }
}

variable "configuration" {
  description = "presignd's whole configuration as JSON, with the ledger that the output of this name gives. Every member becomes a variable of the container's environment; no secret stands in it."
  type        = string

  validation {
    condition     = can(keys(jsondecode(var.configuration)))
    error_message = "configuration is a JSON object."
  }

  validation {
    condition     = try(jsondecode(var.configuration).listen, "0.0.0.0:8080") == "0.0.0.0:8080"
    error_message = "configuration: listen is 0.0.0.0:8080, where the load balancer looks."
  }

  validation {
    condition     = try(jsondecode(var.configuration).limits.idle_timeout_s, 75) > var.idle_timeout_s
    error_message = "configuration: limits.idle_timeout_s is above the load balancer's idle_timeout_s; else it sends requests into connections that presignd is closing, and answers 502."
  }

  validation {
    condition     = try(jsondecode(var.configuration).drain.timeout_s, 25) < min(var.deregistration_delay_s, var.stop_timeout_s)
    error_message = "configuration: drain.timeout_s is below deregistration_delay_s and stop_timeout_s, or a task is killed while it still answers."
  }

  validation {
    condition     = try(jsondecode(var.configuration).drain.delay_s, 10) >= 10
    error_message = "configuration: drain.delay_s is at least 10, the time in which the load balancer's health check sees that a task is leaving."
  }
}

variable "task_role_arn" {
  description = "The role that presignd signs with: role_arn of the module bucket. Nothing else is attached to it here."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/", var.task_role_arn))
    error_message = "task_role_arn is the ARN of a role."
  }
}

variable "vpc_id" {
  description = "The network that everything stands in."
  type        = string

  validation {
    condition     = length(var.vpc_id) > 0
    error_message = "vpc_id is not empty."
  }
}

variable "public_subnet_ids" {
  description = "Subnets of the load balancer, in at least two availability zones; private ones for an internal load balancer."
  type        = list(string)

  validation {
    condition     = length(var.public_subnet_ids) >= 2
    error_message = "A load balancer stands in at least two availability zones."
  }
}

variable "private_subnet_ids" {
  description = "Subnets of the tasks and the ledger, in at least two availability zones. They need a way out to the token issuer, S3 and the registry."
  type        = list(string)

  validation {
    condition     = length(var.private_subnet_ids) >= 2
    error_message = "Tasks and ledger stand in at least two availability zones."
  }
}

variable "certificate_arn" {
  description = "ARN of the certificate (ACM) for the name under which browsers reach presignd."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/", var.certificate_arn))
    error_message = "certificate_arn is the ARN of a certificate of ACM."
  }
}

variable "internal" {
  description = "Whether the load balancer has no public address."
  type        = bool
  default     = false
}

variable "allowed_cidrs" {
  description = "Networks that may reach the load balancer; the default is everyone, since browsers ask presignd themselves and a token is needed."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for c in var.allowed_cidrs : can(cidrnetmask(c))])
    error_message = "allowed_cidrs holds IPv4 networks: 203.0.113.0/24."
  }
}

variable "idle_timeout_s" {
  description = "After how many seconds without traffic the load balancer closes a connection: below presignd's limits.idle_timeout_s (75), so that it is never presignd who closes first."
  type        = number
  default     = 60

  validation {
    condition     = var.idle_timeout_s >= 1 && var.idle_timeout_s <= 4000
    error_message = "idle_timeout_s is 1 to 4000, and below limits.idle_timeout_s of the configuration."
  }
}

variable "deregistration_delay_s" {
  description = "How long a leaving task still finishes what it was asked, in seconds: above presignd's drain.timeout_s (25)."
  type        = number
  default     = 30

  validation {
    condition     = var.deregistration_delay_s >= 1 && var.deregistration_delay_s <= 3600
    error_message = "deregistration_delay_s is 1 to 3600, and above drain.timeout_s of the configuration."
  }
}

variable "stop_timeout_s" {
  description = "How long after SIGTERM a task is killed, in seconds: above presignd's drain.timeout_s (25)."
  type        = number
  default     = 35

  validation {
    condition     = var.stop_timeout_s >= 2 && var.stop_timeout_s <= 120
    error_message = "stop_timeout_s is 2 to 120, which is as long as Fargate waits."
  }
}

variable "health_check_path" {
  description = "/healthz takes a task out that cannot answer, also for lack of its ledger; with /livez plans without limits and local rates go on while Valkey is away."
  type        = string
  default     = "/healthz"

  validation {
    condition     = contains(["/healthz", "/livez"], var.health_check_path)
    error_message = "health_check_path is /healthz or /livez."
  }
}

variable "min_tasks" {
  description = "Tasks that always run; from two on, one may fall."
  type        = number
  default     = 2

  validation {
    condition     = var.min_tasks >= 1 && floor(var.min_tasks) == var.min_tasks
    error_message = "min_tasks is a whole number from 1."
  }
}

variable "max_tasks" {
  description = "Tasks under load; also the ledger's `replicas`, by which each divides its rates while Valkey is away."
  type        = number
  default     = 4

  validation {
    condition     = var.max_tasks >= var.min_tasks && floor(var.max_tasks) == var.max_tasks
    error_message = "max_tasks is a whole number and not below min_tasks."
  }
}

variable "task_cpu" {
  description = "CPU of a task: 256, 512, 1024, 2048 or 4096 (1024 is one processor)."
  type        = number
  default     = 512

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.task_cpu)
    error_message = "task_cpu is 256, 512, 1024, 2048 or 4096."
  }
}

variable "task_memory_mib" {
  description = "Memory of a task in MiB: two to eight times task_cpu's number, as Fargate has it. presignd needs less than 100."
  type        = number
  default     = 1024

  validation {
    condition     = var.task_memory_mib >= 512 && var.task_memory_mib >= 2 * var.task_cpu && var.task_memory_mib <= 8 * var.task_cpu
    error_message = "task_memory_mib is 2 to 8 times task_cpu, and at least 512."
  }
}

variable "architecture" {
  description = "What the image was built for: X86_64 or ARM64."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "architecture is X86_64 or ARM64."
  }
}

variable "valkey_node_type" {
  description = "Kind of the ledger's two nodes. A user takes about a kilobyte, an upload half of one for a day."
  type        = string
  default     = "cache.t4g.small"

  validation {
    condition     = startswith(var.valkey_node_type, "cache.")
    error_message = "valkey_node_type begins with cache."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept. The grant lines are who-may-have-uploaded-what."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is a number that CloudWatch knows: 30, 90, 180, 365, 731 ..."
  }
}

variable "alarm_actions" {
  description = "ARNs that an alarm, and its end, is told to: an SNS topic, say."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for a in var.alarm_actions : startswith(a, "arn:aws")])
    error_message = "alarm_actions holds ARNs."
  }
}

variable "kms_key_arn" {
  description = "A KMS key for the log group, the ledger and its password; null: the keys of these services. The key's policy must let logs.REGION.amazonaws.com use it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key, no alias."
  }
}

variable "access_logs_bucket" {
  description = "Name of a bucket that takes the load balancer's access logs; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.access_logs_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.access_logs_bucket))
    error_message = "access_logs_bucket is the name of a bucket, no ARN."
  }
}

variable "web_acl_arn" {
  description = "ARN of a web ACL (WAF, regional) before the load balancer; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.web_acl_arn == null || can(regex("^arn:aws[a-z-]*:wafv2:[a-z0-9-]+:[0-9]{12}:regional/webacl/", var.web_acl_arn))
    error_message = "web_acl_arn is the ARN of a regional web ACL."
  }
}

variable "deletion_protection" {
  description = "Whether the load balancer refuses to be deleted. To take everything down, set it to false and apply first."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags for everything that takes them."
  type        = map(string)
  default     = {}
}
