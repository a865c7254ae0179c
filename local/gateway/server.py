"""The load balancer on a laptop: one port for the page, the API, the private functions and the identity service.

Which function gets a request is decided by the table of all routes. The private functions are open to the local
cloud's service accounts only, as Cloud Run's IAM has it.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.gateway.admission import Admission, Refused
from local.gateway.cloud_run import FrontEnd
from local.gateway.proxy import respond
from local.identity import GOOGLE, GOOGLE_CLIENT_ID, PREFIXES, STS, TOOLKIT
from shared.api.routing import Function
from shared.core.errors import ApiError
from shared.http.rate_limits import TokenBuckets
from shared.http.routes import ROUTES
from shared.http.site import COMPRESSED_FROM_BYTES, DOCUMENT_HEADERS, TYPES, security_policy
from shared.platform.ports import utc_now

API_PREFIXES: Final[Mapping[str, Function]] = {"/v1": "history", "/hooks": "submit", "/tasks": "poll"}
GRACE_S: Final = 2
PRIVATE_PREFIX: Final = "/tasks"
# The cloud's own machines are exempt: the queue sends as much as there is to do.
LIMITED_PREFIX: Final = "/v1"
REQUESTS_PER_MINUTE: Final = 200
# Providers' events, of one address.
EVENTS_PER_MINUTE: Final = 3_000
# Types that may hold scripts. Sent with each module, the policy would weigh as much as the module.
DOCUMENTS: Final = (b"text/html", b"image/svg+xml")
PARAMETER: Final = re.compile(r"\{\w+\}")


class RoutingTable:
    """Finds the function that owns a request, from the table of all routes."""

    def __init__(self) -> None:
        # A literal segment goes before a parameter, as in the router of the function itself.
        rows = sorted(ROUTES, key=lambda row: row.path.count("{"))
        self._rows = [(_pattern(row.path), row.method, row.function) for row in rows]

    def function(self, method: str, path: str, wanted: str = "") -> Function | None:
        """The owner of `method` on `path`, or None where the path is no API's.

        HEAD goes where GET goes and a preflight where the method goes that it asks for (`wanted`). Another method on
        a known path goes to an owner of the path, which answers 405; an unknown path of the API to the function that
        answers 404 for its prefix.
        """
        method = {"HEAD": "GET", "OPTIONS": wanted or "GET"}.get(method, method)
        owners = [(row_method, function) for pattern, row_method, function in self._rows if pattern.fullmatch(path)]
        for row_method, function in owners:
            if row_method == method:
                return function
        if owners:
            return owners[0][1]
        return next((name for prefix, name in API_PREFIXES.items() if under(path, prefix)), None)


class Gateway:
    """Routes to the functions and to the identity service, and serves the page for everything else."""

    def __init__(
        self,
        functions: Mapping[Function, ASGIApp],
        identity: ASGIApp,
        web: Path,
        *,
        admission: Admission | None = None,
        media_origins: str = "",
        requests_per_minute: int = REQUESTS_PER_MINUTE,
    ) -> None:
        """`media_origins`: the origins that videos are fetched from besides our own, separated by spaces.

        `requests_per_minute`: of the API, by one address, as Cloud Armor counts them in the cloud.

        Without `admission` the private functions are not reachable through the gateway.
        """
        self._functions = {name: FrontEnd(app) for name, app in functions.items()}
        self._identity = identity
        self._admission = admission
        self._table = RoutingTable()
        self._site = _site(web, media_origins)
        self._requests_per_minute = requests_per_minute
        self._addresses = TokenBuckets()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._site(scope, receive, send)
            return
        path: str = scope["path"]
        if any(under(path, prefix) for prefix in PREFIXES):
            await self._identity(scope, receive, send)
            return
        headers = dict(scope["headers"])
        wanted = headers.get(b"access-control-request-method", b"").decode("latin-1")
        function = self._table.function(scope["method"], path, wanted)
        if function is None:
            await self._site(scope, receive, send)
        elif under(path, PRIVATE_PREFIX):
            await self._private(function, scope, receive, send)
        else:
            await self._public(function, scope, receive, send)

    async def _public(self, function: Function, scope: Scope, receive: Receive, send: Send) -> None:
        address = (scope.get("client") or ("unknown", 0))[0]
        is_api = under(scope["path"], LIMITED_PREFIX)
        per_minute = self._requests_per_minute if is_api else EVENTS_PER_MINUTE
        try:
            self._addresses.take(f"{address} {'api' if is_api else 'events'}", per_minute, utc_now()).check()
        except ApiError as error:
            await respond(error, send)
            return
        await self._functions[function](scope, receive, send)

    async def _private(self, function: Function, scope: Scope, receive: Receive, send: Send) -> None:
        if self._admission is None:
            await respond(ApiError("NOT_FOUND"), send)
            return
        given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        try:
            seen = self._admission.admit(given)
        except Refused as refused:
            code = "UNAUTHENTICATED" if refused.status == 401 else "FORBIDDEN"
            headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'} if refused.status == 401 else {}
            await respond(ApiError(code, refused.message, headers=headers), send)
            return
        kept = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
        admitted = {**scope, "headers": [*kept, (b"authorization", seen.encode())]}
        await self._functions[function](admitted, receive, send)


def under(path: str, prefix: str) -> bool:
    """Whether `path` is `prefix` or below it."""
    return path == prefix or path.startswith(prefix + "/")


def _pattern(path: str) -> re.Pattern[str]:
    literals = [re.escape(part) for part in PARAMETER.split(path)]
    return re.compile("[^/]+".join(literals))


def _site(web: Path, media_origins: str) -> ASGIApp:
    for suffix, kind in TYPES.items():
        mimetypes.add_type(kind, suffix)
    # What a browser goes by when it shows a file by itself.
    shown = {
        b"content-security-policy": security_policy(media_origins).encode(),
        **{name.lower().encode(): value.encode() for name, value in DOCUMENT_HEADERS.items()},
    }
    headers = {
        b"x-content-type-options": b"nosniff",
        # Always asked for again, and answered 304 by its ETag: an edit shows on the next reload.
        b"cache-control": b"no-cache",
    }
    site = Starlette(
        routes=[
            Route("/config.json", _page_config),
            Route("/openapi.json", _reference_of(web.parent / "openapi.json")),
            Route("/healthz", _healthz),
            Mount("/", StaticFiles(directory=web, html=True, check_dir=False)),
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=COMPRESSED_FROM_BYTES)],
        exception_handlers={HTTPException: _not_served},
    )

    async def with_headers(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                kind = dict(message["headers"]).get(b"content-type", b"")
                added = {**headers, **(shown if kind.startswith(DOCUMENTS) else {})}
                message = {**message, "headers": [*message["headers"], *added.items()]}
            await send(message)

        await site(scope, receive, sending)

    return with_headers


async def _page_config(_request: Request) -> Response:
    config = {
        "identity_url": TOOLKIT,
        "token_url": STS,
        "api_key": "local",
        "tenant": None,
        "google_client_id": GOOGLE_CLIENT_ID,
        "google_url": f"{GOOGLE}/o/oauth2/v2/auth",
        # Nothing is mailed from a laptop: where the links are instead.
        "mailbox_url": "/emulator/mailbox",
    }
    return JSONResponse(config)


def _reference_of(document: Path) -> Callable[[Request], Awaitable[Response]]:
    """The API's description, of which /docs is made."""

    async def endpoint(_request: Request) -> Response:
        return FileResponse(document, media_type="application/json")

    return endpoint


async def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _not_served(_request: Request, raised: Exception) -> Response:
    status = raised.status_code if isinstance(raised, HTTPException) else 404
    error = ApiError("METHOD_NOT_ALLOWED" if status == 405 else "NOT_FOUND")
    return JSONResponse(error.body("none"), error.entry.status)
