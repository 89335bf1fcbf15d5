output "bucket" {
  description = "Name of the bucket: `bucket` of a bucket in presignd's configuration."
  value       = aws_s3_bucket.uploads.bucket
}

output "bucket_arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.uploads.arn
}

output "region" {
  description = "Region of the bucket: `region` of a bucket in presignd's configuration."
  value       = data.aws_region.current.region
}

output "prefix" {
  description = "What the keys of presignd's profiles must begin with."
  value       = var.prefix
}

output "role_arn" {
  description = "ARN of the role that presignd signs with."
  value       = aws_iam_role.presignd.arn
}

output "role_name" {
  description = "Name of that role."
  value       = aws_iam_role.presignd.name
}

output "instance_profile" {
  description = "Name of the instance profile; null unless service is ec2."
  value       = one(aws_iam_instance_profile.presignd[*].name)
}
