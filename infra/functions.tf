locals {
  packages = var.packages != "" ? var.packages : "${path.module}/../.build/packages"

  # Each is one folder of functions/. All take many requests at once, being asynchronous; that needs a whole CPU, and one
  # event loop cannot use more. `max` is what fits a new project's quota together; var.max_instances raises it.
  functions = {
    # Bodies of up to 30 MiB, which are held twice while they are read, and two processes of 512 MiB that read images:
    # with 12 bodies they fit. An image may have to be fetched, and a commit's outcome be looked for, within the two
    # minutes.
    submit = {
      memory      = "2Gi"
      timeout_s   = 120
      concurrency = 12
      warm        = true
      max         = 4
      public      = true
      settings = [
        "ALLOWED_ORIGINS", "BUCKET", "DEFAULT_MODELS", "DELIVER_URL", "GOOGLE_CLOUD_PROJECT", "LOG_LEVEL", "OMNI_OFFERED",
        "POLL_URL", "QUEUE_SUFFIX", "REGION", "REQUESTS_PER_MINUTE", "SIGNUP_CREDITS", "TASKS_SERVICE_ACCOUNT",
        "VERTEX_PROJECT",
      ]
      secrets = ["GEMINI_WEBHOOK_SECRET"]
    }

    # A delivery that stores a video holds some 60 MiB, so 16 fit. 900 s is what its leases and the queues' deadline of
    # 960 s are made for. Nobody waits for it: a cold start costs a job a second.
    poll = {
      memory      = "2Gi"
      timeout_s   = 900
      concurrency = 16
      warm        = false
      max         = 6
      public      = false
      settings = [
        "ALLOWED_ORIGINS", "BUCKET", "DELIVER_URL", "GOOGLE_CLOUD_PROJECT", "LOG_LEVEL", "POLL_URL", "QUEUE_SUFFIX",
        "REGION", "REQUESTS_PER_MINUTE", "SIGNUP_CREDITS", "TASKS_SERVICE_ACCOUNT", "VERTEX_LOCATION", "VERTEX_PROJECT",
      ]
      secrets = ["GEMINI_API_KEY"]
    }

    # Messages to servers of users, each of which may be waited for during 15 s; apart from poll, so that no receiver
    # takes a slot from a job's step. One instance: the limits per account and host that it keeps are the limits.
    deliver = {
      memory      = "512Mi"
      timeout_s   = 60
      concurrency = 40
      warm        = false
      max         = 1
      public      = false
      settings = [
        "ALLOWED_ORIGINS", "BUCKET", "DELIVER_URL", "GOOGLE_CLOUD_PROJECT", "LOG_LEVEL", "POLL_URL", "QUEUE_SUFFIX",
        "REGION", "REQUESTS_PER_MINUTE", "SIGNUP_CREDITS", "TASKS_SERVICE_ACCOUNT",
      ]
      secrets = []
    }

    # Live events: streams of up to ten minutes that mostly wait, over one connection to Firestore for all of them. The
    # rest of its time limit is for the stream to end by itself.
    stream = {
      memory      = "1Gi"
      timeout_s   = 660
      concurrency = 200
      warm        = true
      max         = 3
      public      = true
      settings = [
        "ALLOWED_ORIGINS", "BUCKET", "GOOGLE_CLOUD_PROJECT", "LOG_LEVEL", "REQUESTS_PER_MINUTE", "SIGNUP_CREDITS",
      ]
      secrets = []
    }

    # Small reads and edits, each of a few milliseconds of CPU: twice as many at once would only wait for each other.
    # The longest wait is Firestore's, 45 s.
    history = {
      memory      = "512Mi"
      timeout_s   = 60
      concurrency = 40
      warm        = true
      max         = 4
      public      = true
      settings = [
        "ALLOWED_ORIGINS", "BUCKET", "DEFAULT_MODELS", "DELIVER_URL", "GOOGLE_CLOUD_PROJECT", "LOG_LEVEL", "OMNI_OFFERED",
        "POLL_URL", "QUEUE_SUFFIX", "REGION", "REQUESTS_PER_MINUTE", "SIGNUP_CREDITS", "STUDIO_CONFIG",
        "TASKS_SERVICE_ACCOUNT", "VERTEX_PROJECT",
      ]
      secrets = []
    }

    # One pass at a time each; they may meet, and harm nobody. Passes over many jobs take their time.
    cleanup = {
      memory      = "512Mi"
      timeout_s   = 900
      concurrency = 4
      warm        = false
      max         = 1
      public      = false
      settings = [
        "ALLOWED_ORIGINS", "BUCKET", "DELIVER_URL", "GOOGLE_CLOUD_PROJECT", "LOG_LEVEL", "POLL_URL", "QUEUE_SUFFIX",
        "REGION", "REQUESTS_PER_MINUTE", "SIGNUP_CREDITS", "TASKS_SERVICE_ACCOUNT",
      ]
      secrets = []
    }
  }

  # Gi of memory by the unit in `memory`.
  gib_of_unit   = { Mi = 1 / 1024, Gi = 1 }
  gib           = { for name, row in local.functions : name => parseint(regex("^[0-9]+", row.memory), 10) * local.gib_of_unit[regex("[A-Z]i$", row.memory)] }
  max_instances = { for name, row in local.functions : name => lookup(var.max_instances, name, row.max) }

  # Known before the functions are, so that poll and deliver can be told their own.
  run_urls = { for name, _ in local.functions : name => "https://${name}-${data.google_project.this.number}.${var.region}.run.app" }

  # shared/platform/settings.py. What is not here is for the laptop.
  settings = {
    ALLOWED_ORIGINS       = join(",", concat(["https://${var.domain}"], var.allowed_origins))
    BUCKET                = google_storage_bucket.videos.name
    DELIVER_URL           = local.run_urls.deliver
    DEFAULT_MODELS        = var.default_models
    GOOGLE_CLOUD_PROJECT  = var.project_id
    LOG_LEVEL             = var.log_level
    OMNI_OFFERED          = tostring(var.gemini_api_key_version != "")
    POLL_URL              = local.run_urls.poll
    QUEUE_SUFFIX          = var.suffix
    REGION                = var.region
    REQUESTS_PER_MINUTE   = tostring(var.requests_per_minute)
    SIGNUP_CREDITS        = tostring(var.signup_credits)
    STUDIO_CONFIG         = local.granted_to_all ? "" : local.studio_config
    TASKS_SERVICE_ACCOUNT = google_service_account.tasks.email
    VERTEX_LOCATION       = var.vertex_location
    VERTEX_PROJECT        = var.project_id
  }

  # A secret without a version in use is not set: a function that named it could not start.
  secrets = {
    for name, secret in {
      GEMINI_API_KEY = {
        id      = google_secret_manager_secret.gemini_api_key.secret_id
        version = var.gemini_api_key_version
      }
      GEMINI_WEBHOOK_SECRET = {
        id      = google_secret_manager_secret.gemini_webhook_secret.secret_id
        version = var.gemini_webhook_secret_version
      }
    } : name => secret if secret.version != ""
  }
}

