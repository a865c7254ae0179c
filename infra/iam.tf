# Who may do what. The same rows, with their reasons, are the table in docs/operations.md.

resource "google_service_account" "function" {
  for_each     = local.functions
  account_id   = "rushes-${each.key}"
  display_name = "The function ${each.key}"
  depends_on   = [time_sleep.apis]
}

resource "google_service_account" "tasks" {
  account_id   = "rushes-tasks"
  display_name = "Cloud Tasks calling the functions poll and deliver"
  depends_on   = [time_sleep.apis]
}

resource "google_service_account" "scheduler" {
  account_id   = "rushes-scheduler"
  display_name = "Cloud Scheduler calling the cleanup function"
  depends_on   = [time_sleep.apis]
}

resource "google_service_account" "pubsub" {
  account_id   = "rushes-pubsub"
  display_name = "The bucket's notifications calling the poll function"
  depends_on   = [time_sleep.apis]
}

resource "google_service_account" "build" {
  account_id   = "rushes-build"
  display_name = "Cloud Build making the functions' images"
  depends_on   = [time_sleep.apis]
}

# --- who may call which function ---

locals {
  # What the load balancer leads to.
  public = ["submit", "stream", "history"]
  # Otherwise tools/after_apply.py switches Cloud Run's check of the caller off: the functions' resource can't.
  granted_to_all = var.public_by == "all_users"
}

