"""A streaming reverse proxy to one server, as an ASGI app."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from typing import Final

import httpx2
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from shared.errors import ApiError

Header = tuple[bytes, bytes]

# RFC 9110 7.6.1: meant for one connection, never forwarded. Expect was answered by our own server.
HOP_BY_HOP: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade expect".split()
)
# Our own server writes these two.
REWRITTEN: Final = frozenset({b"date", b"server"})
CONNECT_TIMEOUT_S: Final = 5.0
# gunicorn closes an idle connection after 2 s: shorter, so that a request never meets a connection that is closing.
KEEPALIVE_S: Final = 1.0
LIMITS: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=KEEPALIVE_S)
# No read timeout: how long a request may take is the function's to say, and an event stream is silent for long.
TIMEOUT: Final = httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S)


class Proxy:
    """Forwards every request to `url` and streams both bodies; 503 UNAVAILABLE while nothing answers there.

    When the client leaves, the request to the server is ended too.
    """

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self._url = url.rstrip("/")
        self._client: httpx2.AsyncClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(receive, send)
        request = self._request(scope, exchange)
        await exchange.run(self._http, request, self._name)

    async def aclose(self) -> None:
        """Close the connections that are kept for the next request."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    @property
    def _http(self) -> httpx2.AsyncClient:
        # Made in the server's event loop, on the first request.
        if self._client is None:
            self._client = httpx2.AsyncClient(limits=LIMITS, timeout=TIMEOUT, trust_env=False, follow_redirects=False)
        return self._client

    def _request(self, scope: Scope, exchange: _Exchange) -> httpx2.Request:
        query = scope["query_string"]
        target = scope["raw_path"] + (b"?" + query if query else b"")
        added = forwarded(scope)
        replaced = {name for name, _ in added}
        kept = [(name, value) for name, value in end_to_end(scope["headers"]) if name not in replaced]
        names = {name for name, _ in scope["headers"]}
        has_body = b"content-length" in names or b"transfer-encoding" in names
        # Built without the client, which would add headers of its own to the caller's.
        return httpx2.Request(
            scope["method"],
            httpx2.URL(self._url).copy_with(raw_path=target),
            headers=kept + added,
            content=exchange.body() if has_body else None,
        )


class _Exchange:
    """One request and its response. A single task reads from the client: its body, then its leaving."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)
        self._body_wanted = True

    async def run(self, client: httpx2.AsyncClient, request: httpx2.Request, name: str) -> None:
        reading = asyncio.create_task(self._read())
        forwarding = asyncio.create_task(self._forward(client, request, name))
        try:
            await asyncio.wait({reading, forwarding}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done() and not forwarding.done():
                reading.result()
                return
            await forwarding
        finally:
            for task in (reading, forwarding):
                task.cancel()
            await asyncio.gather(reading, forwarding, return_exceptions=True)

    async def body(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            yield chunk

    async def _read(self) -> None:
        """Returns when the client is gone."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return
            if self._body_wanted and (chunk := message.get("body", b"")):
                await self._chunks.put(chunk)
            if self._body_wanted and not message.get("more_body", False):
                await self._chunks.put(None)

    def _drop_body(self) -> None:
        """A server may answer before it has read all: the rest is dropped, so that the client's leaving is seen."""
        self._body_wanted = False
        while not self._chunks.empty():
            self._chunks.get_nowait()

    async def _forward(self, client: httpx2.AsyncClient, request: httpx2.Request, name: str) -> None:
        try:
            response = await client.send(request, stream=True)
        except httpx2.TransportError:
            self._drop_body()
            await self._unavailable(name)
            return
        self._drop_body()
        try:
            await self._start(response)
            async for chunk in response.aiter_raw():
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:
            await response.aclose()
        await self._send({"type": "http.response.body", "body": b""})

    async def _start(self, response: httpx2.Response) -> None:
        headers = [(name, value) for name, value in end_to_end(response.headers.raw) if name not in REWRITTEN]
        await self._send({"type": "http.response.start", "status": response.status_code, "headers": headers})

    async def _unavailable(self, name: str) -> None:
        error = ApiError("UNAVAILABLE", f"The {name} service does not answer.", retry_after_s=1)
        await respond(error, self._send)


async def respond(error: ApiError, send: Send, request_id: str | None = None) -> None:
    """Answer with an error in the API's shape."""
    headers = dict(error.headers) | {"Cache-Control": "no-store"}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    response = JSONResponse(error.body(request_id or uuid.uuid4().hex), error.entry.status, headers)
    await response({"type": "http"}, _nothing, send)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def end_to_end(headers: Iterable[Header]) -> list[Header]:
    """The headers that are for the other end, names in lower case, in their order."""
    listed = [(name.lower(), value) for name, value in headers]
    named = {item.strip().lower() for name, value in listed if name == b"connection" for item in value.split(b",")}
    return [(name, value) for name, value in listed if name not in HOP_BY_HOP and name not in named]


def forwarded(scope: Scope) -> list[Header]:
    """What a load balancer adds: who the client is, how it came in, and a trace."""
    given = dict(scope["headers"])
    client = scope["client"][0].encode() if scope.get("client") else b"unknown"
    before = given.get(b"x-forwarded-for")
    headers = [
        (b"x-forwarded-for", before + b", " + client if before else client),
        (b"x-forwarded-proto", scope["scheme"].encode()),
        (b"x-forwarded-host", given.get(b"host", b"")),
    ]
    if b"x-cloud-trace-context" not in given:
        headers.append((b"x-cloud-trace-context", uuid.uuid4().hex.encode() + b"/1;o=1"))
    return headers
