# The week's figures by e-mail: the scheduler has them logged on Monday morning, and this sends the entry on.
resource "google_monitoring_alert_policy" "digest" {
  display_name          = "Weekly digest"
  combiner              = "OR"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = "The week was summed up"

    condition_matched_log {
      filter = "${local.from_functions} AND jsonPayload.message=\"digest\""
      # Ten are the most that a policy may have.
      label_extractors = {
        week             = "EXTRACT(jsonPayload.week)"
        completed        = "EXTRACT(jsonPayload.completed)"
        failed           = "EXTRACT(jsonPayload.failed)"
        canceled         = "EXTRACT(jsonPayload.canceled)"
        success_percent  = "EXTRACT(jsonPayload.success_percent)"
        generation_p50_s = "EXTRACT(jsonPayload.generation_p50_s)"
        generation_p95_s = "EXTRACT(jsonPayload.generation_p95_s)"
        credits_charged  = "EXTRACT(jsonPayload.credits_charged)"
        credits_refunded = "EXTRACT(jsonPayload.credits_refunded)"
        accounts         = "EXTRACT(jsonPayload.accounts)"
      }
    }
  }

  documentation {
    subject   = "Rushes, $${log.extracted_label.week} (${var.project_id})"
    mime_type = "text/markdown"
    content   = <<-EOT
      | | |
      |---|---|
      | videos completed | $${log.extracted_label.completed} |
      | jobs failed | $${log.extracted_label.failed} |
      | jobs canceled | $${log.extracted_label.canceled} |
      | success rate | $${log.extracted_label.success_percent} % |
      | generation, p50 and p95 | $${log.extracted_label.generation_p50_s} s, $${log.extracted_label.generation_p95_s} s |
      | credits charged | $${log.extracted_label.credits_charged} |
      | credits refunded | $${log.extracted_label.credits_refunded} |
      | active accounts | $${log.extracted_label.accounts} |

      The log entry `digest` also names what failed and who spent most.
    EOT

    dynamic "links" {
      for_each = local.operations_url

      content {
        display_name = "docs/operations.md: The weekly digest"
        url          = "${links.value}#the-weekly-digest"
      }
    }
  }

  alert_strategy {
    # A week is told when it is summed up; there is nothing to close.
    notification_prompts = ["OPENED"]
    auto_close           = "1800s"

    # A policy on log entries must have one. The scheduler may have a failed attempt repeated.
    notification_rate_limit {
      period = "3600s"
    }
  }

  depends_on = [time_sleep.apis]
}
