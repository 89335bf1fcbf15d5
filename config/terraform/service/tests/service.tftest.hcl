# The service's promises. The provider is played by Terraform itself: nothing is asked of a cloud
# and no credentials are needed.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }

  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/presignd/0123456789abcdef" }
  }

  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/presignd/0123456789abcdef" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/presignd-execution" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/presignd" }
  }

  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:presignd-ledger-a1b2c3" }
  }

  mock_resource "aws_secretsmanager_secret_version" {
    defaults = { version_id = "1f0c6a53-6e58-4f0c-9d7b-1a2b3c4d5e6f" }
  }

  mock_resource "aws_elasticache_replication_group" {
    defaults = { primary_endpoint_address = "ledger.example.internal" }
  }

  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/presignd:1" }
  }
}

variables {
  image              = "public.ecr.aws/example/presignd:1.0.0"
  configuration      = "{ \"cors\": { \"origins\": [\"https://app.example.com\"] }, \"threads\": 2, \"ui\": false, \"default_plan\": \"free\" }"
  task_role_arn      = "arn:aws:iam::123456789012:role/uploads"
  vpc_id             = "vpc-0123456789abcdef0"
  public_subnet_ids  = ["subnet-0123456789abcde00", "subnet-0123456789abcde01"]
  private_subnet_ids = ["subnet-0123456789abcde10", "subnet-0123456789abcde11"]
  certificate_arn    = "arn:aws:acm:eu-west-1:123456789012:certificate/6f1d6f4e-2c3b-4a59-8f7e-0d1c2b3a4958"
}

run "balancer" {
  assert {
    condition     = aws_lb.presignd.drop_invalid_header_fields && aws_lb.presignd.desync_mitigation_mode == "strictest"
    error_message = "A request that two servers could read differently stops at the load balancer."
  }

  assert {
    condition     = aws_lb.presignd.idle_timeout < 75 && tonumber(aws_lb_target_group.presignd.deregistration_delay) > 25
    error_message = "Idle timeout below presignd's, deregistration delay above its drain."
  }

  assert {
    condition     = one(aws_lb_target_group.presignd.health_check).path == "/healthz"
    error_message = "Health is asked at /healthz."
  }

  assert {
    condition     = aws_lb_listener.https.protocol == "HTTPS" && startswith(aws_lb_listener.https.ssl_policy, "ELBSecurityPolicy-TLS13-1-2")
    error_message = "TLS 1.2 or later, and nothing else."
  }

  assert {
    condition     = aws_lb.presignd.enable_deletion_protection && length(aws_wafv2_web_acl_association.presignd) == 0
    error_message = "Protected from deletion; nothing optional unasked."
  }
}

run "tasks" {
  assert {
    condition     = aws_ecs_task_definition.presignd.task_role_arn == "arn:aws:iam::123456789012:role/uploads" && aws_ecs_task_definition.presignd.execution_role_arn != aws_ecs_task_definition.presignd.task_role_arn
    error_message = "presignd has the role of the bucket, not the one that starts tasks."
  }

  assert {
    condition = alltrue([
      for c in jsondecode(aws_ecs_task_definition.presignd.container_definitions) :
      c.readonlyRootFilesystem && c.linuxParameters.capabilities.drop == ["ALL"]
    ])
    error_message = "Every container: read-only, without capabilities."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.presignd.container_definitions)[1].user == "65532:65532" && jsondecode(aws_ecs_task_definition.presignd.container_definitions)[1].stopTimeout > 25
    error_message = "presignd is not root, and has longer to stop than its drain takes."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.presignd.container_definitions)[1].mountPoints[0].readOnly && !can(jsondecode(aws_ecs_task_definition.presignd.container_definitions)[1].secrets)
    error_message = "presignd reads its secret from a file and has none in its environment."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.presignd.container_definitions)[0].secrets[0].valueFrom == "arn:aws:secretsmanager:eu-west-1:123456789012:secret:presignd-ledger-a1b2c3:::1f0c6a53-6e58-4f0c-9d7b-1a2b3c4d5e6f"
    error_message = "Another password is another definition, and so other tasks."
  }

  assert {
    condition     = !one(aws_ecs_service.presignd.network_configuration).assign_public_ip
    error_message = "Tasks have no public address."
  }
}

run "environment" {
  assert {
    condition = toset(jsondecode(aws_ecs_task_definition.presignd.container_definitions)[1].environment) == toset([
      { name = "PRESIGND__CORS", value = "{\"origins\":[\"https://app.example.com\"]}" },
      { name = "PRESIGND__DEFAULT_PLAN", value = "free" },
      { name = "PRESIGND__THREADS", value = "2" },
      { name = "PRESIGND__UI", value = "false" },
    ])
    error_message = "Text as it stands, everything else as JSON."
  }
}

