"""A finished video's bytes: by a signed URL, or streamed through with ranges for clients that cannot follow one."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response, StreamingResponse

from shared.errors import ApiError
from shared.models import ContentQuery, Job, SignedUrl, Stage

if TYPE_CHECKING:
    from shared.services import Services

# One answer of the proxy: a player asks again for more, and no connection is held for a whole film.
LONGEST_RANGE_BYTES = 16 * 1024 * 1024
# Cloud Run drops a longer response that states its length, and streams one that doesn't.
LONGEST_WITH_LENGTH_BYTES = 32 * 1024 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})$")


@dataclass(frozen=True)
class Content:
    """One object of a completed job. `size_bytes` is None where the job does not record it (posters)."""

    name: str
    filename: str
    content_type: str
    etag: str | None
    size_bytes: int | None


def content(job: Job, query: ContentQuery) -> Content:
    """What the query asks for; raises ApiError when it cannot be had (yet, or any more)."""
    if not job.final:
        raise ApiError("JOB_NOT_FINISHED", details={"status": job.status}, retry_after_s=2)
    if job.stage is not Stage.COMPLETED:
        raise ApiError("VIDEO_NOT_AVAILABLE", details={"status": job.status})
    if job.files_removed_at is not None or not job.outputs:
        raise ApiError("GONE")
    if query.index >= len(job.outputs):
        raise ApiError("NOT_FOUND", f"The job has {len(job.outputs)} videos.", {"field": "index"})
    output = job.outputs[query.index]
    assert output.object is not None, f"{job.id} is completed without an object"
    assert output.poster is not None, f"{job.id} is completed without a poster"
    stem = f"{job.id}-{query.index}"
    if query.variant == "thumbnail":
        return Content(output.poster, f"{stem}.jpg", "image/jpeg", None, None)
    etag = f'"{_hex(output.crc32c or "")}-{output.size_bytes}"'
    return Content(output.object, f"{stem}.mp4", "video/mp4", etag, output.size_bytes)


async def redirect(services: Services, item: Content) -> Response:
    signed = await services.media.sign(item.name, item.filename)
    return RedirectResponse(signed.url, 302, {"Cache-Control": "no-store"})


async def signed_url(services: Services, item: Content) -> SignedUrl:
    signed = await services.media.sign(item.name, item.filename)
    return SignedUrl(url=signed.url, expires_at=int(signed.expires_at.timestamp()))


async def proxied(services: Services, item: Content, headers: Headers, head: bool) -> Response:
    """The bytes through us: whole, or the part that Range asks for (206, at most 16 MiB each)."""
    item = await _measured(services, item)
    assert item.size_bytes is not None, "an object has a size once it is measured"
    assert item.etag is not None, "an object has a tag once it is measured"
    common = {
        "Accept-Ranges": "bytes",
        "ETag": item.etag,
        "Cache-Control": "private, max-age=300",
        "Content-Disposition": f'inline; filename="{item.filename}"',
    }
    if _matches(headers.get("if-none-match"), item.etag):
        return Response(status_code=304, headers=common)
    span = _span(headers, item.etag, item.size_bytes)
    first, last = span or (0, item.size_bytes - 1)
    if head or last - first < LONGEST_WITH_LENGTH_BYTES:
        common["Content-Length"] = str(last - first + 1)
    if span is not None:
        common["Content-Range"] = f"bytes {first}-{last}/{item.size_bytes}"
    status = 206 if span is not None else 200
    if head:
        return Response(status_code=status, headers=common, media_type=item.content_type)
    return StreamingResponse(services.media.stream(item.name, first, last), status, common, item.content_type)


async def _measured(services: Services, item: Content) -> Content:
    if item.size_bytes is not None and item.etag is not None:
        return item
    stored = await services.media.stat(item.name)
    if stored is None:
        raise ApiError("GONE")
    etag = f'"{_hex(stored.crc32c)}-{stored.size_bytes}"'
    return Content(item.name, item.filename, item.content_type, etag, stored.size_bytes)


def _span(headers: Headers, etag: str, size_bytes: int) -> tuple[int, int] | None:
    """First and last byte of a single satisfiable range; None asks for the whole.

    A malformed or multiple range is ignored, as RFC 9110 section 14.2 allows. Raises RANGE_NOT_SATISFIABLE.
    """
    match = _RANGE.match(headers.get("range", "").replace(" ", ""))
    if match is None or match.groups() == ("", "") or not _if_range(headers, etag):
        return None
    start, end = match.groups()
    first = int(start) if start else max(size_bytes - int(end), 0)
    last = min(int(end), size_bytes - 1) if start and end else size_bytes - 1
    if start and end and int(end) < int(start):
        return None
    if first >= size_bytes or (not start and int(end) == 0):
        raise ApiError(
            "RANGE_NOT_SATISFIABLE",
            details={"size_bytes": size_bytes},
            headers={"Content-Range": f"bytes */{size_bytes}"},
        )
    return first, min(last, first + LONGEST_RANGE_BYTES - 1)


def _if_range(headers: Headers, etag: str) -> bool:
    condition = headers.get("if-range")
    return condition is None or condition.strip() == etag


def _matches(condition: str | None, etag: str) -> bool:
    if condition is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in condition.split(",")}
    return etag in tags or "*" in tags


def _hex(crc32c: str) -> str:
    return base64.b64decode(crc32c).hex()
