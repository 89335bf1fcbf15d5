# The parts fit together. The provider is played by Terraform itself: nothing is asked of a cloud
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

  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1a", "eu-west-1b", "eu-west-1c"] }
  }

  mock_resource "aws_s3_bucket" {
    defaults = {
      id  = "example-uploads"
      arn = "arn:aws:s3:::example-uploads"
    }
  }

  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/presignd/0123456789abcdef" }
  }

  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/presignd/0123456789abcdef" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/made-up" }
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

  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/presignd:1" }
  }

  mock_resource "aws_elasticache_replication_group" {
    defaults = { primary_endpoint_address = "ledger.example.internal" }
  }
}

variables {
  bucket_name = "example-uploads"
  origins     = ["https://app.example.com", "https://admin.example.com"]
}

run "configuration" {
  assert {
    condition     = jsondecode(output.configuration).buckets.main == { bucket = "example-uploads", region = "eu-west-1" }
    error_message = "The configuration names the bucket that was made."
  }

  assert {
    condition     = jsondecode(output.configuration).cors.origins == ["https://app.example.com", "https://admin.example.com"]
    error_message = "presignd answers the pages that the bucket answers."
  }

  assert {
    condition     = alltrue([for p in jsondecode(output.configuration).profiles : startswith(p.key, "uploads/")])
    error_message = "Every key begins with the role's prefix."
  }

  assert {
    condition     = alltrue([for p in jsondecode(output.configuration).profiles : p.max_expires_s <= var.max_expires_s])
    error_message = "No packet lives longer than the bucket takes its signature."
  }

  assert {
    condition     = startswith(jsondecode(output.configuration).ledger.url, "rediss://ledger.example.internal:") && jsondecode(output.configuration).credentials.provider == "container"
    error_message = "A ledger over TLS, credentials of the task."
  }
}

run "longer_than_credentials_live" {
  command = plan
  variables {
    max_expires_s = 604800
  }
  expect_failures = [var.max_expires_s]
}

run "plain_page" {
  command = plan
  variables {
    origins = ["http://app.example.com"]
  }
  expect_failures = [var.origins]
}
