project_id  = "rushes-dev"
environment = "dev"
domain      = "dev.rushes.example.com"

# Nothing here is worth keeping. To start over, throw away the project, not the configuration (docs/operations.md).
deletion_protection = false
log_level           = "DEBUG"
signup_credits      = 500
