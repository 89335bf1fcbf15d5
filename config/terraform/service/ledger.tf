# The ledger that all tasks share: Valkey with a replica in a second zone, encrypted on the wire and
# at rest, and a user who may run what presignd runs and nothing else.

# Kept in Terraform's state, as ElastiCache needs it in clear there: keep the state encrypted.
resource "random_password" "ledger" {
  length  = 64
  special = false
}

# trivy:ignore:AVD-AWS-0098 A key of one's own is kms_key_arn's.
resource "aws_secretsmanager_secret" "ledger" {
  # checkov:skip=CKV_AWS_149: a key of one's own is kms_key_arn's
  # checkov:skip=CKV2_AWS_57: the password changes with Terraform, which also starts the tasks anew; by itself one side would not hear of it
  name_prefix             = "${var.name}-ledger-"
  description             = "Password of ${var.name}'s user of the ledger"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 7
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "ledger" {
  secret_id     = aws_secretsmanager_secret.ledger.id
  secret_string = random_password.ledger.result
}

# The commands are the README's, "The ledger".
resource "aws_elasticache_user" "presignd" {
  user_id       = var.name
  user_name     = "presignd"
  engine        = "valkey"
  access_string = "on ~${local.ledger_prefix}* resetchannels -@all +ping +info +select +cluster|info +eval +evalsha +time +exists +del +expire +persist +ttl +get +set +getrange +setrange +hget +hmget +hgetall +hset +zadd +zrem +zcount +zrange +zrangebyscore +zremrangebyrank"
  tags          = var.tags

  authentication_mode {
    type      = "password"
    passwords = [random_password.ledger.result]
  }
}

resource "aws_elasticache_user_group" "ledger" {
  user_group_id = var.name
  engine        = "valkey"
  user_ids      = [aws_elasticache_user.presignd.user_id]
  tags          = var.tags
}

resource "aws_elasticache_subnet_group" "ledger" {
  name        = var.name
  description = "Ledger of ${var.name}"
  subnet_ids  = var.private_subnet_ids
  tags        = var.tags
}

# An evicted key is a quota forgotten: a full ledger refuses instead, and an alarm comes before.
resource "aws_elasticache_parameter_group" "ledger" {
  name        = var.name
  description = "Ledger of ${var.name}"
  family      = "valkey8"
  tags        = var.tags

  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
}

resource "aws_elasticache_replication_group" "ledger" {
  # checkov:skip=CKV_AWS_31: users and passwords are user_group_ids'; auth_token is the older way, one password for everything
  # checkov:skip=CKV_AWS_191: a key of one's own is kms_key_arn's
  replication_group_id = var.name
  description          = "Ledger of ${var.name}"
  engine               = "valkey"
  engine_version       = "8.0"
  node_type            = var.valkey_node_type
  port                 = local.ledger_port
  parameter_group_name = aws_elasticache_parameter_group.ledger.name
  subnet_group_name    = aws_elasticache_subnet_group.ledger.name
  security_group_ids   = [aws_security_group.ledger.id]
  user_group_ids       = [aws_elasticache_user_group.ledger.user_group_id]

  # One shard: a decision is one script on the keys of one user.
  num_cache_clusters         = 2
  automatic_failover_enabled = true
  multi_az_enabled           = true

  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn

  snapshot_retention_limit   = 7
  auto_minor_version_upgrade = true
  tags                       = var.tags
}
