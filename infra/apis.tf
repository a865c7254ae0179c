locals {
  apis = [
    "aiplatform.googleapis.com",
    "apikeys.googleapis.com",
    "artifactregistry.googleapis.com",
    "billingbudgets.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "cloudtasks.googleapis.com",
    "compute.googleapis.com",
    "firebaserules.googleapis.com",
    "firestore.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "identitytoolkit.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "securetoken.googleapis.com",
    "storage.googleapis.com",
    "sts.googleapis.com",
  ]
}

resource "google_project_service" "this" {
  for_each = toset(local.apis)
  service  = each.key
  # Destroying the configuration must not take the API from what is kept, above all the database.
  disable_on_destroy = false
}

# A fresh API answers "not enabled" for a while after it was enabled. Everything else waits for this.
resource "time_sleep" "apis" {
  create_duration = "90s"
  triggers        = { apis = join(",", local.apis) }
  depends_on      = [google_project_service.this]
}

data "google_project" "this" {
  project_id = var.project_id
  depends_on = [time_sleep.apis]
}

# The identities in which Google's own services act on ours. An empty project does not have them yet, and a grant to
# somebody who does not exist is refused.
resource "google_project_service_identity" "vertex" {
  provider   = google-beta
  service    = "aiplatform.googleapis.com"
  depends_on = [time_sleep.apis]
}

resource "google_project_service_identity" "pubsub" {
  provider   = google-beta
  service    = "pubsub.googleapis.com"
  depends_on = [time_sleep.apis]
}

data "google_storage_project_service_account" "this" {
  depends_on = [time_sleep.apis]
}
