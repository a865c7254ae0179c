"""Streams an object with a single request, which resumes where it broke off.

The client library downloads each chunk with its own request, which takes most of the time. This uses the library's
session, with its credentials and connections, and reads one response at the viewer's pace.
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

# Larger pieces mean fewer thread switches, but more memory per viewer.
PIECE_BYTES = 512 * 1024
TIMEOUT_S = 30.0
# Seconds to wait before each retry; starts over whenever data arrives.
TRIES_AFTER_S = (0.2, 0.4, 0.8, 1.6, 3.2)
# One per concurrent viewer of an instance (infra/functions.tf).
CONNECTIONS_KEPT = 200
_REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class Downloads:
    """Downloads from one bucket."""

    def __init__(self, bucket: Bucket) -> None:
        address = bucket.client._connection.API_BASE_URL
        self._objects = f"{address}/download/storage/v1/b/{bucket.name}/o"
        self._session: requests.Session = bucket.client._http
        self._session.mount(address, HTTPAdapter(pool_maxsize=CONNECTIONS_KEPT))

    async def stream(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` to `end` inclusive. Raises FileNotFoundError, StorageRefused or Unavailable."""
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
        # Without decompression in transit, which would change the byte offsets.
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
            # In a thread: close() waits if another thread is still reading.
            asyncio.get_running_loop().run_in_executor(None, answer.close)


class _Passing(Exception):  # noqa: N818
    """A transient failure; retry."""


def _check(status: int, name: str) -> None:
    if status == HTTPStatus.NOT_FOUND:
        raise FileNotFoundError(name)
    if status in _REFUSALS:
        raise StorageRefused(f"Cloud Storage answers {status} for {name}")
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _Passing(f"status {status}")
    if status != HTTPStatus.PARTIAL_CONTENT:
        raise Unavailable(f"Cloud Storage answers {status} for a part of {name}")
