# The studio: web/ in a bucket that everybody may read, behind the load balancer's cache. Where nothing may be granted to
# allUsers there is no bucket, and the function history serves the same files with the same headers (shared/http/site.py).

locals {
  web = "${path.module}/../web"

  # By suffix. A file with another one is not uploaded but refused: it needs a row here.
  content_types = {
    css  = "text/css"
    html = "text/html"
    js   = "text/javascript"
    json = "application/json"
    svg  = "image/svg+xml"
    webp = "image/webp"
  }

  # Nothing inline, and nothing from elsewhere but signing in and the videos.
  content_security_policy = join("; ", [
    "default-src 'self'",
    "connect-src 'self' https://identitytoolkit.googleapis.com https://securetoken.googleapis.com https://storage.googleapis.com",
    "media-src 'self' blob: https://storage.googleapis.com",
    "img-src 'self' blob: data: https://storage.googleapis.com",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ])

  # Where the studio signs people in. The key is as public as the page.
  studio_config = jsonencode({
    identity_url     = "https://identitytoolkit.googleapis.com/v1"
    token_url        = "https://securetoken.googleapis.com/v1"
    api_key          = google_apikeys_key.studio.key_string
    tenant           = null
    google_client_id = var.google_client_id == "" ? null : var.google_client_id
    google_url       = "https://accounts.google.com/o/oauth2/v2/auth"
  })
}

resource "google_storage_bucket" "site" {
  #checkov:skip=CKV_GCP_62: The load balancer logs who asks for what
  #checkov:skip=CKV_GCP_78: An older page is uploaded anew from its commit
  #checkov:skip=CKV_GCP_114: These files are the public page; the bucket holds nothing else
  count                       = local.granted_to_all ? 1 : 0
  name                        = "${var.project_id}-site"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "inherited"
  force_destroy               = true

  website {
    main_page_suffix = "index.html"
  }

  depends_on = [time_sleep.apis]
}

resource "google_storage_bucket_object" "site" {
  for_each     = local.granted_to_all ? fileset(local.web, "**") : []
  bucket       = google_storage_bucket.site[0].name
  name         = each.key
  source       = "${local.web}/${each.key}"
  content_type = local.content_types[element(split(".", each.key), -1)]
  # The names do not change with the content, so nothing may be kept for long: a minute in the browser, and as long in
  # the cache before it.
  cache_control = "public, max-age=60"
}

# Of it the API's reference is made.
resource "google_storage_bucket_object" "openapi" {
  count         = local.granted_to_all ? 1 : 0
  bucket        = google_storage_bucket.site[0].name
  name          = "openapi.json"
  source        = "${path.module}/../openapi.json"
  content_type  = "application/json"
  cache_control = "public, max-age=60"
}

resource "google_storage_bucket_object" "config" {
  count         = local.granted_to_all ? 1 : 0
  bucket        = google_storage_bucket.site[0].name
  name          = "config.json"
  content_type  = "application/json"
  cache_control = "public, max-age=60"
  content       = local.studio_config
}

resource "google_compute_backend_bucket" "site" {
  count            = local.granted_to_all ? 1 : 0
  name             = "site"
  bucket_name      = google_storage_bucket.site[0].name
  enable_cdn       = true
  compression_mode = "AUTOMATIC"

  cdn_policy {
    cache_mode = "USE_ORIGIN_HEADERS"
  }

  custom_response_headers = [
    "Content-Security-Policy: ${local.content_security_policy}",
    "X-Content-Type-Options: nosniff",
    "Referrer-Policy: no-referrer",
    "Cross-Origin-Opener-Policy: same-origin",
    "Permissions-Policy: camera=(), microphone=(), geolocation=(), payment=()",
    "Strict-Transport-Security: max-age=31536000",
  ]
}
