# The bucket that browsers upload to. Nobody reads or writes it but who holds a packet of
# presignd, or a role of yours.

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

# trivy:ignore:AVD-AWS-0089 Server access logs go where access_logs_bucket says; without it presignd's grant lines say who may have written which key.
resource "aws_s3_bucket" "uploads" {
  # checkov:skip=CKV_AWS_18: access_logs_bucket turns the logs on; presignd's own grant lines name user and key of every packet
  # checkov:skip=CKV_AWS_144: a copy in a second region is the choice of whoever owns the data, and doubles what it costs
  # checkov:skip=CKV_AWS_145: S3's own keys need no permission of the uploading role; kms_key_arn is there for who wants a key of their own
  # checkov:skip=CKV2_AWS_62: presignd asks the bucket itself what became of an upload, and needs no events
  bucket        = var.bucket_name
  force_destroy = var.force_destroy
  tags          = var.tags
}

resource "aws_s3_bucket_public_access_block" "uploads" {
  bucket                  = aws_s3_bucket.uploads.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# No ACLs: what a packet uploads belongs to the bucket's owner.
resource "aws_s3_bucket_ownership_controls" "uploads" {
  bucket = aws_s3_bucket.uploads.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

# trivy:ignore:AVD-AWS-0132 A key of one's own is kms_key_arn's; with S3's keys the uploading role needs no right on any key.
resource "aws_s3_bucket_server_side_encryption_configuration" "uploads" {
  bucket = aws_s3_bucket.uploads.id

  rule {
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

# Never "Disabled": a bucket that had versions once can only suspend them.
# trivy:ignore:AVD-AWS-0090 An option, on by default.
resource "aws_s3_bucket_versioning" "uploads" {
  # checkov:skip=CKV_AWS_21: an option, on by default
  bucket = aws_s3_bucket.uploads.id

  versioning_configuration {
    status = var.versioning ? "Enabled" : "Suspended"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "uploads" {
  bucket = aws_s3_bucket.uploads.id

  rule {
    id     = "unfinished-multipart-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = var.abort_multipart_days
    }
  }

  rule {
    id     = "noncurrent-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    # A marker that hides nothing any more is only a line in the listing.
    expiration {
      expired_object_delete_marker = true
    }
  }

  depends_on = [aws_s3_bucket_versioning.uploads]
}

# What pages of other origins may send and read. README, "The bucket's CORS rule", says what each
# member is for, and a test holds the two against each other.
resource "aws_s3_bucket_cors_configuration" "uploads" {
  bucket = aws_s3_bucket.uploads.id

  cors_rule {
    allowed_origins = var.allowed_origins
    allowed_methods = ["POST", "PUT"]
    allowed_headers = ["content-type", "content-md5", "cache-control", "content-disposition", "content-encoding", "x-amz-*"]
    expose_headers  = ["ETag", "Location"]
    max_age_seconds = 3600
  }
}

resource "aws_s3_bucket_logging" "uploads" {
  count = var.access_logs_bucket == null ? 0 : 1

  bucket        = aws_s3_bucket.uploads.id
  target_bucket = var.access_logs_bucket
  target_prefix = "s3/${var.bucket_name}/"
}

# Refusals only: who may do something is said at the roles. A condition whose key a request does not
# have is not met, so each of these speaks only of requests that it was written for.
resource "aws_s3_bucket_policy" "uploads" {
  bucket = aws_s3_bucket.uploads.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OnlyTLS"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.uploads.arn, "${aws_s3_bucket.uploads.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "OnlyModernTLS"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.uploads.arn, "${aws_s3_bucket.uploads.arn}/*"]
        Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
      },
      {
        # StringNotEquals alone is also true of a request without a signature, which S3's own
        # services make; those that have one must have this one.
        Sid       = "OnlySigV4"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.uploads.arn, "${aws_s3_bucket.uploads.arn}/*"]
        Condition = {
          Null            = { "s3:signatureversion" = "false" }
          StringNotEquals = { "s3:signatureversion" = "AWS4-HMAC-SHA256" }
        }
      },
      {
        # In milliseconds.
        Sid       = "NoOldSignatures"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = "${aws_s3_bucket.uploads.arn}/*"
        Condition = { NumericGreaterThan = { "s3:signatureAge" = tostring(var.signature_max_age_s * 1000) } }
      },
    ]
  })

  # Block Public Access first: a policy is judged by it.
  depends_on = [aws_s3_bucket_public_access_block.uploads]
}
