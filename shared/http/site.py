"""The studio's files, and the headers they are served with.

Usually the files are in a bucket behind the load balancer. Where nothing may be granted to allUsers, the setting
`studio_config` makes the history function serve them from its own archive.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.api.rendering import weak_etag
from shared.http.access import ANSWER_HEADERS
from shared.platform.ports import Services
from shared.wiring import services

# The same paths in the repository and in a function's archive.
ROOT: Final = Path(__file__).parents[2]
WEB: Final = ROOT / "web"
OPENAPI: Final = ROOT / "openapi.json"
# File names don't change with their content, so browsers cache them for a minute only, as in infra/site.tf.
CACHED: Final = "public, max-age=60"
COMPRESSED_FROM_BYTES: Final = 500
COMPRESSIBLE: Final = ("text/", "application/json", "image/svg+xml")
# Explicit, because Python's table lacks some of these and depends on the machine's mime.types.
TYPES: Final[Mapping[str, str]] = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".mp4": "video/mp4",
    ".vtt": "text/vtt",
}
# Alongside the page's content security policy.
DOCUMENT_HEADERS: Final[Mapping[str, str]] = {
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}
MEDIA_ORIGIN: Final = "https://storage.googleapis.com"
IDENTITY_ORIGINS: Final = "https://identitytoolkit.googleapis.com https://securetoken.googleapis.com"


def security_policy(media_origins: str, identity_origins: str = "") -> str:
    """The studio's Content-Security-Policy: nothing inline, and only sign-in and videos from other origins.

    Origins are separated by spaces.
    """
    media = f" {media_origins}" if media_origins else ""
    identity = f" {identity_origins}" if identity_origins else ""
    return "; ".join(
        [
            "default-src 'self'",
            f"connect-src 'self'{identity}{media}",
            f"media-src 'self' blob:{media}",
            f"img-src 'self' blob: data:{media}",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )


@dataclass(frozen=True)
class File:
    """The content of one path, and its gzip if that is worthwhile."""

    content: bytes
    media_type: str
    etag: str
    compressed: bytes | None

    @classmethod
    def of(cls, content: bytes, media_type: str) -> File:
        worth_it = len(content) >= COMPRESSED_FROM_BYTES and media_type.startswith(COMPRESSIBLE)
        return cls(content, media_type, weak_etag(content), gzip.compress(content, mtime=0) if worth_it else None)


class Site:
    """Serves the studio at every path that isn't the API's. Only files listed in web/ can be opened."""

    def __init__(self, provide: Callable[[], Services], web: Path = WEB, openapi: Path = OPENAPI) -> None:
        self._provide = provide
        self._web = web
        self._openapi = openapi
        # Read once: the archive doesn't change while a function runs.
        self._paths = cache(self._listed)
        self._file = cache(self._read)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings = self._provide().settings
        if scope["type"] != "http" or not settings.studio_config:
            raise HTTPException(404)
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        response = self._response(Request(scope), settings.studio_config)
        scope[ANSWER_HEADERS].update(
            DOCUMENT_HEADERS, **{"Content-Security-Policy": security_policy(MEDIA_ORIGIN, IDENTITY_ORIGINS)}
        )
        await response(scope, receive, send)

    def _response(self, request: Request, config: str) -> Response:
        path = request.scope["path"]
        if path == "/config.json":
            file = File.of(config.encode(), TYPES[".json"])
        elif path in self._paths():
            file = self._file(path)
        elif f"{path}/" in self._paths():
            # Relative, because the Host header can't be trusted.
            return Response(status_code=308, headers={"Location": f"/{path.strip('/')}/", "Cache-Control": CACHED})
        else:
            raise HTTPException(404)
        headers = {"ETag": file.etag, "Cache-Control": CACHED, "Vary": "Accept-Encoding"}
        if _matches(file.etag, request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        content = file.content
        if file.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            content, headers["Content-Encoding"] = file.compressed, "gzip"
        if request.method == "HEAD":
            return Response(headers={**headers, "Content-Length": str(len(content))}, media_type=file.media_type)
        return Response(content, headers=headers, media_type=file.media_type)

    def _listed(self) -> dict[str, Path]:
        """Files by URL path; a folder's index.html also by the folder's path."""
        found = {f"/{path.relative_to(self._web).as_posix()}": path for path in self._web.rglob("*") if path.is_file()}
        folders = {
            name.removesuffix("index.html"): path for name, path in found.items() if name.endswith("/index.html")
        }
        return {**found, **folders, "/openapi.json": self._openapi}

    def _read(self, path: str) -> File:
        file = self._paths()[path]
        return File.of(file.read_bytes(), TYPES[file.suffix])


def _matches(etag: str, if_none_match: str) -> bool:
    """Weak comparison as in RFC 9110."""
    known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in known or etag.removeprefix("W/") in known


def with_page(app: Starlette, provide: Callable[[], Services] = services) -> Starlette:
    """Make the function's app also serve the studio if the settings say so."""
    app.router.default = Site(provide)
    return app
