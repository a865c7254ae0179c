"""HTTP/1.1 connections to one server, on which an answer is heard while the request's body is still being sent.

Most clients listen only after they have sent everything. Behind one of those, the answer of a server that gives up on a
slow or large body would wait for the end of that body; a load balancer doesn't hold it back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any, Final, cast

import h11

Header = tuple[bytes, bytes]

CONNECT_TIMEOUT_S: Final = 5.0
# gunicorn closes an idle connection after 2 s: shorter, so that a request never meets a connection that is closing.
KEEPALIVE_S: Final = 1.0
MAX_IDLE: Final = 64
READ_BYTES: Final = 64 * 1024

# What a request may end with before its response has begun.
Failed: Final = (OSError, TimeoutError, EOFError, h11.ProtocolError)


class Response:
    """The beginning of a response, and the connection that the rest of it comes from."""

    def __init__(self, connection: _Connection, status: int, headers: list[Header]) -> None:
        self._connection = connection
        self.status = status
        self.headers = headers

    @property
    def is_early(self) -> bool:
        """Whether it began before the request's body was sent."""
        return not self._connection.is_sent

    async def body(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises one of Failed when the server breaks it off."""
        while isinstance(event := await self._connection.next_event(), h11.Data):
            yield bytes(event.data)
        if not isinstance(event, h11.EndOfMessage):
            raise EOFError("the server broke its response off")


class Upstream:
    """One server's connections; each request has one for itself."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._idle: list[tuple[float, _Connection]] = []

    async def send(
        self, method: str, target: bytes, headers: Iterable[Header], body: AsyncIterator[bytes] | None
    ) -> Response:
        """The response to the request, as soon as it begins. Raises one of Failed. Afterwards: release()."""
        connection = self._kept() or await self._connect()
        try:
            return await connection.exchange(method, target, headers, body)
        except BaseException:
            connection.close()
            raise

    def release(self, response: Response) -> None:
        """Keep the response's connection for the next request, if both sides have come to their end."""
        connection = response._connection
        if connection.is_reusable and len(self._idle) < MAX_IDLE:
            self._idle.append((_now_s(), connection))
        else:
            connection.close()

    def close(self) -> None:
        """Close the connections that are kept."""
        for _, connection in self._idle:
            connection.close()
        self._idle.clear()

    def _kept(self) -> _Connection | None:
        while self._idle:
            since_s, connection = self._idle.pop()
            if _now_s() - since_s < KEEPALIVE_S and connection.is_open:
                connection.renew()
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return _Connection(*await asyncio.open_connection(self._host, self._port))


class _Connection:
    """One connection, which sends and listens at the same time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self._sending: asyncio.Task[None] | None = None

    @property
    def is_sent(self) -> bool:
        return self._http.our_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)

    @property
    def is_reusable(self) -> bool:
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    @property
    def is_open(self) -> bool:
        return not self._reader.at_eof() and not self._writer.is_closing()

    def renew(self) -> None:
        self._http.start_next_cycle()

    async def exchange(
        self, method: str, target: bytes, headers: Iterable[Header], body: AsyncIterator[bytes] | None
    ) -> Response:
        self._write(h11.Request(method=method, target=target, headers=list(headers)))
        self._sending = asyncio.create_task(self._send(body))
        event = await self.next_event()
        while isinstance(event, h11.InformationalResponse):
            event = await self.next_event()
        if not isinstance(event, h11.Response):
            raise EOFError("the server closed the connection")
        return Response(self, event.status_code, list(event.headers.raw_items()))

    async def next_event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(READ_BYTES))
        return event

    def close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        self._writer.close()

    async def _send(self, body: AsyncIterator[bytes] | None) -> None:
        # A server that has answered may close; its answer says why.
        with suppress(OSError, h11.ProtocolError):
            if body is not None:
                async for chunk in body:
                    self._write(h11.Data(data=chunk))
                    await self._writer.drain()
            self._write(h11.EndOfMessage())
            await self._writer.drain()

    def _write(self, event: Any) -> None:
        self._writer.write(cast(bytes, self._http.send(event)))


def _now_s() -> float:
    return asyncio.get_running_loop().time()
