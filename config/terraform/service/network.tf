# Who may talk to whom: browsers to the load balancer, it to the tasks, they to the ledger and to
# the world's port 443 (S3, the token issuer, the registry). Nothing else.

resource "aws_security_group" "balancer" {
  name_prefix = "${var.name}-balancer-"
  description = "Load balancer of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-balancer" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "tasks" {
  name_prefix = "${var.name}-tasks-"
  description = "Tasks of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-tasks" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "ledger" {
  name_prefix = "${var.name}-ledger-"
  description = "Ledger of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-ledger" })

  lifecycle {
    create_before_destroy = true
  }
}

# trivy:ignore:AVD-AWS-0107 Browsers everywhere ask presignd for packets; a token is needed, and allowed_cidrs narrows it.
resource "aws_vpc_security_group_ingress_rule" "balancer_https" {
  for_each = toset(var.allowed_cidrs)

  security_group_id = aws_security_group.balancer.id
  description       = "HTTPS from ${each.value}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}

resource "aws_vpc_security_group_egress_rule" "balancer_tasks" {
  security_group_id            = aws_security_group.balancer.id
  description                  = "Requests and health checks to the tasks"
  referenced_security_group_id = aws_security_group.tasks.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  tags                         = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "tasks_balancer" {
  security_group_id            = aws_security_group.tasks.id
  description                  = "From the load balancer"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  tags                         = var.tags
}

# trivy:ignore:AVD-AWS-0104 The addresses of the token issuer, S3 and the registry are theirs to choose; only HTTPS goes out.
resource "aws_vpc_security_group_egress_rule" "tasks_https" {
  security_group_id = aws_security_group.tasks.id
  description       = "S3, the token issuer, the registry, logs and secrets"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}

resource "aws_vpc_security_group_egress_rule" "tasks_ledger" {
  security_group_id            = aws_security_group.tasks.id
  description                  = "The ledger"
  referenced_security_group_id = aws_security_group.ledger.id
  ip_protocol                  = "tcp"
  from_port                    = local.ledger_port
  to_port                      = local.ledger_port
  tags                         = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "ledger_tasks" {
  security_group_id            = aws_security_group.ledger.id
  description                  = "From the tasks"
  referenced_security_group_id = aws_security_group.tasks.id
  ip_protocol                  = "tcp"
  from_port                    = local.ledger_port
  to_port                      = local.ledger_port
  tags                         = var.tags
}
