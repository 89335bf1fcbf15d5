output "configuration" {
  description = "presignd's configuration, as `presignd check` takes it: terraform output -raw configuration."
  value       = local.configuration
}

output "dns_name" {
  description = "Name of the load balancer: point the name of your certificate to it."
  value       = module.service.dns_name
}

output "bucket" {
  description = "Name of the bucket."
  value       = module.bucket.bucket
}

output "role_arn" {
  description = "The role that presignd signs with."
  value       = module.bucket.role_arn
}

output "log_group" {
  description = "Where presignd's log lines are."
  value       = module.service.log_group
}
