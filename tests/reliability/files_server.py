"""A Gemini Files API with one file as large as one likes, which may be cut off: made while it is sent."""

from __future__ import annotations

import base64
import random
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import google_crc32c

from local.ports import HOST

PIECE_BYTES = 1 << 20
FILE = "files/large1"


@dataclass
class LargeFilm:
    """A small video followed by a box that players skip: playable, and `size_bytes` long."""

    film: bytes
    size_bytes: int
    _filler: bytes = field(default_factory=lambda: random.Random(7).randbytes(PIECE_BYTES))

    def pieces(self) -> Iterator[bytes]:
        rest = self.size_bytes - len(self.film)
        # A box with a 64-bit length: the length 1, its type, the length itself.
        header = struct.pack(">I4sQ", 1, b"free", rest)
        yield self.film + header
        rest -= len(header)
        while rest > 0:
            yield self._filler[:rest]
            rest -= len(self._filler)

    @property
    def crc32c(self) -> str:
        """base64, as Cloud Storage writes it."""
        checksum = google_crc32c.Checksum()
        for piece in self.pieces():
            checksum.update(piece)
        return base64.b64encode(checksum.digest()).decode()


@dataclass
class FilesServer:
    """`cuts`: that many downloads break off half-way."""

    url: str
    film: LargeFilm
    cuts: int = 0
    downloads: int = 0

    @property
    def uri(self) -> str:
        return f"{self.url}/v1beta/{FILE}:download?alt=media"


@contextmanager
def serving(film: LargeFilm) -> Iterator[FilesServer]:
    with ThreadingHTTPServer((HOST, 0), _Handler) as server:
        server.daemon_threads = True
        files = FilesServer(f"http://{HOST}:{server.server_port}", film)
        server.files = files  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield files
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        files: FilesServer = self.server.files  # type: ignore[attr-defined]
        files.downloads += 1
        sent = 0
        cut = files.downloads <= files.cuts
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(files.film.size_bytes))
        self.end_headers()
        for piece in files.film.pieces():
            if cut and sent > files.film.size_bytes // 2:
                self.close_connection = True
                return
            self.wfile.write(piece)
            sent += len(piece)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Nothing: a test's output is its own."""
