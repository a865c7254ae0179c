"""One incoming stream of bytes on its way into a temporary file, checksummed as it is written."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import google_crc32c
from starlette.datastructures import Headers

from local.storage import errors

BLOCK_BYTES: Final = 1 << 20


class Writer:
    """Appends to the file at `path`; `size`, `crc32c` and `md5` (base64) describe what is in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab")
        self._crc32c = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    @classmethod
    def resume(cls, path: Path, size: int) -> "Writer":
        """A writer that goes on after the first `size` bytes of a file; the rest is cut off."""
        writer = cls(path)
        writer._file.truncate(size)
        with path.open("rb") as written:
            while block := written.read(BLOCK_BYTES):
                writer._account(block)
        return writer

    @property
    def crc32c(self) -> str:
        """Base64 of the big-endian CRC32C of all bytes so far."""
        return base64.b64encode(self._crc32c.to_bytes(4, "big")).decode()

    @property
    def md5(self) -> str:
        """Base64 of the MD5 of all bytes so far."""
        return base64.b64encode(self._md5.digest()).decode()

    async def write(self, stream: AsyncIterator[bytes], quantum_bytes: int = 1, *, whole: bool = True) -> None:
        """Appends the stream, in blocks of bounded size.

        When the stream breaks off, what is kept ends on a multiple of `quantum_bytes`, and its error goes on up; with
        `whole` false the same holds for its regular end.
        """
        buffer = bytearray()
        has_ended = False
        try:
            async for piece in stream:
                buffer += piece
                if len(buffer) >= BLOCK_BYTES:
                    await self._append(buffer, quantum_bytes)
            has_ended = True
        finally:
            await self._append(buffer, 1 if has_ended and whole else quantum_bytes)

    def verify(self, expected: Mapping[str, str]) -> None:
        """Raises 400 when a checksum that the client stated ("crc32c", "md5": base64) differs from ours."""
        for kind, ours in (("crc32c", self.crc32c), ("md5", self.md5)):
            theirs = expected.get(kind)
            if theirs is not None and theirs != ours:
                label = kind.upper()
                message = f'Provided {label} "{theirs}" doesn\'t match calculated {label} "{ours}".'
                raise errors.StorageError(400, "invalid", "BadDigest", message)

    def release(self, target: Path) -> None:
        """Closes the file and moves it to `target` in one step."""
        self._file.close()
        self._path.replace(target)

    def discard(self) -> None:
        """Closes and removes the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    async def _append(self, buffer: bytearray, quantum_bytes: int) -> None:
        length = max(0, len(buffer) - (self.size + len(buffer)) % quantum_bytes)
        if length:
            await asyncio.to_thread(self._append_now, bytes(buffer[:length]))
            del buffer[:length]

    def _append_now(self, block: bytes) -> None:
        self._file.write(block)
        self._file.flush()
        self._account(block)

    def _account(self, block: bytes) -> None:
        self._crc32c = google_crc32c.extend(self._crc32c, block)
        self._md5.update(block)
        self.size += len(block)


def stated_checksums(headers: Headers, body: Mapping[str, object]) -> dict[str, str]:
    """The checksums a client sent, in x-goog-hash, Content-MD5 or the resource's crc32c and md5Hash; base64."""
    stated: dict[str, str] = {}
    for kind, key in (("crc32c", "crc32c"), ("md5", "md5Hash")):
        value = body.get(key)
        if isinstance(value, str):
            stated[kind] = value
    if "content-md5" in headers:
        stated["md5"] = headers["content-md5"]
    for item in ",".join(headers.getlist("x-goog-hash")).split(","):
        kind, _, value = item.strip().partition("=")
        if kind in ("crc32c", "md5") and value:
            stated[kind] = value
    return stated
