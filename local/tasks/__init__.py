"""Cloud Tasks on a laptop: names with tombstones, schedules, retries, rate and concurrency limits, OIDC tokens."""

from local.tasks.server import Server, serve

__all__ = ["Server", "serve"]
