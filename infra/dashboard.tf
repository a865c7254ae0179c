# All of an installation on one page. The layout is a template, since the console can export it after it was changed
# there.
resource "google_monitoring_dashboard" "this" {
  dashboard_json = templatefile("${path.module}/dashboard.json.tftpl", {
    bucket      = google_storage_bucket.videos.name
    environment = var.environment
  })

  depends_on = [google_logging_metric.counter, google_logging_metric.distribution]
}
