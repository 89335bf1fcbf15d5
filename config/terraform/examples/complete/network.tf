# A network of two availability zones: the load balancer in public subnets, tasks and ledger in
# private ones. Have one already? Pass its ids to the module service and leave this file out.

data "aws_availability_zones" "available" {
  state = "available"
}

locals {
  # Name of a zone: its number.
  zones = { for number, zone in slice(data.aws_availability_zones.available.names, 0, 2) : zone => number }

  # By zone.
  public_subnets  = { for zone, subnet in aws_subnet.public : zone => subnet.id }
  private_subnets = { for zone, subnet in aws_subnet.private : zone => subnet.id }
  private_tables  = { for zone, table in aws_route_table.private : zone => table.id }
}

# trivy:ignore:AVD-AWS-0178 Requests are logged by presignd, which is all that stands here; flow logs are for a network that others share.
resource "aws_vpc" "main" {
  # checkov:skip=CKV2_AWS_11: as above
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = var.name }
}

# The group that whatever names none falls into lets nothing pass.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = "${var.name}-closed" }
}

resource "aws_subnet" "public" {
  for_each = local.zones

  vpc_id                  = aws_vpc.main.id
  availability_zone       = each.key
  cidr_block              = cidrsubnet(var.cidr, 4, each.value)
  map_public_ip_on_launch = false
  tags                    = { Name = "${var.name}-public-${each.key}" }
}

resource "aws_subnet" "private" {
  for_each = local.zones

  vpc_id                  = aws_vpc.main.id
  availability_zone       = each.key
  cidr_block              = cidrsubnet(var.cidr, 4, 8 + each.value)
  map_public_ip_on_launch = false
  tags                    = { Name = "${var.name}-private-${each.key}" }
}

resource "aws_internet_gateway" "main" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = var.name }
}

# One for each zone: the way to the token issuer does not hang on another zone.
resource "aws_eip" "nat" {
  # checkov:skip=CKV2_AWS_19: it belongs to the NAT gateway below
  for_each = local.zones

  domain = "vpc"
  tags   = { Name = "${var.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "main" {
  for_each = aws_eip.nat

  allocation_id = each.value.id
  subnet_id     = local.public_subnets[each.key]
  tags          = { Name = "${var.name}-${each.key}" }

  depends_on = [aws_internet_gateway.main]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = "${var.name}-public" }
}

resource "aws_route" "public" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.main.id
}

resource "aws_route_table_association" "public" {
  for_each = local.public_subnets

  route_table_id = aws_route_table.public.id
  subnet_id      = each.value
}

resource "aws_route_table" "private" {
  for_each = local.zones

  vpc_id = aws_vpc.main.id
  tags   = { Name = "${var.name}-private-${each.key}" }
}

resource "aws_route" "private" {
  for_each = aws_nat_gateway.main

  route_table_id         = local.private_tables[each.key]
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = each.value.id
}

resource "aws_route_table_association" "private" {
  for_each = local.private_subnets

  route_table_id = local.private_tables[each.key]
  subnet_id      = each.value
}

# presignd's HEADs go to S3 without the NAT gateways, and cost nothing there.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.main.id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = values(local.private_tables)
  tags              = { Name = "${var.name}-s3" }
}
