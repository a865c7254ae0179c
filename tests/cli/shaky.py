"""A server in front of the cloud that loses answers and refuses streams, as networks do."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

DROPPED = frozenset({"connection", "transfer-encoding", "content-length", "content-encoding", "date", "server"})


@dataclass
class Shaky:
    """`loses` says of a method and path whether the answer is lost; `refuses`, whether there is none but a 503."""

    behind: str
    loses: Callable[[str, str], bool] = lambda _method, _path: False
    refuses: Callable[[str, str], bool] = lambda _method, _path: False
    url: str = ""
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    keys: list[str] = field(default_factory=list)


@contextmanager
def shaky(behind: str) -> Iterator[Shaky]:
    """It, up for as long as the context lasts."""
    state = Shaky(behind)

    class Handler(BaseHTTPRequestHandler):
        def _forward(self) -> None:
            path = self.path.partition("?")[0]
            state.seen[self.command, path] += 1
            state.keys += filter(None, [self.headers.get("Idempotency-Key")])
            if state.refuses(self.command, path):
                self.send_error(503)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in {*DROPPED, "host"}}
            with httpx2.Client(trust_env=False, timeout=60.0) as client:
                answer = client.request(self.command, behind + self.path, headers=headers, content=body)
            if state.loses(self.command, path):
                self.close_connection = True
                return
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in DROPPED:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_DELETE = _forward  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Silence the log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class First:
    """True for the first of the calls that match, and never again."""

    def __init__(self, method: str, path: str) -> None:
        self._wanted: tuple[str, str] | None = (method, path)

    def __call__(self, method: str, path: str) -> bool:
        if self._wanted is None or (method, path) != self._wanted:
            return False
        self._wanted = None
        return True
