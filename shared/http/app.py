"""Glue between HTTP and the handlers: parse the request, call the handler, render the result, format every error.

A function is a Starlette app with one pure ASGI middleware, the error boundary, so that every error has the same shape.
(functions-framework never runs an inner app's lifespan, and a Starlette handler for Exception responds and then raises
again, so the framework would respond twice.)
"""

from __future__ import annotations

import asyncio
import codecs
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.accounts.auth import Accounts
from shared.api import body_limits, rendering, routing
from shared.api.bodies import NoQuery
from shared.api.body_limits import BodyLimits
from shared.api.routing import PEOPLE, Route
from shared.core.errors import ApiError, NotStorable, Unavailable
from shared.http import cors, forms, idempotency_keys
from shared.http.access import ANSWER_HEADERS, Access, note_denial
from shared.platform import log
from shared.platform.identity import Caller
from shared.platform.ports import Services
from shared.wiring import services

B = TypeVar("B", bound=BaseModel)

# Key in a request's scope: its _Exchange.
EXCHANGE = "rushes.exchange"
MAX_DETAIL_FIELDS = 10
MAX_REPEATS_DIGITS = 4
# How often the OpenAI SDKs poll a video that they wait for.
POLL_AFTER_MS = "2000"

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Strict-Transport-Security": "max-age=31536000",
}


@dataclass(frozen=True)
class RequestContext:
    """One parsed request: its caller (None for machines), validated body and query, and path parameters."""

    request: Request
    services: Services
    body: Any = None
    query: Any = None
    user: Caller | None = None
    accounts: Accounts = field(default_factory=Accounts)

    @property
    def caller(self) -> Caller:
        assert self.user is not None, "this route has no signed-in caller"
        return self.user

    async def identify(self, age: timedelta) -> Caller:
        """Identify the caller again, from an account and an API key that were read less than `age` ago.

        Raises ApiError if the credentials are no longer valid.
        """
        authorization = self.request.headers.get("authorization")
        return await self.accounts.caller(self.services, authorization, account_age=age, key_age=age)

    @property
    def id(self) -> str:
        """The {id} of the path."""
        return str(self.request.path_params["id"])

    @property
    def repeats(self) -> int:
        """How many times the client has already sent this request, as the OpenAI SDKs report it; 0 if not stated."""
        count = self.request.headers.get("x-stainless-retry-count", "0")
        return int(count) if count.isascii() and count.isdigit() and len(count) <= MAX_REPEATS_DIGITS else 0

    @property
    def idempotency_key(self) -> str | None:
        """The Idempotency-Key header, or None. Raises ApiError INVALID_REQUEST for an invalid key."""
        key = self.request.headers.get("idempotency-key")
        return None if key is None else idempotency_keys.of_header(key)


@dataclass(frozen=True)
class Result:
    """What a handler returns: a response body, or none; `status` defaults to the route's."""

    body: BaseModel | dict[str, Any] | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[RequestContext], Awaitable[Result | Response]]


def application(
    rows: tuple[Route, ...], handlers: Mapping[str, Handler], provide: Callable[[], Services] = services
) -> Starlette:
    """Build a function's app from its routes and the handlers of the same names.

    Raises ValueError unless there is exactly one handler per route.
    """
    if {row.name for row in rows} != set(handlers):
        raise ValueError(f"{rows[0].function} must handle exactly {sorted(row.name for row in rows)}")
    access = Access()
    app = Starlette(
        routes=[
            StarletteRoute(
                routing.pattern(path), _endpoints(rows, path, handlers, access, provide), methods=_methods(rows, path)
            )
            for path in dict.fromkeys(row.path for row in rows)
        ],
        middleware=[Middleware(ErrorBoundaryMiddleware, provide=provide)],
        exception_handlers={HTTPException: _starlette_error},
    )
    # A path with an extra trailing slash is 404: a redirect would go to whatever host the Host header names.
    app.router.redirect_slashes = False
    return app


def _methods(rows: tuple[Route, ...], path: str) -> list[str]:
    return [row.method for row in rows if row.path == path]


def _endpoints(
    rows: tuple[Route, ...],
    path: str,
    handlers: Mapping[str, Handler],
    access: Access,
    provide: Callable[[], Services],
) -> Callable[[Request], Awaitable[Response]]:
    by_method = {row.method: row for row in rows if row.path == path}

    async def endpoint(request: Request) -> Response:
        row = by_method["GET" if request.method == "HEAD" else request.method]  # type: ignore[index]
        provided = provide()
        if row.method != "GET":
            request.scope[EXCHANGE].expect(row.limits, row.has_body)
        user = await access.check(provided, row, request)
        try:
            async with AsyncExitStack() as files:
                context = RequestContext(
                    request,
                    provided,
                    body=await _body(row, request, files),
                    query=_query(row, request),
                    user=user,
                    accounts=access.accounts,
                )
                result = await handlers[row.name](context)
        except ApiError as error:
            if user is not None:
                note_denial(row, user, error)
            raise
        return result if isinstance(result, Response) else _rendered(request, row, result)

    return endpoint


