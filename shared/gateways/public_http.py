"""Requests to URLs that users supply: posts webhooks and fetches images.

A host is resolved once, all its addresses must be public, and the connection goes to one of them, so DNS can't change
between the check and the request. The certificate is verified for the host name. Redirects aren't followed, no proxy is
used, connections aren't kept open, and size and time are limited.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import certifi
import httpcore2

from shared.core import url_policy
from shared.core.url_policy import NotAllowed, Target
from shared.platform.ports import HttpAnswer, NotReached

USER_AGENT = "Rushes/1 (+webhooks)"
POST_TIMEOUT_S = 15.0
FETCH_TIMEOUT_S = 20.0
RESOLVE_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
MAX_SENT_BYTES = 256 * 1024
# Further addresses of a host are ignored.
MAX_ADDRESSES = 16
TRIED_ADDRESSES = 2

Resolve = Callable[[str, int], Awaitable[list[str]]]


class GuardedHttp:
    """HTTP to the public internet; with `loopback_http`, for local use, also to this machine's loopback."""

    def __init__(
        self, loopback_http: bool = False, *, resolve: Resolve | None = None, trust: ssl.SSLContext | None = None
    ) -> None:
        """`resolve` returns a host's addresses; `trust` replaces the trusted certificate authorities."""
        self._loopback_http = loopback_http
        self._resolve = resolve or _Resolver()
        self._trust = trust

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """POST the body; returns the status and Retry-After of the response, not its body. Raises NotReached."""
        if len(body) > MAX_SENT_BYTES:
            raise NotReached(f"the body exceeds {MAX_SENT_BYTES:,} bytes")
        return await self._call("POST", url, headers, body, 0, POST_TIMEOUT_S)

    async def fetch(self, url: str, max_bytes: int, accept: str = "*/*") -> HttpAnswer:
        """GET at most `max_bytes`. Raises NotReached, also if the response is larger or its status isn't 200."""
        answer = await self._call("GET", url, {"Accept": accept}, b"", max_bytes, FETCH_TIMEOUT_S)
        if answer.status != 200:
            raise NotReached(f"the server returned {answer.status}")
        return answer

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, max_bytes: int, timeout_s: float
    ) -> HttpAnswer:
        try:
            target = url_policy.parse(url, self._loopback_http)
            async with asyncio.timeout(timeout_s):
                addresses = await self._addresses(target)
                return await self._exchange(method, target, addresses, headers, body, max_bytes)
        except NotAllowed as error:
            raise NotReached(str(error)) from None
        except (TimeoutError, httpcore2.TimeoutException):
            raise NotReached("no response in time") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            raise NotReached(_described(error)) from error

    async def _addresses(self, target: Target) -> list[str]:
        found = (await self._resolve(target.host, target.port))[:MAX_ADDRESSES]
        if not found:
            raise NotAllowed("the host has no address")
        # Check all of them: a host with public and private addresses is likely an attack.
        return [str(url_policy.check(target, address, self._loopback_http)) for address in found]

    async def _exchange(
        self,
        method: str,
        target: Target,
        addresses: list[str],
        headers: Mapping[str, str],
        body: bytes,
        max_bytes: int,
    ) -> HttpAnswer:
        named = {"Host": target.authority, "User-Agent": USER_AGENT, "Connection": "close", **headers}
        named |= {"Content-Length": str(len(body))} if method == "POST" else {"Accept-Encoding": "identity"}
        request = httpcore2.Request(
            method,
            httpcore2.URL(
                scheme=target.scheme.encode(),
                host=target.host.encode(),
                port=target.port,
                target=target.path.encode(),
            ),
            headers=[(name.encode(), value.encode()) for name, value in named.items()],
            content=body or None,
            extensions={"timeout": {"connect": CONNECT_TIMEOUT_S}},
        )
        connection = httpcore2.AsyncHTTPConnection(
            httpcore2.Origin(target.scheme.encode(), target.host.encode(), target.port),
            ssl_context=self._tls,
            network_backend=_To(addresses[:TRIED_ADDRESSES]),
        )
        try:
            response = await connection.handle_async_request(request)
            data = await _read(response, max_bytes) if max_bytes else b""
            kind, wait = _header(response, b"content-type"), _header(response, b"retry-after")
            wait_s = float(wait) if re.fullmatch(rb"\d{1,9}", wait) else None
            return HttpAnswer(response.status, kind.decode("latin-1"), data, wait_s)
        finally:
            await connection.aclose()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._trust or ssl.create_default_context(cafile=certifi.where())


@dataclass(frozen=True)
class _To(httpcore2.AsyncNetworkBackend):
    """Connects only to the checked addresses, whichever host is requested."""

    addresses: list[str]

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is the library's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        inner = httpcore2.AnyIOBackend()
        for address in self.addresses[:-1]:
            try:
                return await inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await inner.connect_tcp(self.addresses[-1], port, timeout, local_address, socket_options)


class _Resolver:
    """The system's resolver in separate threads, so that a name server that never responds holds up nothing else."""

    THREADS = 8

    async def __call__(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        looking = loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        )
        try:
            found = await asyncio.wait_for(looking, RESOLVE_TIMEOUT_S)
        except (OSError, UnicodeError):
            raise NotAllowed("the host name can't be resolved") from None
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.THREADS, thread_name_prefix="resolver")


async def _read(response: httpcore2.Response, max_bytes: int) -> bytes:
    too_large = NotReached(f"the answer has more than {max_bytes:,} bytes")
    length = _header(response, b"content-length")
    if length.isdigit() and int(length[:20]) > max_bytes:
        raise too_large
    data = bytearray()
    stream = response.stream
    assert isinstance(stream, AsyncIterable)
    async for chunk in stream:
        data += chunk
        if len(data) > max_bytes:
            raise too_large
    return bytes(data)


def _header(response: httpcore2.Response, wanted: bytes) -> bytes:
    """Return the header's value, or empty bytes. `wanted` must be lower case."""
    return next((value for name, value in response.headers if name.lower() == wanted), b"")


def _described(error: Exception) -> str:
    """Describe the error for the user: enough to fix their server, without details of our network."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and len(causes) < 8:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"invalid certificate: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "TLS connection failed"
    if isinstance(error, httpcore2.ConnectError | OSError):
        return "connection failed"
    return "connection lost" if isinstance(error, httpcore2.NetworkError) else "the response isn't HTTP"
