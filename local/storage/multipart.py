"""A multipart/related upload: a JSON part with the object's resource, then a part with its bytes, read as a stream."""

import json
from collections.abc import AsyncIterator
from email.message import Message
from typing import Any, Final

from local.storage import errors

METADATA_LIMIT_BYTES: Final = 1 << 20


class Related:
    """Reads one multipart/related body. First `metadata()`, then `media_type`, then `media()` to its end."""

    def __init__(self, content_type: str, stream: AsyncIterator[bytes]) -> None:
        header = Message()
        header["content-type"] = content_type
        boundary = header.get_param("boundary")
        if header.get_content_type() != "multipart/related" or not isinstance(boundary, str):
            raise errors.invalid("Multipart must be multipart/related with a boundary.")
        self._delimiter = b"\r\n--" + boundary.encode()
        self._stream = stream
        # The first delimiter stands at the very start, without a line break before it.
        self._buffer = bytearray(b"\r\n")
        self.media_type: str | None = None

    async def metadata(self) -> dict[str, Any]:
        """The first part as JSON. Raises 400 when it is none, or longer than a mebibyte."""
        await self._until(self._delimiter)
        await self._until(b"\r\n\r\n")
        text = await self._until(self._delimiter)
        self.media_type = _content_type(await self._until(b"\r\n\r\n"))
        return json_object(text)

    async def media(self) -> AsyncIterator[bytes]:
        """The second part's bytes. Raises 400 when the body ends before the closing delimiter."""
        held_back = len(self._delimiter) - 1
        while True:
            at = self._buffer.find(self._delimiter)
            if at >= 0:
                yield bytes(self._buffer[:at])
                break
            ready = len(self._buffer) - held_back
            if ready > 0:
                yield bytes(self._buffer[:ready])
                del self._buffer[:ready]
            await self._more()
        async for _ in self._stream:
            pass

    async def _until(self, mark: bytes) -> bytes:
        while (at := self._buffer.find(mark)) < 0:
            if len(self._buffer) > METADATA_LIMIT_BYTES:
                raise errors.invalid("The metadata part is too large.")
            await self._more()
        before = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return before

    async def _more(self) -> None:
        try:
            self._buffer += await anext(self._stream)
        except StopAsyncIteration:
            raise errors.invalid("Multipart body ended before its closing delimiter.") from None


def json_object(text: bytes) -> dict[str, Any]:
    """A JSON object; an empty text is an empty one. Raises 400 for anything else."""
    try:
        document = json.loads(text or b"{}")
    except ValueError:
        raise errors.StorageError(400, "parseError", "InvalidArgument", "Parse Error") from None
    if not isinstance(document, dict):
        raise errors.StorageError(400, "parseError", "InvalidArgument", "Parse Error")
    return document


def _content_type(headers: bytes) -> str | None:
    for line in headers.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-type":
            return value.strip()
    return None