async def _body(row: Route, request: Request, files: AsyncExitStack) -> Any:
    """Parse the body into its model. Closing `files` removes the files of a form."""
    if row.body is None:
        return None
    if request.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        message = "Send the body without a Content-Encoding."
        raise ApiError("UNSUPPORTED_MEDIA_TYPE", message, headers={"Accept-Encoding": "identity"})
    if row.form and forms.is_form(request.headers):
        return _validated(row.body, await forms.read(request, files))
    return parse_json(row.body, await request.body(), request.headers, row.limits)


def _query(row: Route, request: Request) -> Any:
    if row.caller not in PEOPLE:
        # Google's services and the providers may add parameters of their own to a URL.
        return None
    if len(request.scope["query_string"]) > body_limits.MAX_QUERY_BYTES:
        raise ApiError("INVALID_REQUEST", f"The query exceeds {body_limits.MAX_QUERY_BYTES:,} bytes.")
    given = request.query_params
    repeated = [name for name, times in Counter(name for name, _ in given.multi_items()).items() if times > 1]
    if repeated:
        fields = [{"field": name[:200], "message": "given more than once"} for name in repeated]
        raise ApiError("INVALID_REQUEST", f"{fields[0]['field']}: given more than once", {"fields": fields})
    read = _validated(row.query or NoQuery, dict(given))
    return read if row.query is not None else None


def _rendered(request: Request, row: Route, result: Result) -> Response:
    status = result.status or row.status
    if isinstance(result.body, BaseModel):
        return rendering.rendered(request, result.body, status, result.headers)
    if result.body is None:
        return Response(status_code=status, headers=dict(result.headers))
    return JSONResponse(result.body, status, dict(result.headers))


def parse_json(model: type[B], raw: bytes, headers: Headers, limits: BodyLimits = body_limits.SMALL) -> B:
    """Parse a JSON body into its model. Raises ApiError INVALID_JSON, UNSUPPORTED_MEDIA_TYPE or INVALID_REQUEST.

    Counts the values first: the validator builds an error for every wrong value before it returns any.
    """
    media_type = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ApiError("UNSUPPORTED_MEDIA_TYPE", details={"content_type": media_type[:100]})
    body_limits.check_values(raw, limits.max_values)
    try:
        # RFC 8259 lets parsers ignore the byte order mark that some Windows editors and libraries write.
        return model.model_validate_json(raw.removeprefix(codecs.BOM_UTF8))
    except ValidationError as error:
        raise _invalid(error) from None


def _validated(model: type[B], values: Mapping[str, Any]) -> B:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> ApiError:
    problems = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_DETAIL_FIELDS]
    if problems[0]["type"] == "json_invalid":
        return ApiError("INVALID_JSON", problems[0]["msg"])
    fields = [
        {"field": ".".join(str(part) for part in problem["loc"])[:200] or "(body)", "message": _message(problem)}
        for problem in problems
    ]
    return ApiError("INVALID_REQUEST", f"{fields[0]['field']}: {fields[0]['message']}", {"fields": fields})


