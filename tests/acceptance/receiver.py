"""A web server of a user's, on this machine: it keeps what it is sent, and answers as a test says."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, ThreadingTCPServer

WAIT_S = 60.0


@dataclass(frozen=True)
class Message:
    """One POST. The names of its headers are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`answers` are the statuses of the next answers; after them it answers 204."""

    port: int = 0
    messages: list[Message] = field(default_factory=list)
    answers: deque[int] = field(default_factory=deque)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def wait(self, enough: Callable[[list[Message]], bool]) -> list[Message]:
        """The messages so far, once they are enough."""
        deadline = time.monotonic() + WAIT_S
        while not enough(self.messages):
            assert time.monotonic() < deadline, f"only {[message.path for message in self.messages]} came"
            time.sleep(0.05)
        return list(self.messages)

    @classmethod
    @contextmanager
    def listening(cls) -> Iterator[Receiver]:
        receiver = cls()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = receiver.answers.popleft() if receiver.answers else 204
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                receiver.messages.append(Message(self.path, headers, body))

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's word
                """Tests say what matters."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@dataclass
class Silent:
    """A server of a user's that accepts every connection, reads what it is sent, and never answers."""

    port: int = 0
    taken: int = 0
    most_at_once: int = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def wait(self, enough: Callable[[int], bool]) -> None:
        """Until so many connections have come."""
        deadline = time.monotonic() + WAIT_S
        while not enough(self.taken):
            assert time.monotonic() < deadline, f"only {self.taken} came"
            time.sleep(0.05)

    @classmethod
    @contextmanager
    def listening(cls) -> Iterator[Silent]:
        silent = cls()
        at_once = 0
        lock = threading.Lock()

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                nonlocal at_once
                with lock:
                    at_once += 1
                    silent.taken += 1
                    silent.most_at_once = max(silent.most_at_once, at_once)
                # Until the client gives up.
                while self.request.recv(65_536):
                    pass
                with lock:
                    at_once -= 1

        server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.block_on_close = False
        silent.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield silent
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
