"""A download over a broken connection resumes where it was, and a file is complete or absent."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rushes.downloads import TRIES, download, targets
from rushes.exit_codes import Exit
from rushes.failure import Failure

FILM = os.urandom(300_000)


class Signer:
    """In the place of the API, which only gives the URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked = 0

    def get(self, _path: str, **_query: Any) -> dict[str, str]:
        self.asked += 1
        return {"url": self.url}


@contextmanager
def storage(gives: Callable[[int, int], int], ranges: bool = True) -> Iterator[tuple[str, list[str | None]]]:
    """A bucket that of each answer sends only so many bytes as `gives` says of the try and of what was asked for."""
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            seen.append(asked)
            begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked and ranges else 0
            body = FILM[begin:]
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: gives(len(seen), len(body))])

        def log_message(self, *_: object) -> None:
            """Silence the log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/film.mp4", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fetch(url: str, out: Path, size_bytes: int | None = len(FILM)) -> Signer:
    signer = Signer(url)
    download(signer, "video_x", out, size_bytes=size_bytes)  # type: ignore[arg-type]
    return signer


def test_broken_download_resumes_where_it_was(tmp_path: Path) -> None:
    with storage(lambda number, whole: 100_000 if number < 3 else whole) as (url, seen):
        signer = fetch(url, tmp_path / "boat.mp4")
    assert (tmp_path / "boat.mp4").read_bytes() == FILM
    assert seen == [None, "bytes=100000-", "bytes=200000-"]
    # Each time with a fresh URL: the one before may have ended.
    assert signer.asked == 3


def test_server_without_ranges_is_read_from_the_start(tmp_path: Path) -> None:
    with storage(lambda number, whole: 100_000 if number < 2 else whole, ranges=False) as (url, _):
        fetch(url, tmp_path / "boat.mp4")
    assert (tmp_path / "boat.mp4").read_bytes() == FILM


def test_download_that_keeps_failing_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "boat.mp4").write_bytes(b"the film before")
    with storage(lambda _number, _whole: 10) as (url, seen), pytest.raises(Failure) as failed:
        fetch(url, tmp_path / "boat.mp4")
    assert failed.value.exit is Exit.UNAVAILABLE
    assert len(seen) == TRIES
    assert [path.name for path in tmp_path.iterdir()] == ["boat.mp4"]
    assert (tmp_path / "boat.mp4").read_bytes() == b"the film before"


def test_video_of_unexpected_size_is_not_kept(tmp_path: Path) -> None:
    with storage(lambda _number, whole: whole) as (url, _), pytest.raises(Failure, match="300,000 of 300,001 bytes"):
        fetch(url, tmp_path / "boat.mp4", size_bytes=len(FILM) + 1)
    assert list(tmp_path.iterdir()) == []


def test_several_files_are_named_after_the_first() -> None:
    assert [path.name for path in targets(Path("boat.mp4"), 3)] == ["boat.mp4", "boat-2.mp4", "boat-3.mp4"]
