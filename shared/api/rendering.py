"""JSON responses over HTTP: ETags and 304, compression, and Link headers to the next page."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

JSON = "application/json"
# Shorter responses fit into the first packet anyway.
COMPRESSED_FROM_BYTES = 1024
# Lists are so repetitive that higher levels take longer and save next to nothing.
GZIP_LEVEL = 3
READING = ("GET", "HEAD")


def weak_etag(content: bytes) -> str:
    """An ETag for the content: weak, because the response may be compressed."""
    return f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'


def rendered(request: Request, body: BaseModel, status: int, headers: Mapping[str, str]) -> Response:
    """The response with this body, or a 304 if its ETag is in If-None-Match.

    Compressed if the client accepts that, except with a strong ETag.
    """
    raw = body.model_dump_json().encode()
    response = Response(raw, status, dict(headers), JSON)
    response.headers.add_vary_header("Accept-Encoding")
    if request.method in READING and status == 200:
        etag = response.headers.setdefault("ETag", weak_etag(raw))
        if link := _next_page(request, body):
            response.headers["Link"] = link
        if matches(request.headers.get("if-none-match"), etag):
            kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
            return Response(status_code=304, headers=kept)
    is_strong = response.headers.get("etag", "W/").startswith('"')
    if len(raw) >= COMPRESSED_FROM_BYTES and not is_strong and accepts_gzip(request.headers):
        response.body = gzip.compress(raw, GZIP_LEVEL, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.body))
    return response


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether the header contains the ETag, by the weak comparison of RFC 9110 section 13.1.2."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag.removeprefix("W/") in tags or "*" in tags


def accepts_gzip(headers: Headers) -> bool:
    """Whether the client accepts gzip: by name or by a star, with a weight other than 0 (RFC 9110 section 12.5.3)."""
    weights: dict[str, bool] = {}
    for each in headers.get("accept-encoding", "").lower().split(","):
        coding, _, parameter = each.partition(";")
        weights[coding.strip()] = parameter.replace(" ", "").removeprefix("q=").strip("0.") != "" or not parameter
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", False)))


def _next_page(request: Request, body: BaseModel) -> str | None:
    """The Link header of a list with a next page (RFC 8288): the same query, after this page's last item."""
    last = getattr(body, "last_id", None)
    if last is None or not getattr(body, "has_more", False):
        return None
    query = {**request.query_params, "after": str(last)}
    return f'<{quote(request.scope["path"])}?{urlencode(query)}>; rel="next"'
