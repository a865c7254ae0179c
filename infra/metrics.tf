# What shared/ logs, as numbers: each metric is made of one kind of entry, which it knows by its `message`. The entries
# are informational: with `log_level` above INFO there would be none.

locals {
  from_functions = "resource.type=\"cloud_run_revision\""

  # How many entries there are. `labels` are names of fields of the entry.
  counters = {
    jobs_submitted = {
      description = "Accepted requests."
      entry       = "jsonPayload.message=\"video_submitted\""
      labels      = { model = "model" }
    }
    jobs_ended = {
      description = "Jobs that ended, by status; `code` says why one failed."
      entry       = "jsonPayload.message=\"job_ended\""
      labels      = { model = "model", status = "status", code = "code" }
    }
    jobs_refunded = {
      description = "Jobs that ended with a refund, in full or in part."
      entry       = "jsonPayload.message=\"job_ended\" AND jsonPayload.refunded>0"
      labels      = { status = "status" }
    }
    storing_failures = {
      description = "Deliveries that couldn't store a finished video, after their quick retries."
      entry       = "jsonPayload.message=\"storing_failed\""
      labels      = { code = "code" }
    }
    sweeps = {
      description = "Runs of the sweep."
      entry       = "jsonPayload.message=\"swept_all\""
      labels      = {}
    }
    errors = {
      description = "Entries of severity ERROR; docs/operations.md explains each."
      entry       = "severity>=ERROR AND jsonPayload.message=~\"^[a-z_]+$\""
      labels      = { event = "message" }
    }
    firestore_errors = {
      description = "Calls to which Firestore didn't respond, or which it rejected."
      entry       = "jsonPayload.error=~\"Firestore: \" OR jsonPayload.exception=~\"shared/gateways/firestore.py\""
      labels      = { event = "message" }
    }
  }

  # What a field of the entries measures.
  distributions = {
    credits_charged = {
      description = "Credits of each accepted request."
      entry       = "jsonPayload.message=\"video_submitted\""
      field       = "cost"
      unit        = "1"
      labels      = { model = "model" }
    }
    credits_refunded = {
      description = "Credits of each refund."
      entry       = "jsonPayload.message=\"job_ended\" AND jsonPayload.refunded>0"
      field       = "refunded"
      unit        = "1"
      labels      = { status = "status" }
    }
    generation_seconds = {
      description = "From the start of a completed job's generation until its videos were known to exist."
      entry       = "jsonPayload.message=\"job_ended\" AND jsonPayload.status=\"completed\" AND jsonPayload.generation_seconds>=0"
      field       = "generation_seconds"
      unit        = "s"
      labels      = { model = "model" }
    }
    storing_lag_seconds = {
      description = "From the provider finishing until the video is stored and verified."
      entry       = "jsonPayload.message=\"video_stored\""
      field       = "lag_seconds"
      unit        = "s"
      labels      = { model = "model" }
    }
    jobs_unfinished = {
      description = "Unfinished jobs, counted each minute."
      entry       = "jsonPayload.message=\"jobs_unfinished\""
      field       = "jobs"
      unit        = "1"
      labels      = { status = "status" }
    }
  }
}

resource "google_logging_metric" "counter" {
  for_each         = local.counters
  name             = each.key
  description      = each.value.description
  filter           = "${local.from_functions} AND (${each.value.entry})"
  label_extractors = { for label, field in each.value.labels : label => "EXTRACT(jsonPayload.${field})" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    dynamic "labels" {
      for_each = each.value.labels

      content {
        key = labels.key
      }
    }
  }

  depends_on = [time_sleep.apis]
}

resource "google_logging_metric" "distribution" {
  for_each         = local.distributions
  name             = each.key
  description      = each.value.description
  filter           = "${local.from_functions} AND (${each.value.entry})"
  value_extractor  = "EXTRACT(jsonPayload.${each.value.field})"
  label_extractors = { for label, field in each.value.labels : label => "EXTRACT(jsonPayload.${field})" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = each.value.unit

    dynamic "labels" {
      for_each = each.value.labels

      content {
        key = labels.key
      }
    }
  }

  # From a tenth to some 9,000, each bucket a fifth wider: a percentile is right to a tenth.
  bucket_options {
    exponential_buckets {
      scale              = 0.1
      growth_factor      = 1.2
      num_finite_buckets = 63
    }
  }

  depends_on = [time_sleep.apis]
}
