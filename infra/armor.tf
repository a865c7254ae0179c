# An address that asks too often is turned away before a function runs. What one user may do is counted by the functions,
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
