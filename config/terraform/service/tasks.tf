# presignd itself, on Fargate. Two roles: the one presignd has (task_role_arn) signs uploads and can
# do nothing else; the one ECS has starts the tasks. On an instance both would be one, and whoever
# got into presignd would have the image, the logs and the ledger's password too.

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  port          = 8080
  ledger_port   = 6379
  ledger_prefix = "presignd:"
  secrets       = "/run/secrets"
  password_file = "${local.secrets}/ledger-password"

  # Text as it stands, everything else as JSON: as presignd reads its environment.
  environment = [
    for name, value in jsondecode(var.configuration) : {
      name  = "PRESIGND__${upper(name)}"
      value = try(tostring(value), jsonencode(value))
    } if value != null
  ]

  # ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG, taken apart; empty for other registries.
  ecr = regexall("^([0-9]{12})\\.dkr\\.ecr\\.([a-z0-9-]+)\\.amazonaws\\.com(?:\\.cn)?/([^:@]+)", var.image)

  ecr_repositories = [for r in local.ecr : "arn:${data.aws_partition.current.partition}:ecr:${r[1]}:${r[0]}:repository/${r[2]}"]

  log_options = {
    logDriver = "awslogs"
    options = {
      awslogs-group         = aws_cloudwatch_log_group.presignd.name
      awslogs-region        = data.aws_region.current.region
      awslogs-stream-prefix = "task"
      mode                  = "non-blocking" # a request never waits for its log line
      max-buffer-size       = "4m"
    }
  }
}

# trivy:ignore:AVD-AWS-0017 A key of one's own is kms_key_arn's.
resource "aws_cloudwatch_log_group" "presignd" {
  # checkov:skip=CKV_AWS_158: a key of one's own is kms_key_arn's
  name              = "/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_ecs_cluster" "presignd" {
  name = var.name
  tags = var.tags

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "presignd" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.task_cpu
  memory                   = var.task_memory_mib
  task_role_arn            = var.task_role_arn
  execution_role_arn       = aws_iam_role.execution.arn
  tags                     = var.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  volume {
    name = "secrets"
  }

  container_definitions = jsonencode([
    {
      # Secrets reach a container of ECS as variables; presignd reads them from files. The version
      # stands in the definition, so that another password starts other tasks.
      name                   = "secrets"
      image                  = var.secrets_image
      essential              = false
      command                = ["sh", "-c", "umask 0222 && printf %s \"$LEDGER_PASSWORD\" > ${local.password_file}"]
      secrets                = [{ name = "LEDGER_PASSWORD", valueFrom = "${aws_secretsmanager_secret.ledger.arn}:::${aws_secretsmanager_secret_version.ledger.version_id}" }]
      readonlyRootFilesystem = true
      linuxParameters        = { capabilities = { drop = ["ALL"] } }
      mountPoints            = [{ sourceVolume = "secrets", containerPath = local.secrets, readOnly = false }]
      logConfiguration       = local.log_options
    },
    {
      name                   = "presignd"
      image                  = var.image
      essential              = true
      dependsOn              = [{ containerName = "secrets", condition = "SUCCESS" }]
      user                   = "65532:65532"
      readonlyRootFilesystem = true
      linuxParameters        = { capabilities = { drop = ["ALL"] } }
      ulimits                = [{ name = "nofile", softLimit = 65535, hardLimit = 65535 }]
      environment            = local.environment
      mountPoints            = [{ sourceVolume = "secrets", containerPath = local.secrets, readOnly = true }]
      portMappings           = [{ containerPort = local.port, protocol = "tcp" }]
      stopTimeout            = var.stop_timeout_s
      logConfiguration       = local.log_options

      healthCheck = {
        command     = ["CMD", "/usr/bin/presignd", "health"]
        interval    = 10
        timeout     = 5
        retries     = 3
        startPeriod = 10
      }
    },
  ])
}

resource "aws_ecs_service" "presignd" {
  name                   = var.name
  cluster                = aws_ecs_cluster.presignd.id
  task_definition        = aws_ecs_task_definition.presignd.arn
  desired_count          = var.min_tasks
  launch_type            = "FARGATE"
  platform_version       = "LATEST"
  enable_execute_command = false
  propagate_tags         = "SERVICE"
  tags                   = var.tags

  # A new version stands beside the old one until it is healthy, or goes back by itself.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 30

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.presignd.arn
    container_name   = "presignd"
    container_port   = local.port
  }

  # The number of tasks is the scaling's from the first apply on.
  lifecycle {
    ignore_changes = [desired_count]
  }

  depends_on = [aws_lb_listener.https, aws_iam_role_policy.execution]
}

resource "aws_appautoscaling_target" "tasks" {
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.presignd.name}/${aws_ecs_service.presignd.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.min_tasks
  max_capacity       = var.max_tasks
  tags               = var.tags
}

resource "aws_appautoscaling_policy" "cpu" {
  name               = "${var.name}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.tasks.service_namespace
  resource_id        = aws_appautoscaling_target.tasks.resource_id
  scalable_dimension = aws_appautoscaling_target.tasks.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_in_cooldown  = 300
    scale_out_cooldown = 60

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

# What ECS needs to start a task. presignd itself never has this role.
resource "aws_iam_role" "execution" {
  name        = "${var.name}-execution"
  description = "ECS starts the tasks of ${var.name} with it"
  tags        = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id }
        ArnLike      = { "aws:SourceArn" = "arn:${data.aws_partition.current.partition}:ecs:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:*" }
      }
    }]
  })
}

# trivy:ignore:AVD-AWS-0057 Asking for ECR's token has no narrower resource, and streams of a log group are named by ECS.
resource "aws_iam_role_policy" "execution" {
  # checkov:skip=CKV_AWS_355: only ecr:GetAuthorizationToken, for which IAM knows no narrower resource; what may be pulled with it is one repository
  # checkov:skip=CKV_AWS_290: as above
  name = "start-tasks"
  role = aws_iam_role.execution.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "Logs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = "${aws_cloudwatch_log_group.presignd.arn}:*"
        },
        {
          Sid      = "LedgerPassword"
          Effect   = "Allow"
          Action   = ["secretsmanager:GetSecretValue"]
          Resource = aws_secretsmanager_secret.ledger.arn
        },
      ],
      [for key in compact([var.kms_key_arn]) : {
        Sid       = "LedgerPasswordKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = key
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${data.aws_region.current.region}.amazonaws.com" } }
      }],
      [for repository in local.ecr_repositories : {
        Sid      = "Image"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = repository
      }],
      [for repository in local.ecr_repositories : {
        Sid      = "ImageToken"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = "*"
      }],
    )
  })
}
