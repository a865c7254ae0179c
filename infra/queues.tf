# Deadlines live in the job, so no queue ever gives up by itself: max_attempts -1, and no longest duration.

# One queue per model, paced to its quota. A step that would start a generation waits here, and only these queues are
# ever told to slow down (503).
resource "google_cloud_tasks_queue" "generate" {
  for_each = var.model_quotas
  name     = "generate-${each.key}${var.suffix}"
  location = var.region

  rate_limits {
    # To a thousandth, and down: a fraction that never ends would differ from what is stored at every plan.
    max_dispatches_per_second = floor(each.value * 1000 / 60) / 1000
    # A create is answered within 45 s: more at once would only run into the quota.
    max_concurrent_dispatches = 20
  }

  retry_config {
    max_attempts       = -1
    max_retry_duration = "0s"
    min_backoff        = "2s"
    max_backoff        = "60s"
    max_doublings      = 5
  }

  depends_on = [time_sleep.apis]
}

# Every other step of jobs, exports and erasures.
resource "google_cloud_tasks_queue" "poll" {
  name     = "poll${var.suffix}"
  location = var.region

  rate_limits {
    max_dispatches_per_second = 500
    max_concurrent_dispatches = 1000
  }

  retry_config {
    max_attempts       = -1
    max_retry_duration = "0s"
    min_backoff        = "1s"
    max_backoff        = "30s"
    max_doublings      = 5
  }

  depends_on = [time_sleep.apis]
}

# Deliveries to servers of users. When one is tried again is in its document; the queue repeats only what failed for
# want of a service of ours. No more at once than the function takes: Cloud Run would refuse the rest with 429, upon
# which Cloud Tasks slows the whole queue.
resource "google_cloud_tasks_queue" "webhooks" {
  name     = "webhooks${var.suffix}"
  location = var.region

  rate_limits {
    max_dispatches_per_second = 500
    max_concurrent_dispatches = 40
  }

  retry_config {
    max_attempts       = -1
    max_retry_duration = "0s"
    min_backoff        = "1s"
    max_backoff        = "30s"
    max_doublings      = 5
  }

  depends_on = [time_sleep.apis]
}