def _message(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "unknown field"
    # Pydantic puts this prefix before our validators' messages.
    return str(problem["msg"]).removeprefix("Value error, ")


async def _starlette_error(request: Request, error: Exception) -> Response:
    """Turn 404 and 405 from Starlette's router into our error format."""
    assert isinstance(error, HTTPException)
    code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(error.status_code, "INVALID_REQUEST")
    path = request.scope["path"]
    if code == "NOT_FOUND" and len(path) > 1 and path.endswith("/"):
        raise ApiError(code, "There is no such thing here: no address of this API ends in a slash.")
    raise ApiError(code, headers=dict(error.headers or {}))


class ErrorBoundaryMiddleware:
    """What is the same for every request: its id, CORS, security headers, body limits and errors."""

    def __init__(self, app: ASGIApp, provide: Callable[[], Services]) -> None:
        self._app = app
        self._provide = provide

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        provided = self._provide()
        headers = Headers(scope=scope)
        request_id = f"req_{provided.ids()}"
        token = log.context.set(_log_context(headers, request_id, provided.settings.google_cloud_project))
        allowed = headers.get("origin", "") in provided.settings.origins
        exchange = _Exchange(scope["method"], headers, request_id, allowed, receive, send)
        try:
            if scope["method"] == "OPTIONS":
                await Response(status_code=204)(scope, receive, exchange.send)
                return
            await self._guarded(scope, exchange)
        finally:
            log.context.reset(token)

    async def _guarded(self, scope: Scope, exchange: _Exchange) -> None:
        scope[ANSWER_HEADERS] = exchange.answer_headers
        scope[EXCHANGE] = exchange
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ApiError as error:
            await exchange.fail(scope, error)
        except Unavailable as error:
            log.error("dependency_unavailable", error=str(error), path=scope["path"])
            await exchange.fail(scope, ApiError("UNAVAILABLE", retry_after_s=5))
        except NotStorable as error:
            # No field's validator caught it, and a retry would fail the same way.
            log.error("not_storable", error=str(error), path=scope["path"])
            problem = {"field": error.field, "message": error.why}
            await exchange.fail(scope, ApiError("INVALID_REQUEST", str(error), {"fields": [problem]}))
        except ClientDisconnect:
            log.info("client_left", path=scope["path"])
        except Exception:  # noqa: BLE001 - the boundary: logged in full; the client sees no stack trace
            log.exception("unexpected", path=scope["path"])
            await exchange.fail(scope, ApiError("INTERNAL"))


class _Exchange:
    """Receives one request's body within its limits, and sends the response with the common headers."""

    def __init__(
        self, method: str, headers: Headers, request_id: str, allowed: bool, receive: Receive, send: Send
    ) -> None:
        self._method = method
        self._headers = headers
        self._request_id = request_id
        self._origin = headers.get("origin") if allowed else None
        self._receive = receive
        self._send = send
        self._limits = body_limits.SMALL
        self._expected = False
        self._length: int | None = None
        self._began_s: float | None = None
        self._received_bytes = 0
        self._complete = False
        self._started = False
        self.answer_headers: dict[str, str] = {}

    def expect(self, limits: BodyLimits, is_read: bool) -> None:
        """Set the limits for the body. Raises ApiError BODY_TOO_LARGE if its Content-Length exceeds them."""
        self._limits = limits
        self._expected = is_read
        length = self._headers.get("content-length", "0")
        if length.isascii() and length.isdigit():
            self._length = int(length[:20]) if "content-length" in self._headers else None
        if (self._length or 0) > limits.max_bytes:
            raise self._too_large()

    async def receive(self) -> Message:
        if not self._expected or self._complete:
            return await self._receive()
        message = await self._in_time()
        if message["type"] != "http.request":
            return message
        self._received_bytes += len(message.get("body", b""))
        if self._received_bytes > self._limits.max_bytes:
            raise self._too_large()
        self._complete = not message.get("more_body", False)
        if self._complete and self._length is not None and self._received_bytes < self._length:
            raise ApiError("INVALID_REQUEST", "The request body is shorter than its Content-Length.")
        return message

    async def _in_time(self) -> Message:
        """Receive the next chunk of the body. Raises ApiError BODY_TIMEOUT if the body arrives too slowly."""
        if self._began_s is None:
            self._began_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(self._began_s + self._limits.allowed_s(self._received_bytes)):
                return await self._receive()
        except TimeoutError:
            raise ApiError("BODY_TIMEOUT", details={"received_bytes": self._received_bytes}) from None

    def _too_large(self) -> ApiError:
        return ApiError("BODY_TOO_LARGE", details={"max_bytes": self._limits.max_bytes})

    async def _drain(self) -> bool:
        """Read and discard the rest of a body that is too large; a client doesn't read the response while it sends.

        False if the body exceeds the limits for that in time or size.
        """
        try:
            async with asyncio.timeout(body_limits.DRAINED_FOR_S):
                while self._received_bytes <= self._limits.drained_bytes:
                    message = await self._receive()
                    self._received_bytes += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return True
        except TimeoutError:
            pass
        return False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            for name, value in self.answer_headers.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
            headers.add_vary_header("Origin")
            if self._method == "OPTIONS":
                headers.add_vary_header("Access-Control-Request-Headers")
            if self._origin:
                headers.update(cors.headers(self._method, self._origin, self._headers))
        await self._send(message)

    async def fail(self, scope: Scope, error: ApiError) -> None:
        if self._started:
            # The response has already started, so all we can do is to close the connection.
            raise error
        headers = dict(error.headers)
        if error.code == "BODY_TIMEOUT" or (error.code == "BODY_TOO_LARGE" and not await self._drain()):
            # The rest of the body must not be read as the next request, nor keep the connection open.
            headers["Connection"] = "close"
        if error.retry_after_s is not None:
            headers["Retry-After"] = str(error.retry_after_s)
        headers["x-should-retry"] = "true" if self._should_retry(scope["method"], error) else "false"
        response = JSONResponse(error.body(self._request_id), error.entry.status, headers)
        await response(scope, self._receive, self.send)

    def _should_retry(self, method: str, error: ApiError) -> bool:
        """Whether the OpenAI SDKs should retry; by default they retry 408, 409, 429 and 5xx.

        Without an Idempotency-Key, we can't tell a retry of a rejected POST from a retry of an accepted one whose
        response was lost. So only an error that leaves the outcome unknown asks for a retry.
        """
        if method == "POST" and "idempotency-key" not in self._headers:
            return error.code == "UNAVAILABLE"
        return error.entry.retryable and error.entry.status in (408, 429, 503)


def _log_context(headers: Headers, request_id: str, project: str) -> dict[str, Any]:
    context: dict[str, Any] = {"request_id": request_id}
    trace, _, rest = headers.get("x-cloud-trace-context", "").partition("/")
    if trace:
        context["logging.googleapis.com/trace"] = f"projects/{project}/traces/{trace[:64]}"
        context["logging.googleapis.com/spanId"] = rest.partition(";")[0][:32]
    return context
