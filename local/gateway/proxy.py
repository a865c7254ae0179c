"""A streaming reverse proxy to one server, as an ASGI app."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from local.gateway.upstream import Failed, Header, Response, Upstream
from shared.core.errors import ApiError

# RFC 9110 7.6.1: meant for one connection, never forwarded. Expect was answered by our own server.
HOP_BY_HOP: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade expect".split()
)
# Our own server writes these two.
REWRITTEN: Final = frozenset({b"date", b"server"})
# The function has waited for the body long enough.
GIVEN_UP: Final = 408
LINGER_S: Final = 10.0


class Proxy:
    """Forwards every request to `url` and streams both bodies; 503 UNAVAILABLE while nothing answers there.

    When the client leaves, the request to the server is ended too.
    """

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        address = urlsplit(url)
        self._upstream = Upstream(address.hostname or "", address.port or 80)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _Exchange(receive, send).run(self._upstream, scope, self._name)

    async def aclose(self) -> None:
        """Close the connections that are kept for the next request."""
        self._upstream.close()


class _Exchange:
    """One request and its response. A single task reads from the client: its body, then its leaving."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)
        self._body_wanted = True
        self._body_ended = asyncio.Event()

    async def run(self, upstream: Upstream, scope: Scope, name: str) -> None:
        reading = asyncio.create_task(self._read())
        forwarding = asyncio.create_task(self._forward(upstream, scope, name))
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
            if not message.get("more_body", False):
                self._body_ended.set()
                if self._body_wanted:
                    await self._chunks.put(None)

    def _drop_body(self) -> None:
        """A server may answer before it has read all: the rest is dropped, so that the client's leaving is seen."""
        self._body_wanted = False
        while not self._chunks.empty():
            self._chunks.get_nowait()

    async def _forward(self, upstream: Upstream, scope: Scope, name: str) -> None:
        names = {header for header, _ in scope["headers"]}
        body = self.body() if names & {b"content-length", b"transfer-encoding"} else None
        chunked = [(b"transfer-encoding", b"chunked")] if body and b"content-length" not in names else []
        try:
            response = await upstream.send(scope["method"], _target(scope), [*_headers(scope), *chunked], body)
        except Failed:
            self._drop_body()
            await self._unavailable(name)
            return
        self._drop_body()
        is_early = response.is_early
        try:
            await self._start(response, is_early)
            async for chunk in response.body():
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:
            upstream.release(response)
        if is_early and response.status != GIVEN_UP:
            await self._linger()
        await self._send({"type": "http.response.body", "body": b""})

    async def _linger(self) -> None:
        """A client that still sends would lose the answer with its connection, so it may end, for so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._body_ended.wait(), LINGER_S)

    async def _start(self, response: Response, is_early: bool) -> None:
        headers = [(name, value) for name, value in end_to_end(response.headers) if name not in REWRITTEN]
        if is_early:
            # What the client still sends is discarded.
            headers.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": response.status, "headers": headers})

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


def _target(scope: Scope) -> bytes:
    query = scope["query_string"]
    return bytes(scope["raw_path"] + (b"?" + query if query else b""))


def _headers(scope: Scope) -> list[Header]:
    added = forwarded(scope)
    replaced = {name for name, _ in added}
    return [(name, value) for name, value in end_to_end(scope["headers"]) if name not in replaced] + added


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
