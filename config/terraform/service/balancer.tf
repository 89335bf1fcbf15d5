# The load balancer. Its settings are one half of promises whose other half presignd keeps.

# trivy:ignore:AVD-AWS-0053 Browsers ask presignd themselves; internal = true where they are inside.
resource "aws_lb" "presignd" {
  # checkov:skip=CKV_AWS_91: access_logs_bucket turns them on; presignd itself logs every request
  # checkov:skip=CKV_AWS_150: on unless deletion_protection is taken off, to take everything down
  # checkov:skip=CKV2_AWS_20: there is no listener on port 80, so nothing to redirect: a token must not be sent in the clear even once
  # checkov:skip=CKV2_AWS_28: web_acl_arn puts a WAF before it; presignd gates requests and limits users itself
  name               = var.name
  load_balancer_type = "application"
  internal           = var.internal
  subnets            = var.public_subnet_ids
  security_groups    = [aws_security_group.balancer.id]

  # A request that two servers could read differently gets no further than here.
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"

  # presignd trusts the address that is written here, for its logs, and reads it from the right.
  xff_header_processing_mode = "append"

  # Below presignd's own, so that it is the balancer who closes an idle connection.
  idle_timeout = var.idle_timeout_s

  enable_deletion_protection = var.deletion_protection
  tags                       = var.tags

  dynamic "access_logs" {
    for_each = var.access_logs_bucket == null ? [] : [var.access_logs_bucket]

    content {
      bucket  = access_logs.value
      prefix  = var.name
      enabled = true
    }
  }
}

resource "aws_lb_target_group" "presignd" {
  # checkov:skip=CKV_AWS_378: presignd speaks plain HTTP behind the balancer that ends TLS; only its security group reaches the tasks
  name        = var.name
  vpc_id      = var.vpc_id
  target_type = "ip"
  protocol    = "HTTP"
  port        = local.port
  tags        = var.tags

  # A leaving task finishes what it was asked; presignd's drain fits into this.
  deregistration_delay = var.deregistration_delay_s

  # Requests are small and alike, but a task with a cold token cache is slower for a moment.
  load_balancing_algorithm_type = "least_outstanding_requests"

  # Two looks of five seconds: presignd's drain.delay_s waits that long for it.
  health_check {
    path                = var.health_check_path
    protocol            = "HTTP"
    matcher             = "200"
    interval            = 5
    timeout             = 3
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.presignd.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn
  tags              = var.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.presignd.arn
  }
}

resource "aws_wafv2_web_acl_association" "presignd" {
  count = var.web_acl_arn == null ? 0 : 1

  resource_arn = aws_lb.presignd.arn
  web_acl_arn  = var.web_acl_arn
}
