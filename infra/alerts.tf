# Who is woken, and what for. `section` is that of docs/operations.md that says what to do: its text goes into the
# notification. Rates need some jobs to be rates: without a least number the first failure of a quiet night would be 100 %.

locals {
  alerts = {
    storing_fails = {
      severity = "CRITICAL"
      title    = "More than 5 % of finished videos cannot be stored"
      section  = "Storing fails"
      query    = <<-EOT
        sum(increase(logging_googleapis_com:user_storing_failures{monitored_resource="cloud_run_revision"}[5m]))
          / (
            sum(increase(logging_googleapis_com:user_storing_failures{monitored_resource="cloud_run_revision"}[5m]))
            + (
              sum(increase(logging_googleapis_com:user_storing_lag_seconds_count{monitored_resource="cloud_run_revision"}[5m]))
              or vector(0)
            )
          ) > 0.05
        and sum(increase(logging_googleapis_com:user_storing_failures{monitored_resource="cloud_run_revision"}[5m])) > 2
      EOT
    }
    storage_full = {
      severity = "CRITICAL"
      title    = "The bucket of the videos is over 90 % of its quota"
      section  = "Storage is nearly full"
      # Cloud Storage measures once a day.
      query = <<-EOT
        sum(last_over_time(storage_googleapis_com:storage_v2_total_bytes{monitored_resource="gcs_bucket",bucket_name="${google_storage_bucket.videos.name}"}[1d]))
          > 0.9 * ${var.videos_quota_gb} * 1000000000
      EOT
    }
    firestore_fails = {
      severity = "CRITICAL"
      title    = "Firestore does not answer, or refuses"
      section  = "Firestore fails"
      # Each is a call that was repeated for five seconds in vain.
      query = <<-EOT
        sum(increase(logging_googleapis_com:user_firestore_errors{monitored_resource="cloud_run_revision"}[5m])) > 2
      EOT
    }
    sweep_silent = {
      severity = "CRITICAL"
      title    = "The sweep has not run for five minutes"
      section  = "The sweep is silent"
      query    = <<-EOT
        (sum(increase(logging_googleapis_com:user_sweeps{monitored_resource="cloud_run_revision"}[5m])) or vector(0)) < 1
      EOT
    }
    api_fails = {
      severity = "CRITICAL"
      title    = "More than 20 % of the API's answers are errors of ours"
      section  = "The API fails"
      query    = <<-EOT
        sum(increase(run_googleapis_com:request_count{monitored_resource="cloud_run_revision",service_name=~"submit|stream|history",response_code_class="5xx"}[5m]))
          / sum(increase(run_googleapis_com:request_count{monitored_resource="cloud_run_revision",service_name=~"submit|stream|history"}[5m]))
          > 0.2
        and sum(increase(run_googleapis_com:request_count{monitored_resource="cloud_run_revision",service_name=~"submit|stream|history"}[5m])) > 20
      EOT
    }
    timeouts = {
      severity = "WARNING"
      title    = "More than 5 % of jobs time out"
      section  = "Jobs time out"
      query    = <<-EOT
        sum(increase(logging_googleapis_com:user_jobs_ended{monitored_resource="cloud_run_revision",code="GENERATION_TIMEOUT"}[6h]))
          / sum(increase(logging_googleapis_com:user_jobs_ended{monitored_resource="cloud_run_revision",status!="canceled"}[6h]))
          > 0.05
        and sum(increase(logging_googleapis_com:user_jobs_ended{monitored_resource="cloud_run_revision",status!="canceled"}[6h])) > 10
      EOT
    }
    slow_generation = {
      severity = "WARNING"
      title    = "Generations take more than 4 minutes on average"
      section  = "Generations are slow"
      query    = <<-EOT
        sum(increase(logging_googleapis_com:user_generation_seconds_sum{monitored_resource="cloud_run_revision"}[6h]))
          / sum(increase(logging_googleapis_com:user_generation_seconds_count{monitored_resource="cloud_run_revision"}[6h]))
          > 240
        and sum(increase(logging_googleapis_com:user_generation_seconds_count{monitored_resource="cloud_run_revision"}[6h])) > 5
      EOT
    }
    refunds = {
      severity = "WARNING"
      title    = "More than 15 % of jobs are refunded"
      section  = "Many refunds"
      # Whoever cancels is refunded as well, and that is no sign of trouble.
      query = <<-EOT
        sum(increase(logging_googleapis_com:user_jobs_refunded{monitored_resource="cloud_run_revision",status!="canceled"}[6h]))
          / sum(increase(logging_googleapis_com:user_jobs_ended{monitored_resource="cloud_run_revision",status!="canceled"}[6h]))
          > 0.15
        and sum(increase(logging_googleapis_com:user_jobs_ended{monitored_resource="cloud_run_revision",status!="canceled"}[6h])) > 10
      EOT
    }
    errors = {
      severity = "WARNING"
      title    = "An error was logged"
      section  = "An error was logged"
      # An incident for each kind of entry.
      query = <<-EOT
        sum by (event) (increase(logging_googleapis_com:user_errors{monitored_resource="cloud_run_revision"}[5m])) > 0
      EOT
    }
  }

  operations = file("${path.module}/../docs/operations.md")
  # Where people read it, if that is known.
  operations_url = var.github_repository != "" ? ["https://github.com/${var.github_repository}/blob/main/docs/operations.md"] : []
}

resource "google_monitoring_notification_channel" "email" {
  for_each     = toset(var.alert_emails)
  display_name = each.key
  type         = "email"
  labels       = { email_address = each.key }
  depends_on   = [time_sleep.apis]
}

resource "google_monitoring_alert_policy" "this" {
  for_each              = local.alerts
  display_name          = each.value.title
  severity              = each.value.severity
  combiner              = "OR"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = each.value.title

    condition_prometheus_query_language {
      query               = each.value.query
      duration            = "0s"
      evaluation_interval = "60s"
      # A metric is known only some minutes after it was made, and the platform's own only once there was traffic.
      disable_metric_validation = true
    }
  }

  documentation {
    subject   = "${each.value.severity}: ${each.value.title} (${var.project_id})"
    mime_type = "text/markdown"
    content   = regex("(?s)\n### ${each.value.section}\n\n(.+?)\n+(?:###? |$)", "${local.operations}\n\n## ")[0]

    dynamic "links" {
      for_each = local.operations_url

      content {
        display_name = "docs/operations.md: ${each.value.section}"
        url          = "${links.value}#${lower(replace(each.value.section, " ", "-"))}"
      }
    }
  }

  alert_strategy {
    # What is over without having been seen to end, as when a metric falls silent.
    auto_close = "86400s"
  }

  depends_on = [google_logging_metric.counter, google_logging_metric.distribution]
}
