# Who signs in: Identity Platform, by email and password, and with Google where a client id is given. Enabled once and
# never destroyed: an existing one is adopted with `terraform import google_identity_platform_config.this PROJECT`. What
# Terraform can't set (the page that links in mail lead to, protection of addresses) is set by tools/identity_settings.py.
resource "google_identity_platform_config" "this" {
  authorized_domains = [var.domain]

  sign_in {
    allow_duplicate_emails = false

    email {
      enabled           = true
      password_required = true
    }

    anonymous {
      enabled = false
    }
  }

  multi_tenant {
    allow_tenants = true
  }

  # A sign-in that is deleted by itself would leave an account that nobody reaches, and free the address for another
  # sign-in. DELETE /v1/account is the way.
  client {
    permissions {
      disabled_user_deletion = true
      disabled_user_signup   = var.invited_users_only
    }
  }

  # Without it 100 sign-ups an hour from one address: too few for a classroom, for as long as the lesson lasts.
  dynamic "quota" {
    for_each = var.sign_up_quota[*]

    content {
      sign_up_quota_config {
        quota          = quota.value.per_hour
        start_time     = quota.value.start_time
        quota_duration = quota.value.duration
      }
    }
  }

  depends_on = [time_sleep.apis]
}

# Signing in with Google, by an OAuth client that is made by hand: Google has no API for its consent screen. The secret
# is in the state as well: pass it as TF_VAR_google_client_secret and never commit it.
resource "google_identity_platform_default_supported_idp_config" "google" {
  count         = var.google_client_id == "" ? 0 : 1
  idp_id        = "google.com"
  client_id     = var.google_client_id
  client_secret = var.google_client_secret
  enabled       = true

  depends_on = [google_identity_platform_config.this]
}

# The key that the studio sends to Identity Platform. It identifies the project and is public, as every page's is; it
# opens nothing but signing in. It is not bound to our domain: the studio sends no Referer, which that would need.
resource "google_apikeys_key" "studio" {
  name         = "studio${var.suffix}"
  display_name = "The studio's calls to Identity Platform"

  restrictions {
    api_targets {
      service = "identitytoolkit.googleapis.com"
    }

    api_targets {
      service = "securetoken.googleapis.com"
    }
  }

  depends_on = [time_sleep.apis]
}
