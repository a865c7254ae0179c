"""A load generator for an HTTP server on loopback: N connections, each sending its next request after a response.

Written for little work of its own: the server under measure and this program share the machine's few cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ANSWER_TIMEOUT_S = 60.0


@dataclass
class Load:
    """How it went: seconds of each answer, statuses, and the wall time of all."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wall_s: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.seconds) / self.wall_s

    @property
    def p50_s(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p95_s(self) -> float:
        return statistics.quantiles(self.seconds, n=20, method="inclusive")[18]

    def check(self, *expected: int) -> Load:
        """Raises AssertionError when an answer had another status: what is refused quickly is no speed."""
        assert set(self.statuses) <= set(expected), f"answers {dict(self.statuses)}, not only {expected}"
        return self


def request(method: str, path: str, headers: Mapping[str, str] | None = None, body: Any = None) -> bytes:
    """An HTTP/1.1 request as bytes; a body that is not None is sent as JSON."""
    content = b"" if body is None else json.dumps(body).encode()
    given = {"Host": "127.0.0.1", **(headers or {})}
    if body is not None:
        given |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    return "\r\n".join(lines).encode() + content


async def load(port: int, requests: Iterable[bytes], concurrency: int = 1, patience_s: float | None = None) -> Load:
    """Send all requests over so many connections to the server on that port of 127.0.0.1, and read the answers.

    The answers must have a Content-Length or be chunked, and keep the connection. Who has not been answered after
    `patience_s` is not waited for. Raises OSError when a connection is closed.
    """
    result = Load()
    waiting = iter(requests)
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(concurrency)]
    began = time.perf_counter()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s), asyncio.TaskGroup() as group:
            for reader, writer in connections:
                group.create_task(_converse(reader, writer, waiting, result))
    result.wall_s = time.perf_counter() - began
    for _, writer in connections:
        writer.close()
    return result


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, requests: Iterator[bytes], result: Load
) -> None:
    for sent in requests:
        began = time.perf_counter()
        writer.write(sent)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            status = await _answer(reader)
        result.seconds.append(time.perf_counter() - began)
        result.statuses[status] += 1


async def _answer(reader: asyncio.StreamReader) -> int:
    """Reads one answer to its end; its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head[9:12])
    if b"\r\ntransfer-encoding: chunked" in head:
        while (size := int(await reader.readuntil(b"\r\n"), 16)) > 0:
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
        return status
    _, _, length = head.partition(b"\r\ncontent-length:")
    await reader.readexactly(int(length.partition(b"\r\n")[0] or 0))
    return status
