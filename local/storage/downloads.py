"""Object bytes over HTTP: conditional requests, ranges and streams of bounded memory."""

import asyncio
import datetime
import re
from collections.abc import AsyncIterator, Mapping
from email.utils import format_datetime, parsedate_to_datetime
from typing import BinaryIO, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from local.storage import errors
from local.storage.disk import Disk
from local.storage.objects import DEFAULT_CONTENT_TYPE, StoredObject

BLOCK_BYTES: Final = 512 * 1024
RANGE: Final = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)")


def download(request: Request, disk: Disk, stored: StoredObject, etag: str, extra: Mapping[str, str]) -> Response:
    """The answer to GET or HEAD: 200, 206 or 304. Raises 416.

    `etag` is the API's form of the ETag; `extra` holds headers (lower case) that replace the object's own.
    """
    headers = {**_headers(stored), "etag": etag, **extra}
    if _is_unchanged(request, stored, etag):
        kept = ("etag", "last-modified", "cache-control", "x-goog-generation")
        return Response(status_code=304, headers={name: headers[name] for name in kept})
    chosen = _range(request, stored, etag)
    first, last = chosen or (0, stored.size - 1)
    length = last - first + 1
    headers["content-length"] = str(length)
    if chosen:
        headers["content-range"] = f"bytes {first}-{last}/{stored.size}"
    status = 206 if chosen else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    # Opened before anything is awaited: from here on the bytes are safe from an overwrite or a delete.
    return StreamingResponse(_blocks(disk.open(stored), first, length), status, headers=headers)


def _headers(stored: StoredObject) -> dict[str, str]:
    fields = stored.fields
    headers = {
        "content-type": fields.get("contentType", DEFAULT_CONTENT_TYPE),
        "cache-control": fields.get("cacheControl", "private, max-age=0"),
        "last-modified": _http_date(stored.updated_at),
        "accept-ranges": "bytes",
        "x-goog-generation": str(stored.generation),
        "x-goog-metageneration": str(stored.metageneration),
        "x-goog-hash": f"crc32c={stored.crc32c},md5={stored.md5}",
        "x-goog-storage-class": fields.get("storageClass", "STANDARD"),
        "x-goog-stored-content-encoding": fields.get("contentEncoding", "identity"),
        "x-goog-stored-content-length": str(stored.size),
    }
    for name, field in (
        ("content-disposition", "contentDisposition"),
        ("content-encoding", "contentEncoding"),
        ("content-language", "contentLanguage"),
    ):
        if field in fields:
            headers[name] = fields[field]
    for name, value in fields.get("metadata", {}).items():
        # Custom metadata is any text; in a header it is its UTF-8.
        headers[f"x-goog-meta-{name.lower()}"] = value.encode().decode("latin-1")
    return headers


def _is_unchanged(request: Request, stored: StoredObject, etag: str) -> bool:
    wanted = request.headers.get("if-none-match")
    if wanted is not None:
        return _matches(wanted, etag)
    since = _date(request.headers.get("if-modified-since"))
    return since is not None and int(stored.updated_at) <= since.timestamp()


def _matches(header: str, etag: str) -> bool:
    listed = [item.strip().removeprefix("W/").strip('"') for item in header.split(",")]
    return "*" in listed or etag.strip('"') in listed


def _range(request: Request, stored: StoredObject, etag: str) -> tuple[int, int] | None:
    """First and last byte asked for, or None for the whole object: without a range, or one that does not apply."""
    match = RANGE.fullmatch(request.headers.get("range", "").strip())
    if match is None or match.groups() == ("", "") or not _range_applies(request, stored, etag):
        return None
    first, last, size = match[1], match[2], stored.size
    if not first:
        suffix = min(int(last), size)
        if suffix == 0:
            raise errors.range_not_satisfiable(size)
        return size - suffix, size - 1
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise errors.range_not_satisfiable(size)
    return int(first), min(int(last), size - 1) if last else size - 1


def _range_applies(request: Request, stored: StoredObject, etag: str) -> bool:
    validator = request.headers.get("if-range")
    if validator is None:
        return True
    date = _date(validator)
    if date is not None:
        return int(stored.updated_at) == int(date.timestamp())
    # A weak validator never matches: RFC 9110 asks for strong comparison here.
    return validator.strip().strip('"') == etag.strip('"')


def _date(text: str | None) -> datetime.datetime | None:
    if text is None:
        return None
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None


def _http_date(seconds: float) -> str:
    return format_datetime(datetime.datetime.fromtimestamp(int(seconds), datetime.UTC), usegmt=True)


async def _blocks(file: BinaryIO, first: int, length: int) -> AsyncIterator[bytes]:
    with file:
        file.seek(first)
        while length > 0:
            block = await asyncio.to_thread(file.read, min(BLOCK_BYTES, length))
            if not block:
                raise OSError("an object's file is shorter than its record says")
            length -= len(block)
            yield block
