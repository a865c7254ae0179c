# Terraform makes the secrets, never their values, which would stay in its state. A value is added as a version with
# `gcloud secrets versions add`, and taken into use by naming that version in a variable (docs/operations.md).

resource "google_secret_manager_secret" "gemini_api_key" {
  secret_id = "gemini-api-key"

  replication {
    auto {}
  }

  depends_on = [time_sleep.apis]
}

resource "google_secret_manager_secret" "gemini_webhook_secret" {
  secret_id = "gemini-webhook-secret"

  replication {
    auto {}
  }

  depends_on = [time_sleep.apis]
}
