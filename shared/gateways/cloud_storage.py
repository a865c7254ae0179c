"""Cloud Storage: videos, poster frames, and signed URLs to play them.

The client library is synchronous, so every call runs in a thread.
"""

from __future__ import annotations

import asyncio
import base64
import builtins
import datetime as dt
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import google.auth
import google.auth.transport.requests
import google_crc32c
import requests
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth import credentials as auth_credentials
from google.auth import crypt
from google.cloud.storage import Blob, Bucket, Client
from google.cloud.storage.exceptions import InvalidResponse

from shared.core import filenames
from shared.core.errors import StorageRefused, Unavailable
from shared.gateways.object_stream import Downloads
from shared.platform.caching import Cache
from shared.platform.ports import ObjectExists, SignedUrl, StoredObject
from shared.platform.settings import Settings

T = TypeVar("T")

# Resumable uploads require a multiple of 256 KiB. The library, the request and a second thread's heap each hold one or
# more chunks: with twice this size, a video on a busy machine takes up to 32 MiB of memory.
CHUNK_BYTES = 1024 * 1024
READ_AHEAD_BYTES = 256 * 1024
CALL_TIMEOUT_S = 30.0
SIGNED_FOR = dt.timedelta(minutes=15)
REUSED_WHILE = dt.timedelta(minutes=5)
CACHED_URLS = 4_096
_RETRY = Retry(initial=0.2, maximum=5.0, multiplier=2.0, timeout=30.0)
_REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class CloudStorage:
    """One bucket of Cloud Storage."""

    def __init__(self, settings: Settings, clock: Callable[[], dt.datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._urls: Cache[tuple[str, str], SignedUrl] = Cache(CACHED_URLS)

    @property
    def bucket(self) -> str:
        return self._settings.bucket

    @cached_property
    def _bucket(self) -> Bucket:
        client = Client(project=self._settings.google_cloud_project)
        return client.bucket(self._settings.bucket)

    @cached_property
    def _downloads(self) -> Downloads:
        return Downloads(self._bucket)

    @cached_property
    def _signer(self) -> Signer:
        return Signer(self._settings)

    async def stat(self, name: str) -> StoredObject | None:
        blob = await _in_thread(lambda: self._bucket.get_blob(name, timeout=CALL_TIMEOUT_S, retry=_RETRY))
        return _described(blob) if blob is not None else None

    async def list(self, prefix: str) -> list[StoredObject]:
        return await _in_thread(
            lambda: [
                _described(blob)
                for blob in self._bucket.list_blobs(prefix=prefix, timeout=CALL_TIMEOUT_S, retry=_RETRY)
            ]
        )

    async def page(self, prefix: str, after: str, end: str, limit: int) -> builtins.list[StoredObject]:
        def run() -> builtins.list[StoredObject]:
            # start_offset is inclusive, so ask for one more in case the first is `after` itself.
            blobs = self._bucket.list_blobs(
                prefix=prefix,
                start_offset=after,
                end_offset=end,
                max_results=limit + 1,
                timeout=CALL_TIMEOUT_S,
                retry=_RETRY,
            )
            return [_described(blob) for blob in blobs if blob.name != after][:limit]

        return await _in_thread(run)

    async def write(self, name: str, produce: Callable[[BinaryIO], None], content_type: str) -> StoredObject:
        return await _in_thread(lambda: self._write(name, produce, content_type))

    def _write(self, name: str, produce: Callable[[BinaryIO], None], content_type: str) -> StoredObject:
        blob = self._bucket.blob(name)
        blob.cache_control = "private, max-age=3600"
        blob.content_type = content_type
        upload = blob.open(
            "wb",
            chunk_size=CHUNK_BYTES,
            content_type=content_type,
            if_generation_match=0,
            timeout=CALL_TIMEOUT_S,
            retry=_RETRY,
        )
        measured = _Measured(upload)
        whole = False
        try:
            produce(cast(BinaryIO, measured))
            whole = measured.close()
        finally:
            if not whole:
                # Leave no partial object; an open writer would upload its buffer when it is garbage-collected.
                upload.terminate()
        if not whole:
            # The library retries when a response is lost, so the existing object may be our own.
            found = self._bucket.get_blob(name, timeout=CALL_TIMEOUT_S, retry=_RETRY)
            if found is None or found.crc32c != measured.crc32c or found.size != measured.size_bytes:
                raise ObjectExists(name)
            return _described(found)
        blob.reload(timeout=CALL_TIMEOUT_S, retry=_RETRY)
        return _described(blob)

    async def describe(self, name: str, disposition: str, metadata: Mapping[str, str]) -> None:
        def run() -> None:
            blob = self._bucket.blob(name)
            blob.content_disposition = disposition
            blob.metadata = dict(metadata)
            # Idempotent, so it's safe to retry.
            blob.patch(timeout=CALL_TIMEOUT_S, retry=_RETRY)

        await _in_thread(run)

    async def use(self, name: str, use: Callable[[BinaryIO], T]) -> T:
        def run() -> T:
            blob = self._bucket.get_blob(name, timeout=CALL_TIMEOUT_S, retry=_RETRY)
            if blob is None:
                raise FileNotFoundError(name)
            with blob.open("rb", chunk_size=READ_AHEAD_BYTES, timeout=CALL_TIMEOUT_S, retry=_RETRY) as reader:
                return use(cast(BinaryIO, reader))

        return await _in_thread(run)

    def stream(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        return self._downloads.stream(name, start, end)

    async def sign(self, name: str, filename: str, download: bool = False) -> SignedUrl:
        """Return a V4 signed URL, valid for 15 min. It is shared by all callers while at least 5 min remain."""
        now = self._clock()
        shown = filenames.disposition(filename, download)
        cached = self._urls.get((name, shown), now)
        if cached is not None:
            return cached
        expires_at = now + SIGNED_FOR
        url = await _in_thread(lambda: self._signer.sign(self._bucket.blob(name), shown))
        signed = SignedUrl(url, expires_at)
        self._urls.put((name, shown), signed, expires_at - REUSED_WHILE)
        return signed

    async def delete(self, prefix: str) -> int:
        def run() -> int:
            blobs = list(self._bucket.list_blobs(prefix=prefix, timeout=CALL_TIMEOUT_S, retry=_RETRY))
            self._bucket.delete_blobs(blobs, on_error=lambda blob: None, timeout=CALL_TIMEOUT_S, retry=_RETRY)
            return len(blobs)

        return await _in_thread(run)


class Signer:
    """Signs URLs with a local key file, or through IAM as the function's service account."""

    def __init__(self, settings: Settings) -> None:
        self._email = settings.signer_email
        self._lock = threading.Lock()
        self._local = _LocalKey(settings) if settings.signer_key_file else None
        self._own: Any = None

    def sign(self, blob: Blob, disposition: str) -> str:
        url: str = blob.generate_signed_url(
            version="v4",
            expiration=SIGNED_FOR,
            method="GET",
            response_disposition=disposition,
            **(self._with_key(blob) if self._local else self._with_iam()),
        )
        return url

    def _with_key(self, blob: Blob) -> dict[str, Any]:
        # By default the library signs for Google's endpoint; the emulator's is the client's base URL.
        endpoint = blob.client._connection.API_BASE_URL
        return {"credentials": self._local, "api_access_endpoint": endpoint}

    def _with_iam(self) -> dict[str, Any]:
        with self._lock:
            if self._own is None:
                self._own, _ = google.auth.default(scopes=[_SCOPE])
            if not self._own.valid:
                self._own.refresh(google.auth.transport.requests.Request())
            email = self._email or self._own.service_account_email
            return {"service_account_email": email, "access_token": self._own.token}


class _LocalKey(auth_credentials.Signing):
    """A private key in a file, wrapped as the credentials that the storage library signs with."""

    def __init__(self, settings: Settings) -> None:
        self._email = settings.signer_email
        self._rsa: crypt.RSASigner = crypt.RSASigner.from_string(Path(settings.signer_key_file).read_text())

    @property
    def signer(self) -> crypt.Signer:
        return self._rsa

    @property
    def signer_email(self) -> str:
        return self._email

    def sign_bytes(self, message: bytes) -> bytes:
        signature: bytes = self._rsa.sign(message)
        return signature


class _Measured:
    """Forwards writes to the upload and tracks their length and checksum.

    If the bucket refuses the upload because the object exists, the remaining writes are only measured, to compare them
    with that object.
    """

    def __init__(self, upload: Any) -> None:
        self._upload = upload
        self._checksum = 0
        self.size_bytes = 0
        self._refused = False

    @property
    def crc32c(self) -> str:
        return base64.b64encode(self._checksum.to_bytes(4, "big")).decode()

    def write(self, data: bytes) -> int:
        self._checksum = google_crc32c.extend(self._checksum, bytes(data))
        self.size_bytes += len(data)
        self._forward(lambda: self._upload.write(data))
        return len(data)

    def close(self) -> bool:
        """Finish the upload; False if it was refused because the object exists."""
        self._forward(self._upload.close)
        return not self._refused

    def _forward(self, call: Callable[[], object]) -> None:
        if self._refused:
            return
        try:
            call()
        except InvalidResponse as error:
            if error.response.status_code != HTTPStatus.PRECONDITION_FAILED:
                raise
            self._refused = True


def _described(blob: Blob) -> StoredObject:
    return StoredObject(blob.name, blob.size, blob.crc32c, blob.content_type or "", blob.time_created)


async def _in_thread(call: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(call)
    except exceptions.NotFound as error:
        raise FileNotFoundError(str(error)) from error
    except (exceptions.Unauthorized, exceptions.Forbidden) as error:
        raise StorageRefused(f"Cloud Storage: {error}") from error
    except InvalidResponse as error:
        kind = StorageRefused if error.response.status_code in _REFUSALS else Unavailable
        raise kind(f"Cloud Storage: {error}") from error
    except (
        exceptions.ServerError,
        exceptions.TooManyRequests,
        exceptions.RetryError,
        requests.exceptions.RequestException,
    ) as error:
        raise Unavailable(f"Cloud Storage: {error}") from error
