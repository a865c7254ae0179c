# An address that asks too often is turned away before a function runs; the studio's files come from Google's cache, where
# no limit can be set and none is needed. What one user may do is counted by the functions,
# which know who is who. Here that cannot be: of a header only the first 128 bytes are looked at, which are the same in the
# ID tokens of all users; and the first rule that counts a request is the last one to see it, so a rule that counts API
# keys would let in whoever makes up a new one each time, without a look at the address.
resource "google_compute_security_policy" "edge" {
  #checkov:skip=CKV_GCP_73: No Java runs here, so there is no Log4j to protect
  name = "rushes"

  rule {
    action      = "throttle"
    priority    = 1000
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

  # Providers' events, and whatever path is added without a rule of its own. A provider sends all events from a few
  # addresses, so this is far more than one address of a user may send, and far less than takes an instance down.
  rule {
    action      = "throttle"
    priority    = 2147483647
    description = "Everything else of one address"

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }

    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"

      rate_limit_threshold {
        count        = 3000
        interval_sec = 60
      }
    }
  }

  depends_on = [time_sleep.apis]
}
