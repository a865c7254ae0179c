"""Cloud Storage on a laptop: files on disk behind the JSON API, the XML API's object paths and V4 signed URLs."""

from local.storage.server import app

__all__ = ["app"]
