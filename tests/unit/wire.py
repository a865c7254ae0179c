"""A server on a loopback socket that records every request and answers from a list, for the providers' clients."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from shared.core.documents import Job, Stage, Status, TaskRef, VideoRequest
from shared.platform.provider import Provider


@dataclass(frozen=True)
class Answer:
    """An answer: `body` is sent as JSON unless it is bytes; `missing_bytes` are promised and never sent."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    missing_bytes: int = 0


@dataclass(frozen=True)
class Cut:
    """The request is read, and the connection is closed without an answer."""


@dataclass(frozen=True)
class Silence:
    """The request is read, and nothing is answered for as long as the server lives."""


@dataclass(frozen=True)
class Recorded:
    """One request. `path` has its query; `headers` have their names in lower case.

    `body` is what was sent as JSON, else bytes; None when empty.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Recorder:
    """Answers in turn; the last answer stands for all later ones."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self._answers: list[Answer | Cut | Silence] = []
        self._closed = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answers(self, *answers: Answer | Cut | Silence) -> None:
        self._answers = list(answers)

    def __enter__(self) -> Recorder:
        # The least time that a server waits before it looks whether it is to stop.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                recorder._answer(self)

            def do_POST(self) -> None:
                recorder._answer(self)

            def do_PUT(self) -> None:
                recorder._answer(self)

            def log_message(self, *args: object) -> None:
                """Tests speak through their assertions."""

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        data = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        json_sent = headers.get("content-type", "").startswith("application/json")
        body = json.loads(data) if data and json_sent else data or None
        self.requests.append(Recorded(handler.command, handler.path, headers, body))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Cut):
            return
        if isinstance(answer, Silence):
            self._closed.wait()
            return
        sending = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        handler.send_response(answer.status)
        sent = {"content-type": "application/json", "content-length": str(len(sending) + answer.missing_bytes)}
        for name, value in (sent | answer.headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(sending)


@contextmanager
def refused_url() -> Iterator[str]:
    """The URL of a port that is reserved and refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def a_job(request: VideoRequest, id: str = "video_AbCdEfGhIjKlMnOpQr-_12") -> Job:  # noqa: A002
    """A job whose create is in progress."""
    now = datetime(2026, 11, 20, tzinfo=UTC)
    return Job(
        id=id,
        tenant="t",
        account="a",
        request=request,
        provider="gemini" if request.model == "omni-flash" else "vertex",
        fingerprint="f",
        status=Status.QUEUED,
        stage=Stage.STARTING,
        task=TaskRef(name="task", queue="generate-veo-3-1"),
        due_at=now,
        attempt=1,
        expected_s=60.0,
        cost=80,
        created_at=now,
        updated_at=now,
    )


async def started(generator: Provider, job: Job, prefix: str) -> str:
    """The operation of a create, prepared and made as a step does."""
    start = await generator.prepare(job)
    return await start(job, prefix)
