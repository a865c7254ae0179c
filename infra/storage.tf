# The videos, their poster frames, the images they are made from, and users' exports.
resource "google_storage_bucket" "videos" {
  #checkov:skip=CKV_GCP_62: Cloud Audit Logs tell who read what; access logs would be a second copy that must be kept as safe
  #checkov:skip=CKV_GCP_78: No object is ever overwritten (every upload demands that there is none), and what is deleted by mistake is in soft delete; versions would keep for ever what a user has the right to have removed
  name                        = "${var.project_id}-videos"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection

  versioning {
    enabled = false
  }

  # A week to undo a deletion. It is also how long a deleted account's files can still be had back by an operator.
  soft_delete_policy {
    retention_duration_seconds = 604800
  }

  # The signature in the URL is the guard, so any page may play it. A player seeks by ranges.
  cors {
    origin          = ["*"]
    method          = ["GET", "HEAD"]
    response_header = ["Accept-Ranges", "Content-Length", "Content-Range", "Content-Type", "ETag"]
    max_age_seconds = 3600
  }

  # Videos have no rule here: their jobs know how long they are kept, and remove them.
  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }

    condition {
      age = 1
    }
  }

  # The function removes an export after a week; this is for one whose removal never came about.
  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      age            = 30
      matches_prefix = ["exports/"]
    }
  }

  depends_on = [time_sleep.apis]
}

# What the functions are built from.
resource "google_storage_bucket" "packages" {
  #checkov:skip=CKV_GCP_62: Holds nothing but our own code, which the deployer writes and the build reads
  #checkov:skip=CKV_GCP_78: The name of each object holds the hash of its content; an older one is built anew from its commit
  name                        = "${var.project_id}-packages"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  depends_on = [time_sleep.apis]
}

resource "google_storage_bucket_object" "package" {
  for_each = local.functions
  bucket   = google_storage_bucket.packages.name
  # A new content is a new name, which is what makes the function be built again.
  name   = "${each.key}/${filesha256("${local.packages}/${each.key}.zip")}.zip"
  source = "${local.packages}/${each.key}.zip"
}
