# Who did what, kept apart and for longer than other logs: what shared/platform/audit.py records, and what people and tools wrote
# to the database by hand.

resource "google_logging_project_bucket_config" "audit" {
  project        = var.project_id
  location       = var.region
  bucket_id      = "audit${var.suffix}"
  description    = "Audit entries; see shared/platform/audit.py and docs/operations.md."
  retention_days = var.audit_retention_days
  depends_on     = [time_sleep.apis]
}

# Everything else that is logged, Google's own request logs too: docs/privacy.md says for how long.
resource "google_logging_project_bucket_config" "default" {
  project        = var.project_id
  location       = "global"
  bucket_id      = "_Default"
  retention_days = var.log_retention_days
  depends_on     = [time_sleep.apis]
}

# A bucket of one's own project needs no grant.
resource "google_logging_project_sink" "audit" {
  name                   = "audit"
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.audit.id}"
  unique_writer_identity = true

  filter = <<-EOT
    (resource.type="cloud_run_revision" AND labels.log="audit")
    OR (log_id("cloudaudit.googleapis.com/data_access") AND protoPayload.serviceName="firestore.googleapis.com")
  EOT
}

# Google records writes to Firestore only when told to. The functions' own, which are many, are in the ledger and in the
# entries above; what remains is what somebody edited in the console.
resource "google_project_iam_audit_config" "firestore" {
  project = var.project_id
  service = "datastore.googleapis.com"

  audit_log_config {
    log_type         = "DATA_WRITE"
    exempted_members = [for account in google_service_account.function : account.member]
  }
}
