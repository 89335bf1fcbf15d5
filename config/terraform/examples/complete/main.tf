# From an empty account to a running fleet: a network, the bucket with its role, and the service.

module "bucket" {
  source = "../../bucket"

  bucket_name         = var.bucket_name
  allowed_origins     = var.origins
  complete            = var.complete
  signature_max_age_s = var.max_expires_s
}

module "service" {
  source = "../../service"

  name                = var.name
  image               = var.image
  configuration       = local.configuration
  task_role_arn       = module.bucket.role_arn
  vpc_id              = aws_vpc.main.id
  public_subnet_ids   = values(local.public_subnets)
  private_subnet_ids  = values(local.private_subnets)
  certificate_arn     = var.certificate_arn
  alarm_actions       = var.alarm_actions
  deletion_protection = var.deletion_protection
}

locals {
  # What presignd runs with: the file beside this one, with its blanks filled in. The ledger in it
  # comes from the module that takes it: Terraform orders resources, not modules.
  configuration = templatefile("${path.module}/presignd.json.tftpl", {
    origins       = var.origins
    issuer        = var.issuer
    audience      = var.audience
    jwks_url      = var.jwks_url
    bucket        = module.bucket.bucket
    region        = module.bucket.region
    key           = "${module.bucket.prefix}{user_hash}/{uuid}"
    max_expires_s = var.max_expires_s
    ledger        = module.service.ledger
    proxies       = [var.cidr]
  })
}
