variable "project_id" {
  description = "The Google Cloud project, used only by this installation."
  type        = string
}

variable "environment" {
  description = "Name of the installation; the deployment environment of the same name may deploy it."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "The environment is dev, staging or prod."
  }
}

variable "domain" {
  description = "Host name of the studio and the API. Its A record must point to the output `address`."
  type        = string
}

variable "region" {
  description = "Region of the functions, the queues, the database and the bucket."
  type        = string
  default     = "us-central1"
}

variable "suffix" {
  description = "Suffix of the names that stay taken for days after a destroy, such as \"-b\". Use a new one each time you start over in the same project."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(-[a-z0-9]{1,8})?$", var.suffix))
    error_message = "The suffix is empty, or a hyphen and up to eight lowercase letters and digits."
  }
}

variable "public_by" {
  description = "How everybody reaches the public functions and the studio: grants to allUsers, or, where an organization forbids them, without Cloud Run's invoker check and with the studio served by history. See Deploying."
  type        = string
  default     = "all_users"

  validation {
    condition     = contains(["all_users", "no_invoker_check"], var.public_by)
    error_message = "public_by is all_users or no_invoker_check."
  }
}

variable "vertex_location" {
  description = "Location of Veo on Vertex AI; Omni's is global."
  type        = string
  default     = "us-central1"
}

variable "packages" {
  description = "Folder of the functions' archives, as `make package` builds them. Empty: .build/packages."
  type        = string
  default     = ""
}

variable "model_quotas" {
  description = "Creates per minute that each model's queue lets through: the provider's quota for this project."
  type        = map(number)
  default = {
    omni-flash   = 50
    veo-3-1      = 50
    veo-3-1-fast = 50
    veo-3-1-lite = 50
  }
}

variable "max_instances" {
  description = "Maximum instances by function, if different from infra/functions.tf."
  type        = map(number)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.max_instances) : contains(["submit", "poll", "deliver", "stream", "history", "cleanup"], name)])
    error_message = "max_instances names a function that doesn't exist."
  }
}

variable "cloud_run_quota" {
  description = "The region's quotas CpuAllocPerProjectRegion and MemAllocPerProjectRegion of Cloud Run. These are a new project's."
  type        = object({ vcpu = number, gib = number })
  default     = { vcpu = 20, gib = 40 }
}

variable "canary" {
  description = "Whether a new revision starts without requests: tools/canary.py then sends it a tenth of them first. Without that tool it gets none."
  type        = bool
  default     = false
}

variable "gemini_api_key_version" {
  description = "Version of the secret gemini-api-key that the poll function uses. Empty: Omni only through Vertex AI."
  type        = string
  default     = ""
}

variable "gemini_webhook_secret_version" {
  description = "Version of the secret gemini-webhook-secret. Empty: the Gemini API's events are rejected."
  type        = string
  default     = ""
}

variable "default_models" {
  description = "Comma-separated; the first available one is the default model."
  type        = string
  default     = "veo-3.1-fast,omni-flash"
}

variable "signup_credits" {
  description = "Credits that a verified email address gets once, unless config/video says otherwise."
  type        = number
  default     = 0
}

variable "invited_users_only" {
  description = "Whether only administrators of the project create users, and nobody can sign up."
  type        = bool
  default     = false
}

variable "sign_up_quota" {
  description = "Sign-ups per hour from one IP address (1 to 1,000) instead of 100, from a time (RFC 3339) for a duration (\"86400s\")."
  type        = object({ per_hour = number, start_time = string, duration = string })
  default     = null
}

variable "google_client_id" {
  description = "OAuth client of type web application, with https://DOMAIN/ as redirect URI. Empty: no Google sign-in."
  type        = string
  default     = ""
}

variable "google_client_secret" {
  description = "That client's secret. Set it in the environment, as TF_VAR_google_client_secret."
  type        = string
  default     = ""
  sensitive   = true
}

variable "requests_per_minute" {
  description = "Requests of one user per minute and process, unless config/video says otherwise."
  type        = number
  default     = 100
}

variable "requests_per_minute_per_address" {
  description = "API requests per minute and IP address."
  type        = number
  default     = 200
}

variable "allowed_origins" {
  description = "Origins of pages other than the studio that may call the API."
  type        = list(string)
  default     = []
}

variable "log_level" {
  description = "Lowest severity that the functions log: INFO, or DEBUG for more."
  type        = string
  default     = "INFO"

  # The metrics are made of informational entries: without them the alert on a silent sweep would never end.
  validation {
    condition     = contains(["DEBUG", "INFO"], var.log_level)
    error_message = "The log level is DEBUG or INFO."
  }
}

variable "warm_instances" {
  description = "Instances of each public function that are kept warm: each function costs some 10 to 20 USD a month."
  type        = number
  default     = 0
}

variable "deletion_protection" {
  description = "Whether the database and the buckets are kept when the configuration is destroyed."
  type        = bool
  default     = true
}

variable "github_repository" {
  description = "OWNER/NAME of the repository whose workflows may deploy this installation. Empty: none."
  type        = string
  default     = ""
}

variable "state_bucket" {
  description = "Bucket of the Terraform state, which the workflows need. Empty: none is granted."
  type        = string
  default     = ""
}

variable "alert_emails" {
  description = "Email addresses for alerts, the budget, and the weekly report."
  type        = list(string)
  default     = []
}

variable "videos_quota_gb" {
  description = "Intended maximum size of the videos' bucket. Cloud Storage has no limit of its own."
  type        = number
  default     = 1000
}

variable "log_retention_days" {
  description = "Days for which log entries are kept. Audit entries have their own."
  type        = number
  default     = 30
}

variable "audit_retention_days" {
  description = "Days for which audit entries are kept."
  type        = number
  default     = 400
}

variable "billing_account" {
  description = "Id of the billing account that the monthly budget is set on. Empty: no budget."
  type        = string
  default     = ""
}

variable "monthly_budget" {
  description = "Monthly budget of the project, in whole units of the billing account's currency."
  type        = number
  default     = 200
}
