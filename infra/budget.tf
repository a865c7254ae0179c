# What the project costs in a month, told by e-mail before it is too much. It stops nothing: a bill is no reason to lose
# a video. The billing account is that of the organization: whoever applies needs to be allowed to make budgets there.
resource "google_billing_budget" "monthly" {
  count           = var.billing_account != "" ? 1 : 0
  billing_account = var.billing_account
  display_name    = "Rushes ${var.environment}"

  budget_filter {
    projects               = ["projects/${data.google_project.this.number}"]
    calendar_period        = "MONTH"
    credit_types_treatment = "EXCLUDE_ALL_CREDITS"
  }

  # In the currency of the billing account.
  amount {
    specified_amount {
      units = tostring(var.monthly_budget)
    }
  }

  threshold_rules {
    threshold_percent = 0.5
  }

  threshold_rules {
    threshold_percent = 0.9
  }

  threshold_rules {
    threshold_percent = 1
  }

  threshold_rules {
    threshold_percent = 1
    spend_basis       = "FORECASTED_SPEND"
  }

  all_updates_rule {
    # A budget takes five channels at most. Whoever administers the billing account is told in any case.
    monitoring_notification_channels = slice(
      [for channel in google_monitoring_notification_channel.email : channel.id], 0, min(5, length(var.alert_emails))
    )
    disable_default_iam_recipients = false
  }
}
