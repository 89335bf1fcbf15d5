# The role that presignd signs with. A packet can do what its signer may do and nothing more, so
# this is what a stolen packet, or a stolen presignd, is worth.

locals {
  role_name = coalesce(var.role_name, substr("${var.bucket_name}-presignd", 0, 64))

  principal = {
    ecs = "ecs-tasks.amazonaws.com"
    ec2 = "ec2.amazonaws.com"
    eks = "pods.eks.amazonaws.com"
  }[var.service]

  # Only tasks of this account and region: without it any service of AWS that ECS acts for could
  # be made to lend this role. EC2 and Pod Identity bind a role to its user by other means.
  trust_condition = {
    for service, condition in {
      ecs = {
        StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id }
        ArnLike      = { "aws:SourceArn" = "arn:${data.aws_partition.current.partition}:ecs:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:*" }
      }
    } : "Condition" => condition if service == var.service
  }

  objects = "${aws_s3_bucket.uploads.arn}/${var.prefix}*"

  put = [{
    Sid      = "Upload"
    Effect   = "Allow"
    Action   = "s3:PutObject"
    Resource = local.objects
  }]

  # HEAD needs GetObject. Whether a missing object is 404 or 403 hangs on ListBucket, asked with the
  # object's key as s3:prefix.
  complete = [for statement in [
    {
      Sid      = "See"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = local.objects
    },
    {
      Sid       = "TellMissingFromForbidden"
      Effect    = "Allow"
      Action    = "s3:ListBucket"
      Resource  = aws_s3_bucket.uploads.arn
      Condition = { StringLike = { "s3:prefix" = "${var.prefix}*" } }
    },
  ] : statement if var.complete]

  # Objects encrypted with a key are written by whoever may make data keys, and seen by whoever may
  # decrypt them: for this bucket's objects, through S3, and nothing else.
  encrypted = [for statement in [{
    Sid      = "ThroughS3Only"
    Effect   = "Allow"
    Action   = var.complete ? ["kms:GenerateDataKey", "kms:Decrypt"] : ["kms:GenerateDataKey"]
    Resource = var.kms_key_arn
    Condition = {
      StringEquals = {
        "kms:ViaService"                   = "s3.${data.aws_region.current.region}.amazonaws.com"
        "kms:EncryptionContext:aws:s3:arn" = aws_s3_bucket.uploads.arn
      }
    }
  }] : statement if var.kms_key_arn != null]
}

resource "aws_iam_role" "presignd" {
  name                 = local.role_name
  description          = "presignd signs uploads to ${var.bucket_name}/${var.prefix} with it"
  max_session_duration = var.max_session_s
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge({
      Effect    = "Allow"
      Principal = { Service = local.principal }
      Action    = var.service == "eks" ? ["sts:AssumeRole", "sts:TagSession"] : ["sts:AssumeRole"]
    }, local.trust_condition)]
  })
}

resource "aws_iam_role_policy" "presignd" {
  name = "uploads"
  role = aws_iam_role.presignd.name

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.put, local.complete, local.encrypted)
  })
}

# For instances. They need IMDSv2 with a hop limit of 2, or presignd's container does not hear the
# metadata service: http_tokens = "required", http_put_response_hop_limit = 2.
resource "aws_iam_instance_profile" "presignd" {
  count = var.service == "ec2" ? 1 : 0

  name = local.role_name
  role = aws_iam_role.presignd.name
  tags = var.tags
}
