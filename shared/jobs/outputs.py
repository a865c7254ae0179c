"""The files of a finished job: which object a request for its content refers to. Pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime

from shared.api.videos import ContentQuery
from shared.core import filenames
from shared.core.documents import Job, Stage
from shared.core.errors import ApiError


@dataclass(frozen=True)
class Content:
    """One object of a completed job. `size_bytes` is None if the job doesn't record it (posters).

    `download`: the browser saves it instead of showing it.
    """

    name: str
    filename: str
    download: bool
    modified_at: datetime
    content_type: str
    etag: str | None
    size_bytes: int | None


def content(job: Job, query: ContentQuery) -> Content:
    """The object that the query asks for; raises ApiError if it isn't available (yet, or any more)."""
    if not job.final:
        raise ApiError("JOB_NOT_FINISHED", details={"status": job.status}, retry_after_s=2)
    if job.stage is not Stage.COMPLETED:
        raise ApiError("VIDEO_NOT_AVAILABLE", details={"status": job.status})
    if job.files_removed_at is not None or not job.outputs:
        raise ApiError("GONE")
    if query.index >= len(job.outputs):
        raise ApiError("NOT_FOUND", f"This job has only {len(job.outputs)} videos.", {"field": "index"})
    output = job.outputs[query.index]
    assert output.object is not None, f"{job.id} is completed without an object"
    assert output.poster is not None, f"{job.id} is completed without a poster"
    assert job.completed_at is not None, f"{job.id} is completed at no time"
    stem = _stem(job, query)
    if query.variant == "thumbnail":
        return Content(output.poster, f"{stem}.jpg", query.download, job.completed_at, "image/jpeg", None, None)
    etag = etag_of(output.crc32c or "", output.size_bytes or 0)
    name, size_bytes = output.object, output.size_bytes
    return Content(name, f"{stem}.mp4", query.download, job.completed_at, "video/mp4", etag, size_bytes)


def _stem(job: Job, query: ContentQuery) -> str:
    """The file's name without its extension. It contains the prompt only on request, since URLs get shared."""
    numbered = f"{job.id}-{query.index}"
    if not query.download:
        return numbered
    words = filenames.stem(job.request.prompt, otherwise="")
    if not words:
        return numbered
    return words if len(job.outputs) == 1 else f"{words}-{query.index + 1}"


def etag_of(crc32c: str, size_bytes: int) -> str:
    """The strong ETag of an object, from its checksum (base64) and its size."""
    return f'"{base64.b64decode(crc32c).hex()}-{size_bytes}"'
