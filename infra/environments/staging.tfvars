project_id  = "rushes-staging"
environment = "staging"
domain      = "staging.rushes.example.com"

signup_credits = 500
