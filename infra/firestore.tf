resource "google_firestore_database" "this" {
  # The functions and the clients' libraries know it under this name.
  name        = "(default)"
  location_id = var.region
  type        = "FIRESTORE_NATIVE"

  # Any moment of the last seven days can be had back, and each of the last thirty at its daily backup.
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  delete_protection_state           = var.deletion_protection ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy                   = var.deletion_protection ? "ABANDON" : "DELETE"

  depends_on = [time_sleep.apis]
}

resource "google_firestore_backup_schedule" "daily" {
  database  = google_firestore_database.this.name
  retention = "2592000s"

  daily_recurrence {}
}

# What web and mobile clients may read for themselves.
resource "google_firebaserules_ruleset" "firestore" {
  source {
    files {
      name    = "firestore.rules"
      content = file("${path.module}/firestore.rules")
    }
  }

  depends_on = [google_firestore_database.this]

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_firebaserules_release" "firestore" {
  name         = "cloud.firestore"
  ruleset_name = google_firebaserules_ruleset.firestore.name

  # A release that stays while its ruleset is replaced goes on applying the old one.
  lifecycle {
    replace_triggered_by = [google_firebaserules_ruleset.firestore]
  }
}
