# Who asks too often is turned away before a function runs. What one user may do is counted by the functions, which
# know who is who; here it is addresses and API keys.
resource "google_compute_security_policy" "edge" {
  #checkov:skip=CKV_GCP_73: No Java runs here, so there is no Log4j to protect
  name = "rushes"

  # A key is counted from wherever it comes. ID tokens are not: only the first 128 bytes of a header are looked at, and
  # those are the same in the tokens of all users.
  rule {
    action      = "throttle"
    priority    = 1000
    description = "Requests of one API key"

    match {
      expr {
        expression = "request.path.startsWith('/v1/') && has(request.headers['authorization']) && request.headers['authorization'].lower().startsWith('bearer rk_')"
      }
    }

    rate_limit_options {
      conform_action      = "allow"
      exceed_action       = "deny(429)"
      enforce_on_key      = "HTTP_HEADER"
      enforce_on_key_name = "Authorization"

      rate_limit_threshold {
        count        = var.requests_per_minute_per_key
        interval_sec = 60
      }
    }
  }

  rule {
    action      = "throttle"
    priority    = 2000
    description = "Requests of one address"

    match {
      expr {
        expression = "request.path.startsWith('/v1/')"
      }
    }

    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"

      rate_limit_threshold {
        count        = var.requests_per_minute_per_address
        interval_sec = 60
      }
    }
  }

  # Machines: a provider's events come from few addresses, and as many as there is to tell. They are signed.
  rule {
    action      = "allow"
    priority    = 2147483647
    description = "Everything else"

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }
  }

  depends_on = [time_sleep.apis]
}
