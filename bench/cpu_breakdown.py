"""CPU breakdown of one create and one status request.

The functions' own apps are called in this process with the stand's services, one request at a time, and the processor
time of each call of a gateway is taken. So what is measured is the code that runs in the cloud, with no server, socket
or second request between.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any, cast
from unittest import mock

from starlette.applications import Starlette

from bench.environment import Stand
from shared.api.routing import Function
from shared.http import routes
from shared.http.app import application
from shared.platform.identity import Verifier
from shared.platform.ports import Firestore, Services, TaskQueue
from shared.wiring import services

WARM_UP = 30
REQUESTS = 200
# How the page calls what the gateways do.
NAMES = {
    "get_all": "Firestore: one read of two documents",
    "get": "Firestore: one read of one document",
    "commit": "Firestore: one commit of three writes",
    "create": "Cloud Tasks: one task",
    "verify": "verifying the user's token",
}
REST = "all else in our code: HTTP, JSON, models, rules, log"


@dataclass(frozen=True)
class Asked:
    """A request as ASGI has it."""

    method: str
    path: str
    token: str
    body: bytes = b""

    @property
    def scope(self) -> dict[str, Any]:
        headers = [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {self.token}".encode())]
        if self.body:
            headers += [(b"content-type", b"application/json"), (b"content-length", str(len(self.body)).encode())]
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }


class Timed:
    """A gateway that adds up the CPU seconds of its calls, by method."""

    def __init__(self, gateway: object, spent_s: dict[str, float]) -> None:
        self._gateway = gateway
        self._spent_s = spent_s

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._gateway, name)

        async def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            try:
                return await method(*args, **kwargs)
            finally:
                self._spent_s[name] += time.process_time() - began

        return timed


def measured(stand: Stand, function: Function, asked: Sequence[Asked], status: int) -> dict[str, float]:
    """CPU milliseconds of one request, by what they are spent on. Raises AssertionError for another status."""
    told = io.StringIO()
    with mock.patch.dict(os.environ, stand.environ), contextlib.redirect_stdout(told):
        return asyncio.run(_measured(function, asked, status))


async def _measured(function: Function, asked: Sequence[Asked], status: int) -> dict[str, float]:
    spent_s: dict[str, float] = defaultdict(float)
    # Its own ones: those that the process may have already belong to another event loop.
    own: Services = services.__wrapped__()
    timed = replace(
        own,
        store=cast(Firestore, Timed(own.store, spent_s)),
        queue=cast(TaskQueue, Timed(own.queue, spent_s)),
        verifier=cast(Verifier, Timed(own.verifier, spent_s)),
    )
    handlers = importlib.import_module(f"functions.{function}.main").HANDLERS
    app = application(routes.of(function), handlers, lambda: timed)
    for each in islice(cycle(asked), WARM_UP):
        assert await _call(app, each) == status
    spent_s.clear()
    began = time.process_time()
    for each in islice(cycle(asked), REQUESTS):
        await _call(app, each)
    total_s = time.process_time() - began
    pieces = {NAMES.get(name, name): seconds for name, seconds in spent_s.items()}
    pieces[REST] = total_s - sum(spent_s.values())
    return {name: 1_000 * seconds / REQUESTS for name, seconds in pieces.items()}


async def _call(app: Starlette, asked: Asked) -> int:
    """The status of the app's answer."""
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": asked.body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(asked.scope, receive, send)
    return statuses[0]
