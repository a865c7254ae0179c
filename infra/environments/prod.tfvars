project_id  = "rushes-prod"
environment = "prod"
domain      = "rushes.example.com"

alert_emails = ["operations@example.com"]

# The first submit of the morning is answered as fast as any other.
warm_instances = 1
