# What the bucket and its role allow. The provider is played by Terraform itself: nothing is asked
# of a cloud and no credentials are needed.

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

  mock_resource "aws_s3_bucket" {
    defaults = {
      id  = "example-uploads"
      arn = "arn:aws:s3:::example-uploads"
    }
  }
}

variables {
  bucket_name     = "example-uploads"
  allowed_origins = ["https://app.example.com"]
}

run "private" {
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.uploads.block_public_acls,
      aws_s3_bucket_public_access_block.uploads.block_public_policy,
      aws_s3_bucket_public_access_block.uploads.ignore_public_acls,
      aws_s3_bucket_public_access_block.uploads.restrict_public_buckets,
    ])
    error_message = "All four blocks of public access are on."
  }

  assert {
    condition     = one(aws_s3_bucket_ownership_controls.uploads.rule).object_ownership == "BucketOwnerEnforced"
    error_message = "Uploads belong to the bucket's owner, and ACLs mean nothing."
  }

  assert {
    condition     = one(aws_s3_bucket_versioning.uploads.versioning_configuration).status == "Enabled"
    error_message = "Versions are kept unless told otherwise."
  }

  assert {
    condition     = length(aws_s3_bucket_logging.uploads) == 0 && length(aws_iam_instance_profile.presignd) == 0
    error_message = "Nothing optional is made unasked."
  }
}

run "policy_only_refuses" {
  assert {
    condition     = alltrue([for s in jsondecode(aws_s3_bucket_policy.uploads.policy).Statement : s.Effect == "Deny"])
    error_message = "The bucket's policy grants nothing."
  }

  assert {
    condition = anytrue([
      for s in jsondecode(aws_s3_bucket_policy.uploads.policy).Statement :
      try(s.Condition.NumericGreaterThan["s3:signatureAge"], "") == "3600000"
    ])
    error_message = "The ceiling of a signature's age is in milliseconds."
  }

  assert {
    condition = anytrue([
      for s in jsondecode(aws_s3_bucket_policy.uploads.policy).Statement :
      try(s.Condition.Bool["aws:SecureTransport"], "") == "false" && length(s.Resource) == 2
    ])
    error_message = "Plain HTTP is refused, for the bucket and its objects."
  }

  assert {
    condition = anytrue([
      for s in jsondecode(aws_s3_bucket_policy.uploads.policy).Statement :
      try(s.Condition.StringNotEquals["s3:signatureversion"], "") == "AWS4-HMAC-SHA256" && try(s.Condition.Null["s3:signatureversion"], "") == "false"
    ])
    error_message = "A signature that is not SigV4 is refused, and nothing is said of requests without one."
  }
}

run "shorter_ceiling" {
  variables {
    signature_max_age_s = 900
  }

  assert {
    condition     = strcontains(aws_s3_bucket_policy.uploads.policy, "\"900000\"")
    error_message = "900 s are 900000 ms."
  }
}

run "role_puts_and_nothing_else" {
  assert {
    condition = jsondecode(aws_iam_role_policy.presignd.policy).Statement == [{
      Sid      = "Upload"
      Effect   = "Allow"
      Action   = "s3:PutObject"
      Resource = "arn:aws:s3:::example-uploads/uploads/*"
    }]
    error_message = "The role may put objects under the prefix, and nothing else."
  }

  assert {
    condition = jsondecode(aws_iam_role.presignd.assume_role_policy).Statement[0].Principal.Service == "ecs-tasks.amazonaws.com" && (
      jsondecode(aws_iam_role.presignd.assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    )
    error_message = "Only tasks of this account take the role."
  }
}

run "role_with_complete" {
  variables {
    complete = true
    prefix   = "in/box/"
  }

  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.presignd.policy).Statement : s.Action] == ["s3:PutObject", "s3:GetObject", "s3:ListBucket"]
    error_message = "With complete the role also sees what is there."
  }

  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.presignd.policy).Statement : s.Resource] == ["arn:aws:s3:::example-uploads/in/box/*", "arn:aws:s3:::example-uploads/in/box/*", "arn:aws:s3:::example-uploads"]
    error_message = "Objects under the prefix, and the bucket for listing."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.presignd.policy).Statement[2].Condition.StringLike["s3:prefix"] == "in/box/*"
    error_message = "Listing stops at the prefix."
  }
}

run "role_with_a_key" {
  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/0f2c6a53-6e58-4f0c-9d7b-1a2b3c4d5e6f"
  }

  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.presignd.policy).Statement : s.Action] == ["s3:PutObject", ["kms:GenerateDataKey"]]
    error_message = "Writing encrypted objects needs data keys, and nothing to read them with."
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.uploads.rule).bucket_key_enabled
    error_message = "With a key of its own the bucket uses a bucket key."
  }
}

run "instances" {
  variables {
    service = "ec2"
  }

  assert {
    condition     = length(aws_iam_instance_profile.presignd) == 1 && !can(jsondecode(aws_iam_role.presignd.assume_role_policy).Statement[0].Condition)
    error_message = "Instances get a profile, and the trust that EC2 can meet."
  }
}

run "pods" {
  variables {
    service = "eks"
  }

  assert {
    condition     = contains(jsondecode(aws_iam_role.presignd.assume_role_policy).Statement[0].Action, "sts:TagSession")
    error_message = "Pod Identity tags its sessions."
  }
}

run "cors" {
  variables {
    allowed_origins = ["https://app.example.com", "https://*.preview.example.com:8443", "http://localhost:5173"]
  }

  assert {
    condition = (
      one(aws_s3_bucket_cors_configuration.uploads.cors_rule).expose_headers == toset(["ETag", "Location"]) &&
      length(one(aws_s3_bucket_cors_configuration.uploads.cors_rule).allowed_origins) == 3
    )
    error_message = "Pages of the named origins read ETag and Location."
  }
}

run "no_origin" {
  command = plan
  variables {
    allowed_origins = []
  }
  expect_failures = [var.allowed_origins]
}

run "every_origin" {
  command = plan
  variables {
    allowed_origins = ["*"]
  }
  expect_failures = [var.allowed_origins]
}

run "plain_origin" {
  command = plan
  variables {
    allowed_origins = ["http://app.example.com"]
  }
  expect_failures = [var.allowed_origins]
}

run "origin_with_path" {
  command = plan
  variables {
    allowed_origins = ["https://app.example.com/"]
  }
  expect_failures = [var.allowed_origins]
}

run "dotted_name" {
  command = plan
  variables {
    bucket_name = "uploads.example.com"
  }
  expect_failures = [var.bucket_name]
}

run "prefix_without_end" {
  command = plan
  variables {
    prefix = "uploads"
  }
  expect_failures = [var.prefix]
}

run "prefix_of_everything" {
  command = plan
  variables {
    prefix = "*/"
  }
  expect_failures = [var.prefix]
}

run "seconds_taken_for_milliseconds" {
  command = plan
  variables {
    signature_max_age_s = 3600000
  }
  expect_failures = [var.signature_max_age_s]
}

run "key_alias" {
  command = plan
  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:alias/uploads"
  }
  expect_failures = [var.kms_key_arn]
}
