# The repository's workflows deploy without a key: GitHub's token for a run is exchanged for one of these accounts.

locals {
  github = var.github_repository != "" ? 1 : 0
}

resource "google_iam_workload_identity_pool" "github" {
  count                     = local.github
  workload_identity_pool_id = "github${var.suffix}"
  display_name              = "GitHub Actions"
  depends_on                = [time_sleep.apis]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  #checkov:skip=CKV_GCP_125: The subject is demanded where an account is granted, since two accounts are for different ones
  count                              = local.github
  workload_identity_pool_id          = google_iam_workload_identity_pool.github[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub Actions"
  # Every repository of the world can have a token of this issuer.
  attribute_condition = "assertion.repository == '${var.github_repository}'"
  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
  }

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

# Applies. Only a run in the deployment environment of this installation's name is let in; who may start such a run, and
# after whose approval, is that environment's setting.
resource "google_service_account" "deployer" {
  count        = local.github
  account_id   = "rushes-deployer"
  display_name = "The workflow that deploys"
  depends_on   = [time_sleep.apis]
}

resource "google_service_account_iam_member" "deployer" {
  count              = local.github
  service_account_id = google_service_account.deployer[0].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principal://iam.googleapis.com/${google_iam_workload_identity_pool.github[0].name}/subject/repo:${var.github_repository}:environment:${var.environment}"
}

# What this configuration makes, and nothing else. It can grant roles, and so become anything in this project: the
# environment's approval is what guards it.
resource "google_project_iam_member" "deployer" {
  #checkov:skip=CKV_GCP_41: It gives each function its account, which whoever deploys functions must be allowed to
  #checkov:skip=CKV_GCP_46: It deploys as itself, not with a default account
  #checkov:skip=CKV_GCP_49: It makes the service accounts
  for_each = local.github == 0 ? [] : toset([
    "roles/artifactregistry.admin",
    "roles/cloudfunctions.admin",
    "roles/cloudscheduler.admin",
    "roles/cloudtasks.admin",
    "roles/compute.loadBalancerAdmin",
    "roles/compute.securityAdmin",
    "roles/datastore.owner",
    "roles/firebaserules.admin",
    "roles/iam.roleAdmin",
    "roles/iam.serviceAccountAdmin",
    "roles/iam.serviceAccountUser",
    "roles/iam.workloadIdentityPoolAdmin",
    "roles/identityplatform.admin",
    "roles/logging.admin",
    "roles/monitoring.admin",
    "roles/pubsub.admin",
    "roles/resourcemanager.projectIamAdmin",
    "roles/run.admin",
    "roles/secretmanager.admin",
    "roles/serviceusage.apiKeysAdmin",
    "roles/serviceusage.serviceUsageAdmin",
    "roles/storage.admin",
  ])
  project = var.project_id
  role    = each.key
  member  = google_service_account.deployer[0].member
}

# Plans. Any run of the repository is let in, those of pull requests included. It sees how everything is set up, and
# neither users' data nor a secret: hence no roles/viewer, which reads the database and the videos too.
resource "google_service_account" "planner" {
  count        = local.github
  account_id   = "rushes-planner"
  display_name = "The workflow that plans"
  depends_on   = [time_sleep.apis]
}

resource "google_service_account_iam_member" "planner" {
  count              = local.github
  service_account_id = google_service_account.planner[0].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github[0].name}/attribute.repository/${var.github_repository}"
}

resource "google_project_iam_member" "planner" {
  for_each = local.github == 0 ? [] : toset([
    "roles/artifactregistry.reader",
    "roles/cloudfunctions.viewer",
    "roles/cloudscheduler.viewer",
    "roles/cloudtasks.viewer",
    "roles/compute.viewer",
    "roles/firebaserules.viewer",
    "roles/iam.securityReviewer",
    "roles/iam.serviceAccountViewer",
    "roles/iam.workloadIdentityPoolViewer",
    "roles/identityplatform.viewer",
    "roles/monitoring.viewer",
    "roles/pubsub.viewer",
    "roles/run.viewer",
    "roles/secretmanager.viewer",
    "roles/serviceusage.apiKeysViewer",
    "roles/serviceusage.serviceUsageConsumer",
  ])
  project = var.project_id
  role    = each.key
  member  = google_service_account.planner[0].member
}

# Of Firestore, Cloud Logging and Cloud Storage there are no roles that see the set-up without the contents.
resource "google_project_iam_custom_role" "planner" {
  count   = local.github
  role_id = "rushesPlanner"
  title   = "How the database, the logs and the buckets are set up"
  permissions = [
    "datastore.backupSchedules.get",
    "datastore.backupSchedules.list",
    "datastore.databases.get",
    "datastore.databases.getMetadata",
    "datastore.indexes.get",
    "datastore.indexes.list",
    "iam.roles.get",
    "logging.buckets.get",
    "logging.logMetrics.get",
    "logging.sinks.get",
    "resourcemanager.projects.get",
    "storage.buckets.get",
  ]
  depends_on = [time_sleep.apis]
}

resource "google_project_iam_member" "planner_setup" {
  count   = local.github
  project = var.project_id
  role    = google_project_iam_custom_role.planner[0].id
  member  = google_service_account.planner[0].member
}

# What is uploaded is compared with what there is.
resource "google_storage_bucket_iam_member" "planner_packages" {
  count  = local.github
  bucket = google_storage_bucket.packages.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.planner[0].member
}

resource "google_storage_bucket_iam_member" "planner_site" {
  count  = local.granted_to_all ? local.github : 0
  bucket = google_storage_bucket.site[0].name
  role   = "roles/storage.objectViewer"
  member = google_service_account.planner[0].member
}

resource "google_storage_bucket_iam_member" "planner" {
  count  = var.state_bucket != "" ? local.github : 0
  bucket = var.state_bucket
  role   = "roles/storage.objectViewer"
  member = google_service_account.planner[0].member
}
