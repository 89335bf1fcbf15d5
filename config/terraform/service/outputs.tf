output "ledger" {
  description = "`ledger` of presignd's configuration. It goes back in with the variable configuration: Terraform orders resources, not modules."
  value = {
    backend       = "redis"
    url           = "rediss://${aws_elasticache_replication_group.ledger.primary_endpoint_address}:${local.ledger_port}/0"
    username      = aws_elasticache_user.presignd.user_name
    password_file = local.password_file
    prefix        = local.ledger_prefix
    replicas      = var.max_tasks
  }
}

output "dns_name" {
  description = "Name of the load balancer: what your own name for presignd points to (CNAME, or an alias with zone_id)."
  value       = aws_lb.presignd.dns_name
}

output "zone_id" {
  description = "Zone of dns_name, for an alias of Route 53."
  value       = aws_lb.presignd.zone_id
}

output "log_group" {
  description = "Where presignd's log lines are."
  value       = aws_cloudwatch_log_group.presignd.name
}

output "cluster" {
  description = "Name of the cluster."
  value       = aws_ecs_cluster.presignd.name
}

output "environment" {
  description = "presignd's environment: its configuration, as the container gets it."
  value       = local.environment
}

output "tasks_security_group_id" {
  description = "Security group of the tasks, for what else they should reach."
  value       = aws_security_group.tasks.id
}
