output "url" {
  description = "The studio and the API."
  value       = "https://${var.domain}"
}

output "address" {
  description = "The address for the domain's A record. The certificate is issued once it points there."
  value       = google_compute_global_address.this.address
}

output "bucket" {
  description = "Bucket of the videos."
  value       = google_storage_bucket.videos.name
}

output "gemini_webhook_url" {
  description = "The URL to register as the Gemini API's static webhook."
  value       = "https://${var.domain}/hooks/gemini"
}

output "workload_identity_provider" {
  description = "Repository variable WORKLOAD_IDENTITY_PROVIDER of the workflows."
  value       = one(google_iam_workload_identity_pool_provider.github[*].name)
}

output "deployer" {
  description = "Variable DEPLOYER of the deployment environment."
  value       = one(google_service_account.deployer[*].email)
}

output "planner" {
  description = "Variable PLANNER of the repository."
  value       = one(google_service_account.planner[*].email)
}

output "after_apply" {
  description = "What tools/after_apply.py sets and checks."
  value = {
    project   = var.project_id
    region    = var.region
    url       = "https://${var.domain}"
    functions = sort(keys(local.functions))
    queues = concat(
      [for queue in google_cloud_tasks_queue.generate : queue.name],
      [google_cloud_tasks_queue.poll.name, google_cloud_tasks_queue.webhooks.name],
    )
    unchecked = local.granted_to_all ? [] : local.public
  }
}
