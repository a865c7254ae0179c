"""An object's bytes as one stream: one request for all of them, asked for again from where it broke off.

The client library's own downloads are one request for each piece, which takes most of the time of a piece. This is the
library's session, with its identity and its connections, and one answer that is read as the viewer takes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from http import HTTPStatus
from urllib.parse import quote

import requests
import urllib3
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Bucket
from requests.adapters import HTTPAdapter

from shared.core.errors import StorageRefused, Unavailable

# Larger pieces are fewer turns of a thread, and more memory for each viewer.
PIECE_BYTES = 512 * 1024
TIMEOUT_S = 30.0
# Seconds to wait before each further try, as long as not a byte comes.
TRIES_AFTER_S = (0.2, 0.4, 0.8, 1.6, 3.2)
# For as many viewers as an instance may have at once (infra/functions.tf).
CONNECTIONS_KEPT = 200
_REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class Downloads:
    """Those from one bucket."""

    def __init__(self, bucket: Bucket) -> None:
        address = bucket.client._connection.API_BASE_URL
        self._objects = f"{address}/download/storage/v1/b/{bucket.name}/o"
        self._session: requests.Session = bucket.client._http
        self._session.mount(address, HTTPAdapter(pool_maxsize=CONNECTIONS_KEPT))

    async def stream(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from start to end inclusive. Raises FileNotFoundError, StorageRefused and Unavailable."""
        waits = iter(TRIES_AFTER_S)
        while start <= end:
            try:
                async with aclosing(self._once(name, start, end)) as pieces:
                    async for piece in pieces:
                        start += len(piece)
                        waits = iter(TRIES_AFTER_S)
                        yield piece
            except (requests.RequestException, urllib3.exceptions.HTTPError, GoogleAuthError, _Passing) as error:
                wait_s = next(waits, None)
                if wait_s is None:
                    raise Unavailable(f"Cloud Storage: {type(error).__name__}: {error}") from error
                await asyncio.sleep(wait_s)

    async def _once(self, name: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        url = f"{self._objects}/{quote(name, safe='')}?alt=media"
        # Objects are passed on as they are kept: one that were unpacked on the way would have other offsets.
        headers = {"Range": f"bytes={start}-{end}", "Accept-Encoding": "gzip"}
        answer = await asyncio.to_thread(self._session.get, url, headers=headers, stream=True, timeout=TIMEOUT_S)
        try:
            _check(answer.status_code, name)
            came = False
            while piece := await asyncio.to_thread(answer.raw.read, PIECE_BYTES, decode_content=False):
                came = True
                yield piece
            if not came:
                raise _Passing("an empty answer")
        finally:
            # Not here: while a thread still reads, closing would wait for it.
            asyncio.get_running_loop().run_in_executor(None, answer.close)


class _Passing(Exception):  # noqa: N818
    """The bucket gave nothing this time."""


def _check(status: int, name: str) -> None:
    if status == HTTPStatus.NOT_FOUND:
        raise FileNotFoundError(name)
    if status in _REFUSALS:
        raise StorageRefused(f"Cloud Storage answers {status} for {name}")
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _Passing(f"status {status}")
    if status != HTTPStatus.PARTIAL_CONTENT:
        raise Unavailable(f"Cloud Storage answers {status} for a part of {name}")