# Where the build puts the functions' images.
resource "google_artifact_registry_repository" "functions" {
  #checkov:skip=CKV_GCP_84: Our own code needs no key of our own
  repository_id = "functions"
  location      = var.region
  format        = "DOCKER"

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"

    # Enough for each function to be rolled back a few times.
    most_recent_versions {
      keep_count = 10
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"

    condition {
      older_than = "7776000s"
    }
  }

  depends_on = [time_sleep.apis]
}

resource "google_cloudfunctions2_function" "this" {
  #checkov:skip=CKV_GCP_124: The private functions admit internal calls only, the public ones what comes through the load balancer
  for_each = local.functions
  name     = each.key
  location = var.region

  build_config {
    runtime           = "python311"
    entry_point       = each.key
    service_account   = google_service_account.build.id
    docker_repository = google_artifact_registry_repository.functions.id

    source {
      storage_source {
        bucket = google_storage_bucket.packages.name
        object = google_storage_bucket_object.package[each.key].name
      }
    }
  }

  service_config {
    available_cpu                    = "1"
    available_memory                 = each.value.memory
    timeout_seconds                  = each.value.timeout_s
    max_instance_request_concurrency = each.value.concurrency
    min_instance_count               = each.value.warm ? var.warm_instances : 0
    max_instance_count               = local.max_instances[each.key]
    service_account_email            = google_service_account.function[each.key].email
    environment_variables            = { for name in each.value.settings : name => local.settings[name] }
    # Who would get around the load balancer would get around Cloud Armor.
    ingress_settings               = each.value.public ? "ALLOW_INTERNAL_AND_GCLB" : "ALLOW_INTERNAL_ONLY"
    all_traffic_on_latest_revision = !var.canary

    dynamic "secret_environment_variables" {
      for_each = [for name in each.value.secrets : name if contains(keys(local.secrets), name)]

      content {
        key        = secret_environment_variables.value
        project_id = var.project_id
        secret     = local.secrets[secret_environment_variables.value].id
        version    = local.secrets[secret_environment_variables.value].version
      }
    }
  }

  # Cloud Run refuses a function beyond it, and with it half of what is made after the functions.
  lifecycle {
    precondition {
      condition     = local.max_instances[each.key] <= var.cloud_run_quota.vcpu && local.max_instances[each.key] * local.gib[each.key] <= var.cloud_run_quota.gib
      error_message = "${each.key}: ${local.max_instances[each.key]} instances ask for more than cloud_run_quota. See Deploying in docs/operations.md."
    }
  }

  depends_on = [
    google_firestore_database.this,
    time_sleep.grants,
  ]
}

# All of them together meet the quota only while all are busy: requests are then answered 503.
check "cloud_run_quota" {
  assert {
    condition     = sum(values(local.max_instances)) <= var.cloud_run_quota.vcpu && sum([for name, instances in local.max_instances : instances * local.gib[name]]) <= var.cloud_run_quota.gib
    error_message = "All functions at their most instances ask for more than cloud_run_quota: ask Google for more, or lower max_instances."
  }
}

# A function is built, and must be able to use everything from its first request on. A grant takes a while to be known
# everywhere.
resource "time_sleep" "grants" {
  create_duration = "60s"

  depends_on = [
    google_artifact_registry_repository_iam_member.build,
    google_project_iam_member.build,
    google_project_iam_member.build_sources,
    google_project_iam_member.function,
    google_secret_manager_secret_iam_member.gemini_api_key,
    google_secret_manager_secret_iam_member.gemini_webhook_secret,
    google_storage_bucket_iam_member.build,
    google_storage_bucket_iam_member.function,
  ]
}
