# The bucket tells of each new object, and Pub/Sub pushes that to the poll function: a hint to look at its job now.

resource "google_pubsub_topic" "objects" {
  #checkov:skip=CKV_GCP_83: The messages hold names of objects and nothing of what is in them
  name       = "object-finalized"
  depends_on = [time_sleep.apis]
}

resource "google_storage_notification" "objects" {
  bucket         = google_storage_bucket.videos.name
  topic          = google_pubsub_topic.objects.id
  payload_format = "JSON_API_V1"
  event_types    = ["OBJECT_FINALIZE"]

  depends_on = [google_pubsub_topic_iam_member.storage]
}

resource "google_pubsub_subscription" "objects" {
  name  = "object-finalized-poll"
  topic = google_pubsub_topic.objects.id
  # A hint that is an hour old helps nobody: the job has been looked at since. So there is no dead-letter topic either.
  message_retention_duration = "3600s"
  ack_deadline_seconds       = 60

  expiration_policy {
    ttl = ""
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  push_config {
    push_endpoint = "${local.run_urls.poll}/tasks/object-finalized"

    oidc_token {
      service_account_email = google_service_account.pubsub.email
      audience              = local.run_urls.poll
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.poll]
}
