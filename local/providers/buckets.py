"""Where outputs are written and gs:// inputs are read: Cloud Storage through its official client, or a dictionary."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

_TIMEOUT_S = 30.0


class BucketError(Exception):
    """An object cannot be read or written; the message is fit for a caller."""


class Buckets(Protocol):
    """Objects by gs:// URI. Both calls raise BucketError."""

    async def read(self, uri: str) -> bytes: ...

    async def write(self, uri: str, data: bytes, content_type: str) -> None: ...


class MemoryBuckets:
    """Objects in a dictionary, for tests and for programs without a storage service."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def read(self, uri: str) -> bytes:
        if uri not in self.objects:
            raise BucketError(f"The object {uri} was not found.")
        return self.objects[uri]

    async def write(self, uri: str, data: bytes, content_type: str) -> None:
        split_uri(uri)
        self.objects[uri] = data


class GoogleBuckets:
    """Cloud Storage at `endpoint` (as in STORAGE_EMULATOR_HOST), with no credentials."""

    def __init__(self, endpoint: str) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client

        self._client: Any = Client(
            project="local",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": endpoint},
        )

    async def read(self, uri: str) -> bytes:
        bucket, name = split_uri(uri)
        data: bytes = await self._call(
            uri, lambda: self._client.bucket(bucket).blob(name).download_as_bytes(timeout=_TIMEOUT_S)
        )
        return data

    async def write(self, uri: str, data: bytes, content_type: str) -> None:
        bucket, name = split_uri(uri)
        blob = self._client.bucket(bucket).blob(name)
        await self._call(
            uri, lambda: blob.upload_from_string(data, content_type=content_type, checksum="crc32c", timeout=_TIMEOUT_S)
        )

    async def _call(self, uri: str, call: Any) -> Any:
        from google.api_core.exceptions import GoogleAPIError
        from requests.exceptions import RequestException

        try:
            return await asyncio.to_thread(call)
        except (GoogleAPIError, RequestException) as error:
            raise BucketError(f"{uri} cannot be accessed: {error}") from error


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and name of a gs:// URI; the name may be empty. Raises BucketError."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not uri.startswith("gs://") or not bucket:
        raise BucketError(f"{uri!r} is not a Cloud Storage URI (gs://bucket/path).")
    return bucket, name