run "ledger" {
  assert {
    condition     = output.ledger.url == "rediss://ledger.example.internal:6379/0" && output.ledger.replicas == var.max_tasks
    error_message = "The ledger is reached over TLS, and knows how many share it."
  }

  assert {
    condition = (
      aws_elasticache_replication_group.ledger.transit_encryption_enabled && aws_elasticache_replication_group.ledger.transit_encryption_mode == "required" &&
      tobool(aws_elasticache_replication_group.ledger.at_rest_encryption_enabled) && aws_elasticache_replication_group.ledger.automatic_failover_enabled && aws_elasticache_replication_group.ledger.multi_az_enabled
    )
    error_message = "Encrypted on the wire and at rest, with a replica elsewhere."
  }

  assert {
    condition     = one(aws_elasticache_parameter_group.ledger.parameter).value == "noeviction"
    error_message = "Nothing is evicted."
  }

  assert {
    condition     = startswith(aws_elasticache_user.presignd.access_string, "on ~presignd:* resetchannels -@all ")
    error_message = "The user of the ledger has its keys and the commands that are named, nothing else."
  }
}

run "who_talks_to_whom" {
  assert {
    condition     = aws_vpc_security_group_ingress_rule.ledger_tasks.referenced_security_group_id == aws_security_group.tasks.id && aws_vpc_security_group_ingress_rule.tasks_balancer.referenced_security_group_id == aws_security_group.balancer.id
    error_message = "Only tasks reach the ledger, only the load balancer reaches tasks."
  }

  assert {
    condition     = keys(aws_vpc_security_group_ingress_rule.balancer_https) == ["0.0.0.0/0"] && alltrue([for r in aws_vpc_security_group_ingress_rule.balancer_https : r.from_port == 443 && r.to_port == 443])
    error_message = "From outside only port 443."
  }
}

run "execution_role" {
  assert {
    condition     = !strcontains(aws_iam_role_policy.execution.policy, "ecr:") && !strcontains(aws_iam_role_policy.execution.policy, "\"Resource\":\"*\"") && !strcontains(aws_iam_role_policy.execution.policy, "s3:")
    error_message = "A public image needs no right on ECR."
  }
}

run "image_of_ecr" {
  variables {
    image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/presignd@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  }

  assert {
    condition = [
      for s in jsondecode(aws_iam_role_policy.execution.policy).Statement : s.Resource if startswith(s.Sid, "Image")
    ] == ["arn:aws:ecr:eu-west-1:123456789012:repository/team/presignd", "*"]
    error_message = "Pulls from its one repository; only ECR's token is asked of *."
  }
}

run "alarms" {
  variables {
    alarm_actions = ["arn:aws:sns:eu-west-1:123456789012:on-call"]
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.presignd) == 10 && alltrue([for a in aws_cloudwatch_metric_alarm.presignd : a.alarm_actions == toset(["arn:aws:sns:eu-west-1:123456789012:on-call"]) && length(a.alarm_description) > 0])
    error_message = "Every alarm tells somebody, and says what is the matter."
  }
}

run "with_all_options" {
  variables {
    kms_key_arn        = "arn:aws:kms:eu-west-1:123456789012:key/0f2c6a53-6e58-4f0c-9d7b-1a2b3c4d5e6f"
    access_logs_bucket = "example-logs"
    web_acl_arn        = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/presignd/0f2c6a53"
  }

  assert {
    condition     = length(aws_wafv2_web_acl_association.presignd) == 1 && one(aws_lb.presignd.access_logs).bucket == "example-logs" && aws_cloudwatch_log_group.presignd.kms_key_id == var.kms_key_arn
    error_message = "Access logs, web ACL and key are used when given."
  }

  assert {
    condition     = contains(flatten([for s in jsondecode(aws_iam_role_policy.execution.policy).Statement : s.Action]), "kms:Decrypt")
    error_message = "The password's key may be used to read it."
  }
}

run "idle_timeout_above_presignds" {
  command = plan
  variables {
    idle_timeout_s = 75
  }
  expect_failures = [var.configuration]
}

run "drain_longer_than_the_delay" {
  command = plan
  variables {
    configuration = "{ \"drain\": { \"delay_s\": 10, \"timeout_s\": 30 } }"
  }
  expect_failures = [var.configuration]
}

run "drain_before_anybody_sees" {
  command = plan
  variables {
    configuration = "{ \"drain\": { \"delay_s\": 5, \"timeout_s\": 25 } }"
  }
  expect_failures = [var.configuration]
}

run "listens_elsewhere" {
  command = plan
  variables {
    configuration = "{ \"listen\": \"127.0.0.1:8080\" }"
  }
  expect_failures = [var.configuration]
}

run "no_json" {
  command = plan
  variables {
    configuration = "listen: 8080"
  }
  expect_failures = [var.configuration]
}

run "moving_tag" {
  command = plan
  variables {
    image = "public.ecr.aws/example/presignd:latest"
  }
  expect_failures = [var.image]
}

run "one_zone" {
  command = plan
  variables {
    public_subnet_ids = ["subnet-0123456789abcde00"]
  }
  expect_failures = [var.public_subnet_ids]
}

run "fewer_than_the_least" {
  command = plan
  variables {
    min_tasks = 5
  }
  expect_failures = [var.max_tasks]
}

run "memory_that_fargate_has_not" {
  command = plan
  variables {
    task_cpu        = 1024
    task_memory_mib = 1024
  }
  expect_failures = [var.task_memory_mib]
}
