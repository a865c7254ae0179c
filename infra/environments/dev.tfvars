project_id  = "rushes-dev"
environment = "dev"
domain      = "dev.rushes.example.com"

# Made to be thrown away.
deletion_protection = false
log_level           = "DEBUG"
signup_credits      = 500
