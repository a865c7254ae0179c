# Who signs in: Identity Platform, by e-mail and password. Enabled once and never destroyed: an existing one is adopted
# with `terraform import google_identity_platform_config.this PROJECT`.
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

  depends_on = [time_sleep.apis]
}

# The key that the studio sends to Identity Platform. It identifies the project and is public, as every page's is; it
# opens nothing but signing in. It is not bound to our domain: the studio sends no Referer, which that would need.
resource "google_apikeys_key" "studio" {
  name         = "studio"
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