resource "google_cloud_run_v2_service_iam_member" "public" {
  for_each = local.granted_to_all ? toset(["submit", "stream", "history"]) : []
  name     = google_cloudfunctions2_function.this[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  # They check users' tokens and keys, and providers' signatures, themselves.
  member = "allUsers"
}

resource "google_cloud_run_v2_service_iam_member" "poll" {
  for_each = {
    tasks  = google_service_account.tasks.member
    pubsub = google_service_account.pubsub.member
  }
  name     = google_cloudfunctions2_function.this["poll"].name
  location = var.region
  role     = "roles/run.invoker"
  member   = each.value
}

resource "google_cloud_run_v2_service_iam_member" "deliver" {
  name     = google_cloudfunctions2_function.this["deliver"].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.tasks.member
}

resource "google_cloud_run_v2_service_iam_member" "cleanup" {
  name     = google_cloudfunctions2_function.this["cleanup"].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.scheduler.member
}

# --- the functions ---

resource "google_project_iam_member" "function" {
  for_each = toset(["submit", "poll", "deliver", "stream", "history", "cleanup"])
  project  = var.project_id
  # Firestore has no smaller thing to grant on than the database, and the project has one.
  role   = "roles/datastore.user"
  member = google_service_account.function[each.key].member
}

resource "google_project_iam_member" "vertex" {
  project = var.project_id
  role    = "roles/aiplatform.user"
  member  = google_service_account.function["poll"].member
}

resource "google_storage_bucket_iam_member" "function" {
  for_each = {
    submit  = "roles/storage.objectUser"
    poll    = "roles/storage.objectUser"
    stream  = "roles/storage.objectViewer"
    history = "roles/storage.objectViewer"
    cleanup = "roles/storage.objectUser"
  }
  bucket = google_storage_bucket.videos.name
  role   = each.value
  member = google_service_account.function[each.key].member
}

# Signs URLs in its own name, without a key: what the URL opens is what the account itself may read.
resource "google_service_account_iam_member" "sign" {
  for_each           = toset(["stream", "history"])
  service_account_id = google_service_account.function[each.key].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = google_service_account.function[each.key].member
}

# Who puts tasks on which queue: these, and nobody else.

resource "google_cloud_tasks_queue_iam_binding" "generate" {
  for_each = google_cloud_tasks_queue.generate
  name     = each.value.name
  location = var.region
  role     = "roles/cloudtasks.enqueuer"
  members = [
    google_service_account.function["submit"].member,
    google_service_account.function["poll"].member,
    google_service_account.function["cleanup"].member,
  ]
}

resource "google_cloud_tasks_queue_iam_binding" "poll" {
  name     = google_cloud_tasks_queue.poll.name
  location = var.region
  role     = "roles/cloudtasks.enqueuer"
  members = [
    google_service_account.function["submit"].member,
    google_service_account.function["poll"].member,
    google_service_account.function["history"].member,
    google_service_account.function["cleanup"].member,
  ]
}

resource "google_cloud_tasks_queue_iam_binding" "webhooks" {
  name     = google_cloud_tasks_queue.webhooks.name
  location = var.region
  role     = "roles/cloudtasks.enqueuer"
  members = [
    google_service_account.function["poll"].member,
    google_service_account.function["deliver"].member,
    google_service_account.function["history"].member,
    google_service_account.function["cleanup"].member,
  ]
}

# A job that was canceled, or ended by the sweep, leaves no task that would take a start's place in a paced queue.

resource "google_cloud_tasks_queue_iam_binding" "generate_delete" {
  for_each = google_cloud_tasks_queue.generate
  name     = each.value.name
  location = var.region
  role     = "roles/cloudtasks.taskDeleter"
  members = [
    google_service_account.function["submit"].member,
    google_service_account.function["poll"].member,
    google_service_account.function["cleanup"].member,
  ]
}

resource "google_cloud_tasks_queue_iam_binding" "poll_delete" {
  name     = google_cloud_tasks_queue.poll.name
  location = var.region
  role     = "roles/cloudtasks.taskDeleter"
  members = [
    google_service_account.function["submit"].member,
    google_service_account.function["poll"].member,
    google_service_account.function["cleanup"].member,
  ]
}

# The sweep asks whether a job's task is still there.

resource "google_cloud_tasks_queue_iam_member" "generate" {
  for_each = google_cloud_tasks_queue.generate
  name     = each.value.name
  location = var.region
  role     = "roles/cloudtasks.viewer"
  member   = google_service_account.function["cleanup"].member
}

resource "google_cloud_tasks_queue_iam_member" "poll" {
  name     = google_cloud_tasks_queue.poll.name
  location = var.region
  role     = "roles/cloudtasks.viewer"
  member   = google_service_account.function["cleanup"].member
}

resource "google_cloud_tasks_queue_iam_member" "webhooks" {
  name     = google_cloud_tasks_queue.webhooks.name
  location = var.region
  role     = "roles/cloudtasks.viewer"
  member   = google_service_account.function["cleanup"].member
}

# Whoever creates a task must be allowed to act as the account that the task calls with.
resource "google_service_account_iam_member" "tasks" {
  for_each           = toset(["submit", "poll", "deliver", "history", "cleanup"])
  service_account_id = google_service_account.tasks.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.function[each.key].member
}

resource "google_secret_manager_secret_iam_member" "gemini_api_key" {
  secret_id = google_secret_manager_secret.gemini_api_key.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function["poll"].member
}

resource "google_secret_manager_secret_iam_member" "gemini_webhook_secret" {
  secret_id = google_secret_manager_secret.gemini_webhook_secret.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function["submit"].member
}

# --- Google's own services ---

# Veo and Omni read the images and videos that they start from, and write what they make.
resource "google_storage_bucket_iam_member" "vertex" {
  bucket = google_storage_bucket.videos.name
  role   = "roles/storage.objectUser"
  member = google_project_service_identity.vertex.member
}

resource "google_pubsub_topic_iam_member" "storage" {
  topic  = google_pubsub_topic.objects.name
  role   = "roles/pubsub.publisher"
  member = data.google_storage_project_service_account.this.member
}

# Pub/Sub makes the tokens that it pushes with.
resource "google_service_account_iam_member" "pubsub" {
  service_account_id = google_service_account.pubsub.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = google_project_service_identity.pubsub.member
}

# --- the build ---

resource "google_project_iam_member" "build" {
  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.build.member
}

resource "google_storage_bucket_iam_member" "build" {
  bucket = google_storage_bucket.packages.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.build.member
}

# Cloud Functions copies an archive to a bucket of its own before it is built; that bucket is there from then on.
resource "google_project_iam_member" "build_sources" {
  project = var.project_id
  role    = "roles/storage.objectViewer"
  member  = google_service_account.build.member

  condition {
    title      = "bucket gcf-v2-sources"
    expression = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-${data.google_project.this.number}-\")"
  }
}

resource "google_artifact_registry_repository_iam_member" "build" {
  repository = google_artifact_registry_repository.functions.name
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build.member
}

# --- the studio's files ---

resource "google_storage_bucket_iam_member" "site" {
  #checkov:skip=CKV_GCP_28: It is the public page
  count  = local.granted_to_all ? 1 : 0
  bucket = google_storage_bucket.site[0].name
  # Reads an object whose name is known; lists nothing.
  role   = "roles/storage.legacyObjectReader"
  member = "allUsers"
}
