"""A finished video's content: by signed URL, or proxied with range support for clients that can't follow a redirect."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC
from email.utils import format_datetime, parsedate_to_datetime

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response, StreamingResponse

from shared.api.rendering import matches
from shared.api.videos import SignedUrl
from shared.core import filenames
from shared.core.errors import ApiError
from shared.jobs import outputs
from shared.jobs.outputs import Content
from shared.platform.ports import Services

# Maximum length of one range: players request more when they need it, so no connection lasts a whole video.
LONGEST_RANGE_BYTES = 16 * 1024 * 1024
# Cloud Run drops longer responses with a Content-Length, but streams those without.
LONGEST_WITH_LENGTH_BYTES = 32 * 1024 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})$")


async def redirect(services: Services, item: Content) -> Response:
    signed = await services.objects.sign(item.name, item.filename, item.download)
    return RedirectResponse(signed.url, 302, {"Cache-Control": "no-store"})


async def signed_url(services: Services, item: Content) -> SignedUrl:
    signed = await services.objects.sign(item.name, item.filename, item.download)
    return SignedUrl(url=signed.url, expires_at=signed.expires_at)


async def proxied(services: Services, item: Content, headers: Headers, head: bool) -> Response:
    """Proxy the file, whole or the requested range (206, at most 16 MiB)."""
    item = await _measured(services, item)
    assert item.size_bytes is not None, "an object has a size once it is measured"
    assert item.etag is not None, "an object has a tag once it is measured"
    common = {
        "Accept-Ranges": "bytes",
        "ETag": item.etag,
        "Last-Modified": format_datetime(item.modified_at.astimezone(UTC), usegmt=True),
        "Cache-Control": "private, max-age=300",
        "Content-Disposition": filenames.disposition(item.filename, item.download),
    }
    if _is_known(headers, item):
        return Response(status_code=304, headers=common)
    span = _span(headers, (item.etag, common["Last-Modified"]), item.size_bytes)
    first, last = span or (0, item.size_bytes - 1)
    if head or last - first < LONGEST_WITH_LENGTH_BYTES:
        common["Content-Length"] = str(last - first + 1)
    if span is not None:
        common["Content-Range"] = f"bytes {first}-{last}/{item.size_bytes}"
    status = 206 if span is not None else 200
    if head:
        return Response(status_code=status, headers=common, media_type=item.content_type)
    return StreamingResponse(services.objects.stream(item.name, first, last), status, common, item.content_type)


async def _measured(services: Services, item: Content) -> Content:
    if item.size_bytes is not None and item.etag is not None:
        return item
    stored = await services.objects.stat(item.name)
    if stored is None:
        raise ApiError("GONE")
    etag = outputs.etag_of(stored.crc32c, stored.size_bytes)
    return replace(item, etag=etag, size_bytes=stored.size_bytes)


def _span(headers: Headers, validators: tuple[str, str], size_bytes: int) -> tuple[int, int] | None:
    """First and last byte of a single satisfiable range; None means the whole file.

    A malformed or multiple range is ignored, as RFC 9110 section 14.2 allows. Raises RANGE_NOT_SATISFIABLE.
    """
    match = _RANGE.match(headers.get("range", "").replace(" ", ""))
    if match is None or match.groups() == ("", "") or not _if_range(headers, validators):
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


def _if_range(headers: Headers, validators: tuple[str, str]) -> bool:
    condition = headers.get("if-range")
    return condition is None or condition.strip() in validators


def _is_known(headers: Headers, item: Content) -> bool:
    """Whether the client's copy is current, by ETag or else by date (RFC 9110 section 13.2.2)."""
    assert item.etag is not None, "an object has a tag once it is measured"
    condition = headers.get("if-none-match")
    if condition is not None:
        return matches(condition, item.etag)
    try:
        since = parsedate_to_datetime(headers.get("if-modified-since", ""))
    except (ValueError, OverflowError):
        return False
    return since.tzinfo is not None and item.modified_at.replace(microsecond=0) <= since
