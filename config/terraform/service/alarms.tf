# What somebody should look at. presignd's own metrics say more; these see it from outside, also
# when it does not run at all.

locals {
  balancer = { LoadBalancer = aws_lb.presignd.arn_suffix }
  targets  = { LoadBalancer = aws_lb.presignd.arn_suffix, TargetGroup = aws_lb_target_group.presignd.arn_suffix }
  service  = { ClusterName = aws_ecs_cluster.presignd.name, ServiceName = aws_ecs_service.presignd.name }
  ledger   = { CacheClusterId = "${aws_elasticache_replication_group.ledger.replication_group_id}-001" }

  # missing: what no figure at all means. A count that is not there is none; tasks that nobody
  # counts do not run.
  alarms = {
    tasks-missing    = { namespace = "AWS/ApplicationELB", metric = "HealthyHostCount", dimensions = local.targets, statistic = "Minimum", below = true, threshold = var.min_tasks, periods = 5, missing = "breaching", text = "Fewer tasks than min_tasks answer their health check." }
    tasks-unhealthy  = { namespace = "AWS/ApplicationELB", metric = "UnHealthyHostCount", dimensions = local.targets, statistic = "Maximum", below = false, threshold = 0, periods = 5, missing = "notBreaching", text = "A task does not answer its health check: /readyz?verbose says why." }
    presignd-5xx     = { namespace = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", dimensions = local.targets, statistic = "Sum", below = false, threshold = 10, periods = 3, missing = "notBreaching", text = "presignd answers 5xx: credentials, keys or the ledger; the log names which." }
    balancer-5xx     = { namespace = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", dimensions = local.balancer, statistic = "Sum", below = false, threshold = 10, periods = 3, missing = "notBreaching", text = "The load balancer answers 5xx itself: no task, or connections that break." }
    balancer-refused = { namespace = "AWS/ApplicationELB", metric = "DesyncMitigationMode_NonCompliant_Request_Count", dimensions = local.balancer, statistic = "Sum", below = false, threshold = 100, periods = 3, missing = "notBreaching", text = "Requests that two servers could read differently: a broken client, or somebody tries." }
    slow             = { namespace = "AWS/ApplicationELB", metric = "TargetResponseTime", dimensions = local.targets, statistic = "p99", below = false, threshold = 0.5, periods = 5, missing = "notBreaching", text = "One request in a hundred waits longer than half a second." }
    cpu              = { namespace = "AWS/ECS", metric = "CPUUtilization", dimensions = local.service, statistic = "Average", below = false, threshold = 85, periods = 10, missing = "breaching", text = "The tasks are busy although max_tasks may run." }
    ledger-memory    = { namespace = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", dimensions = local.ledger, statistic = "Maximum", below = false, threshold = 75, periods = 5, missing = "breaching", text = "The ledger fills up; full, it refuses, and so does presignd." }
    ledger-cpu       = { namespace = "AWS/ElastiCache", metric = "EngineCPUUtilization", dimensions = local.ledger, statistic = "Average", below = false, threshold = 80, periods = 5, missing = "breaching", text = "The ledger's one thread is busy: a larger kind of node." }
    errors           = { namespace = var.name, metric = "Errors", dimensions = {}, statistic = "Sum", below = false, threshold = 0, periods = 1, missing = "notBreaching", text = "presignd logged an error: something must be mended." }
  }
}

resource "aws_cloudwatch_log_metric_filter" "errors" {
  name           = "${var.name}-errors"
  log_group_name = aws_cloudwatch_log_group.presignd.name
  pattern        = "{ $.level = \"error\" }"

  metric_transformation {
    namespace = var.name
    name      = "Errors"
    value     = "1"
  }
}

resource "aws_cloudwatch_metric_alarm" "presignd" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = each.value.below ? "LessThanThreshold" : "GreaterThanThreshold"
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}
