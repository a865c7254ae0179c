# The load balancer: https only, the studio from a bucket, the API from the functions.

locals {
  # As shared/http/routes.py says, in the order in which they are tried. Without a method all of the path is one function's,
  # which answers 405 itself; * is one segment.
  routes = [
    { path = "/v1/videos", method = "POST", function = "submit" },
    { path = "/v1/videos/estimate", method = "POST", function = "submit" },
    { path = "/v1/videos/extensions", method = "POST", function = "submit" },
    { path = "/v1/videos/edits", method = "POST", function = "submit" },
    { path = "/v1/videos/*/remix", method = "", function = "submit" },
    { path = "/v1/videos/*/cancel", method = "", function = "submit" },
    { path = "/v1/account", method = "DELETE", function = "submit" },
    { path = "/v1/account/export", method = "", function = "submit" },
    { path = "/hooks/gemini", method = "", function = "submit" },
    { path = "/v1/videos/*/content", method = "", function = "stream" },
    { path = "/v1/videos/*/events", method = "", function = "stream" },
    { path = "/v1/events", method = "", function = "stream" },
    # Whatever else is the API's: history answers it, with 404 where there is no such path.
    { path = "/v1/**", method = "", function = "history" },
  ]

  # What is no path of the API's is the studio's.
  page = local.granted_to_all ? google_compute_backend_bucket.site[0].id : google_compute_backend_service.function["history"].id
}

resource "google_compute_url_map" "https" {
  name            = "rushes"
  default_service = local.page

  host_rule {
    hosts        = ["*"]
    path_matcher = "rushes"
  }

  path_matcher {
    name            = "rushes"
    default_service = local.page

    dynamic "route_rules" {
      for_each = local.routes

      content {
        priority = route_rules.key + 1
        service  = google_compute_backend_service.function[route_rules.value.function].id

        match_rules {
          path_template_match = route_rules.value.path

          dynamic "header_matches" {
            for_each = compact([route_rules.value.method])

            content {
              header_name = ":method"
              exact_match = header_matches.value
            }
          }
        }
      }
    }
  }
}

resource "google_compute_region_network_endpoint_group" "function" {
  for_each              = toset(local.public)
  name                  = each.key
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = google_cloudfunctions2_function.this[each.key].name
  }
}

resource "google_compute_backend_service" "function" {
  for_each              = google_compute_region_network_endpoint_group.function
  name                  = each.key
  load_balancing_scheme = "EXTERNAL_MANAGED"
  security_policy       = google_compute_security_policy.edge.id

  backend {
    group = each.value.id
  }

  # A tenth is enough to see who is turned away, and why.
  log_config {
    enable      = true
    sample_rate = 0.1
  }
}

resource "google_compute_global_address" "this" {
  name       = "rushes"
  depends_on = [time_sleep.apis]
}

# A certificate cannot change: another domain is another certificate, which replaces it once it is there.
resource "google_compute_managed_ssl_certificate" "this" {
  name = "rushes-${substr(sha256(var.domain), 0, 8)}"

  managed {
    domains = [var.domain]
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [time_sleep.apis]
}

resource "google_compute_ssl_policy" "this" {
  name            = "rushes"
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
  depends_on      = [time_sleep.apis]
}

resource "google_compute_target_https_proxy" "this" {
  name             = "rushes"
  url_map          = google_compute_url_map.https.id
  ssl_certificates = [google_compute_managed_ssl_certificate.this.id]
  ssl_policy       = google_compute_ssl_policy.this.id
}

resource "google_compute_global_forwarding_rule" "https" {
  name                  = "rushes-https"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this.id
  port_range            = "443"
  target                = google_compute_target_https_proxy.this.id
}

# --- http leads to https ---

resource "google_compute_url_map" "http" {
  name = "rushes-http"

  default_url_redirect {
    https_redirect         = true
    redirect_response_code = "MOVED_PERMANENTLY_DEFAULT"
    strip_query            = false
  }

  depends_on = [time_sleep.apis]
}

resource "google_compute_target_http_proxy" "this" {
  name    = "rushes-http"
  url_map = google_compute_url_map.http.id
}

resource "google_compute_global_forwarding_rule" "http" {
  name                  = "rushes-http"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this.id
  port_range            = "80"
  target                = google_compute_target_http_proxy.this.id
}
