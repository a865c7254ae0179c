# A query on several fields needs an index of just these; on one field it needs none of ours. tests/infra compares these
# with the queries that the code makes: none is missing, and none is here that no query uses.

locals {
  # By what is asked for: fields that are equal, then the one that it is ordered by (- is descending). An
  # administrator's list of one user's videos is served by the first.
  indexes = {
    "own-videos"                    = { collection = "jobs", fields = ["tenant", "account", "deleted_at", "-created_at"] }
    "own-videos-upwards"            = { collection = "jobs", fields = ["tenant", "account", "deleted_at", "created_at"] }
    "own-videos-by-status"          = { collection = "jobs", fields = ["tenant", "account", "deleted_at", "status", "-created_at"] }
    "own-videos-by-status-upwards"  = { collection = "jobs", fields = ["tenant", "account", "deleted_at", "status", "created_at"] }
    "own-videos-by-model"           = { collection = "jobs", fields = ["tenant", "account", "deleted_at", "request.model", "-created_at"] }
    "own-videos-by-model-upwards"   = { collection = "jobs", fields = ["tenant", "account", "deleted_at", "request.model", "created_at"] }
    "own-videos-by-project"         = { collection = "jobs", fields = ["tenant", "account", "deleted_at", "project", "-created_at"] }
    "own-videos-by-project-upwards" = { collection = "jobs", fields = ["tenant", "account", "deleted_at", "project", "created_at"] }
    "own-videos-to-erase"           = { collection = "jobs", fields = ["tenant", "account", "erasure", "-created_at"] }
    "own-changes"                   = { collection = "jobs", fields = ["tenant", "account", "updated_at"] }
    "tenant-videos"                 = { collection = "jobs", fields = ["tenant", "deleted_at", "-created_at"] }
    "tenant-videos-by-status"       = { collection = "jobs", fields = ["tenant", "deleted_at", "status", "-created_at"] }
    "tenant-videos-by-model"        = { collection = "jobs", fields = ["tenant", "deleted_at", "request.model", "-created_at"] }
    "users"                         = { collection = "accounts", fields = ["tenant", "-created_at"] }
    "users-by-email"                = { collection = "accounts", fields = ["tenant", "email", "-created_at"] }
    "own-ledger"                    = { collection = "credit_transactions", fields = ["tenant", "account", "-sequence"] }
    "ledger-totals"                 = { collection = "credit_transactions", fields = ["account", "amount"] }
    "own-keys"                      = { collection = "api_keys", fields = ["account", "-created_at"] }
    "own-keys-in-use"               = { collection = "api_keys", fields = ["account", "revoked_at", "-created_at"] }
    "projects"                      = { collection = "projects", fields = ["tenant", "-created_at"] }
    "endpoint-deliveries"           = { collection = "deliveries", fields = ["tenant", "account", "endpoint", "-created_at"] }
    "own-deliveries"                = { collection = "deliveries", fields = ["tenant", "account", "-created_at"] }
    "video-deliveries"              = { collection = "deliveries", fields = ["tenant", "account", "job", "-created_at"] }
    "own-exports"                   = { collection = "chores", fields = ["tenant", "account", "kind", "-created_at"] }
  }

  # Each field has an index of its own unless it is here: long texts that nobody asks for, and moments and counters that
  # no query is ordered by alone. Values that only ever grow would all be written to one place of such an index, which
  # takes some 500 a second.
  unindexed = [
    "accounts/closed_at",
    "accounts/created_at",
    "accounts/email_as_of",
    "accounts/valid_since",
    "accounts/verified_at",
    "api_keys/created_at",
    "api_keys/expires_at",
    "api_keys/last_used_at",
    "api_keys/revoked_at",
    "chores/completed_at",
    "chores/created_at",
    "chores/files",
    "config/changed_at",
    "credit_transactions/created_at",
    "credit_transactions/description",
    "cursors/updated_at",
    "deliveries/created_at",
    "deliveries/delivered_at",
    "deliveries/redelivered_at",
    "jobs/attempt_started_at",
    "jobs/created_at",
    "jobs/deleted_at",
    "jobs/erasure",
    "jobs/error",
    "jobs/files_removed_at",
    "jobs/labels",
    "jobs/last_viewed_at",
    "jobs/lease",
    "jobs/outputs",
    "jobs/repeats_taken",
    "jobs/request.negative_prompt",
    "jobs/request.prompt",
    "jobs/started_at",
    "jobs/storing_started_at",
    "jobs/updated_at",
    "jobs/warnings",
    "projects/created_at",
    "projects/updated_at",
    "signup_markers/created_at",
    "tenant_grant_entries/created_at",
    "tenant_grant_entries/description",
    "tenant_grants/updated_at",
    "webhook_endpoints/created_at",
    "webhook_endpoints/failing_since",
    "webhook_endpoints/paused_until",
    "webhook_endpoints/pinged_at",
    "webhook_endpoints/secrets",
    "webhook_endpoints/updated_at",
    "webhook_secrets/created_at",
    "webhook_secrets/secrets",
  ]
}

resource "google_firestore_index" "this" {
  for_each   = local.indexes
  database   = google_firestore_database.this.name
  collection = each.value.collection

  dynamic "fields" {
    for_each = each.value.fields

    content {
      field_path = trimprefix(fields.value, "-")
      order      = startswith(fields.value, "-") ? "DESCENDING" : "ASCENDING"
    }
  }
}

resource "google_firestore_field" "unindexed" {
  for_each   = toset(local.unindexed)
  database   = google_firestore_database.this.name
  collection = split("/", each.key)[0]
  field      = split("/", each.key)[1]

  # Empty: no index at all.
  index_config {}
}

# Counts of days that are over. Nothing else is removed by Firestore itself: it would not take a document's files along.
resource "google_firestore_field" "expiring" {
  for_each   = toset(["tenant_day_shards/expires_at", "tenant_days/expires_at"])
  database   = google_firestore_database.this.name
  collection = split("/", each.key)[0]
  field      = split("/", each.key)[1]

  index_config {}
  ttl_config {}
}
