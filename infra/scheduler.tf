locals {
  # The sweep each minute, two daily at a quiet hour, the digest on Monday morning. A sweep that fails is not repeated:
  # the next one comes by itself. `deadline_s` of the others is longer than the function's own limit.
  schedules = {
    sweep     = { schedule = "* * * * *", deadline_s = 180, retries = 0 }
    retain    = { schedule = "17 3 * * *", deadline_s = 960, retries = 3 }
    reconcile = { schedule = "47 4 * * *", deadline_s = 960, retries = 3 }
    digest    = { schedule = "0 8 * * 1", deadline_s = 960, retries = 3 }
  }
}

resource "google_cloud_scheduler_job" "this" {
  for_each         = local.schedules
  name             = each.key
  region           = var.region
  schedule         = each.value.schedule
  time_zone        = "Etc/UTC"
  attempt_deadline = "${each.value.deadline_s}s"

  retry_config {
    retry_count          = each.value.retries
    min_backoff_duration = "60s"
  }

  http_target {
    http_method = "POST"
    uri         = "${local.run_urls.cleanup}/tasks/${each.key}"

    oidc_token {
      service_account_email = google_service_account.scheduler.email
      # The service's root: Cloud Run compares it with the service's address, without a path.
      audience = local.run_urls.cleanup
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.cleanup]
}
