"""What Cloud Run's front end does to every request, so that a function meets it on a laptop too.

Over HTTP/1 a response of more than 32 MiB is dropped unless it is chunked, and a request of more than 32 MiB never
reaches the function.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES: Final = 32 * 1024 * 1024


class FrontEnd:
    """The function behind Cloud Run's limits."""

    def __init__(self, function: ASGIApp) -> None:
        self._function = function

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _length(Headers(scope=scope)) > MAX_BYTES:
            await Response(status_code=413)(scope, receive, send)
            return
        dropped = False

        async def bounded(message: Message) -> None:
            nonlocal dropped
            if message["type"] == "http.response.start" and scope["method"] != "HEAD":
                dropped = _length(Headers(raw=message["headers"])) > MAX_BYTES
                if dropped:
                    # Without a body or a reason, as in the cloud: the function's own log shows a success.
                    await Response(status_code=500)(scope, receive, send)
            if not dropped:
                await send(message)

        await self._function(scope, receive, bounded)


def _length(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0
