"""Cloud Storage in memory or in a directory: create-only writes, checksums, seekable readers, signed URLs.

Without `run` nothing ever waits: what a caller hands in to be run (`produce`, `use`) runs at once, and each call is one
indivisible effect. The embedded form gives `asyncio.to_thread`.
"""

from __future__ import annotations

import base64
import builtins
import hashlib
import hmac
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, TypeVar, cast
from urllib.parse import quote, urlencode

import google_crc32c
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.storage import cors, errors
from local.storage.disk import Disk
from local.storage.downloads import download
from local.storage.objects import Conditions
from local.storage.objects import StoredObject as Record
from local.storage.writer import Writer
from shared.core import filenames
from shared.platform.caching import Cache
from shared.platform.ports import ObjectExists, SignedUrl, StoredObject, utc_now

T = TypeVar("T")
Run = Callable[[Callable[[], T]], Awaitable[T]]

PATH: Final = "/local-storage"
SIGNED_FOR: Final = timedelta(minutes=15)
REUSED_WHILE: Final = timedelta(minutes=5)
STREAM_BYTES: Final = 1 << 20
CACHED_URLS: Final = 4_096
CACHE_CONTROL: Final = "private, max-age=3600"


class Spool(Protocol):
    """Bytes on their way into an object; `crc32c` and `md5` are base64."""

    size: int

    @property
    def crc32c(self) -> str: ...

    def append(self, data: bytes) -> None: ...

    def discard(self) -> None:
        """Forget the bytes."""


class Files(Protocol):
    """Where the objects of one bucket are."""

    def find(self, name: str) -> Record | None: ...

    def under(self, prefix: str) -> list[Record]:
        """All objects under the prefix, by name in UTF-8 order."""

    def open(self, record: Record) -> BinaryIO: ...

    def spool(self) -> Spool: ...

    def place(self, name: str, spool: Spool, content_type: str, now: datetime) -> Record:
        """The spool's bytes become the object; there is none of that name yet."""

    def describe(self, record: Record, fields: Mapping[str, Any]) -> None:
        """Set these of the object's own fields; the others stay."""

    def delete(self, name: str) -> None: ...


class MemoryObjectStore:
    """One bucket. `public_url` is the root under which routes() are served."""

    def __init__(
        self,
        bucket: str,
        files: Files | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        public_url: str = "http://127.0.0.1",
        secret: str = "",
        run: Run[object] | None = None,
        finalized: Callable[[Record], None] = lambda record: None,
    ) -> None:
        """`finalized` is called with each new object, as the bucket's notifications are; it must not raise."""
        self._bucket = bucket
        self._files = files or DictFiles(bucket)
        self._clock = clock
        self._public_url = public_url.rstrip("/")
        self._secret = (secret or uuid.uuid4().hex).encode()
        self._run_in = run
        self._finalized = finalized
        self._urls: Cache[tuple[str, str], SignedUrl] = Cache(CACHED_URLS)

    @property
    def bucket(self) -> str:
        return self._bucket

    async def stat(self, name: str) -> StoredObject | None:
        record = self._files.find(name)
        return _described(record) if record is not None else None

    async def list(self, prefix: str) -> list[StoredObject]:
        return [_described(record) for record in self._files.under(prefix)]

    async def page(self, prefix: str, after: str, end: str, limit: int) -> builtins.list[StoredObject]:
        first, stop = after.encode(), end.encode()
        under = [record for record in self._files.under(prefix) if first < record.name.encode() < stop]
        return [_described(record) for record in under[:limit]]

    async def write(self, name: str, produce: Callable[[BinaryIO], None], content_type: str) -> StoredObject:
        spool = self._files.spool()
        try:
            await self._run(lambda: produce(cast(BinaryIO, _Sink(spool))))
            there = self._files.find(name)
            if there is None:
                return self._place(name, spool, content_type)
        except BaseException:
            spool.discard()
            raise
        spool.discard()
        if (there.crc32c, there.size) != (spool.crc32c, spool.size):
            raise ObjectExists(name)
        return _described(there)

    async def describe(self, name: str, disposition: str, metadata: Mapping[str, str]) -> None:
        record = self._files.find(name)
        if record is None:
            raise FileNotFoundError(name)
        self._files.describe(record, {"contentDisposition": disposition, "metadata": dict(metadata)})

    async def use(self, name: str, use: Callable[[BinaryIO], T]) -> T:
        with self._open(name) as reader:
            return await self._run(lambda: use(reader))

    async def stream(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        with self._open(name) as reader:
            reader.seek(start)
            left = end - start + 1
            while left > 0:
                size = min(left, STREAM_BYTES)
                piece = await self._run(lambda size=size: reader.read(size))  # type: ignore[misc]
                if not piece:
                    return
                left -= len(piece)
                yield piece

    async def sign(self, name: str, filename: str, download: bool = False) -> SignedUrl:
        now = self._clock()
        shown = filenames.disposition(filename, download)
        cached = self._urls.get((name, shown), now)
        if cached is not None:
            return cached
        expires_at = now + SIGNED_FOR
        expires = str(int(expires_at.timestamp()))
        query = {"expires": expires, "disposition": shown, "signature": self._signature(name, shown, expires)}
        url = SignedUrl(f"{self._public_url}{PATH}/{quote(name)}?{urlencode(query)}", expires_at)
        self._urls.put((name, shown), url, expires_at - REUSED_WHILE)
        return url

    async def delete(self, prefix: str) -> int:
        records = self._files.under(prefix)
        for record in records:
            self._files.delete(record.name)
        return len(records)

    def routes(self) -> tuple[Route, ...]:
        """What serves the signed URLs, as Cloud Storage would: ranges, HEAD, validators and any page's origin."""
        return (Route(f"{PATH}/{{name:path}}", self._serve, methods=["GET", "OPTIONS"]),)

    async def _serve(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(headers=cors.preflight_headers(cors.DEFAULT, request.headers))
        try:
            response = self._object(request, request.path_params["name"])
        except errors.StorageError as error:
            response = error.as_xml()
        for name, value in cors.simple_headers(cors.DEFAULT, request.headers.get("origin"), request.method).items():
            response.headers[name] = value
        return response

    def _object(self, request: Request, name: str) -> Response:
        query = request.query_params
        if not self._is_signed(name, query):
            raise errors.access_denied(self._bucket, name)
        record = self._files.find(name)
        if record is None:
            raise errors.no_object(self._bucket, name)
        disposition = {"content-disposition": query["disposition"]}
        # All that it wants of a disk is to open what was found.
        return download(request, cast(Disk, self._files), record, record.content_etag, disposition)

    def _is_signed(self, name: str, query: Mapping[str, str]) -> bool:
        expires = query.get("expires", "")
        if not (expires.isascii() and expires.isdigit()) or len(expires) > len("253402300799"):
            return False
        expected = self._signature(name, query.get("disposition", ""), expires)
        given = query.get("signature", "")
        return hmac.compare_digest(expected.encode(), given.encode()) and self._clock().timestamp() < int(expires)

    def _signature(self, name: str, disposition: str, expires: str) -> str:
        return hmac.new(self._secret, "\n".join((name, disposition, expires)).encode(), hashlib.sha256).hexdigest()

    def _place(self, name: str, spool: Spool, content_type: str) -> StoredObject:
        record = self._files.place(name, spool, content_type, self._clock())
        self._finalized(record)
        return _described(record)

    def _open(self, name: str) -> BinaryIO:
        record = self._files.find(name)
        if record is None:
            raise FileNotFoundError(name)
        return self._files.open(record)

    async def _run(self, call: Callable[[], T]) -> T:
        return call() if self._run_in is None else cast(T, await self._run_in(call))


class DictFiles:
    """Objects in a dictionary."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._objects: dict[str, tuple[Record, bytes]] = {}
        self._generation = 0

    def find(self, name: str) -> Record | None:
        found = self._objects.get(name)
        return found[0] if found else None

    def under(self, prefix: str) -> list[Record]:
        records = [record for record, _ in self._objects.values() if record.name.startswith(prefix)]
        return sorted(records, key=lambda record: record.name.encode())

    def open(self, record: Record) -> BinaryIO:
        return BytesIO(self._objects[record.name][1])

    def spool(self) -> Spool:
        return MemorySpool()

    def place(self, name: str, spool: Spool, content_type: str, now: datetime) -> Record:
        assert isinstance(spool, MemorySpool)
        self._generation += 1
        at = now.timestamp()
        fields = {"contentType": content_type, "cacheControl": CACHE_CONTROL}
        data = spool.bytes()
        md5 = _base64(hashlib.md5(data, usedforsecurity=False).digest())
        record = Record(self._bucket, name, self._generation, 1, spool.size, spool.crc32c, md5, at, at, fields)
        self._objects[name] = record, data
        return record

    def describe(self, record: Record, fields: Mapping[str, Any]) -> None:
        _, data = self._objects[record.name]
        changed = replace(record, fields={**record.fields, **fields}, metageneration=record.metageneration + 1)
        self._objects[record.name] = changed, data

    def delete(self, name: str) -> None:
        del self._objects[name]


class DiskFiles:
    """Objects as files, in the layout of the laptop's storage server."""

    def __init__(self, directory: Path, bucket: str) -> None:
        self._disk = Disk(directory)
        self._bucket = bucket
        if bucket not in {each["name"] for each in self._disk.buckets()}:
            self._disk.create_bucket(bucket, {})

    def find(self, name: str) -> Record | None:
        return self._disk.find(self._bucket, name)

    def under(self, prefix: str) -> list[Record]:
        records: list[Record] = []
        after: str | None = ""
        while after is not None:
            page = self._disk.page(self._bucket, prefix, "", "", "", after, 1_000)
            records += page.objects
            after = page.token
        return records

    def open(self, record: Record) -> BinaryIO:
        return self._disk.open(record)

    def spool(self) -> Spool:
        return DiskSpool(self._disk.uploads_path / f"{uuid.uuid4().hex}.tmp")

    def place(self, name: str, spool: Spool, content_type: str, now: datetime) -> Record:
        assert isinstance(spool, DiskSpool)
        fields = {"contentType": content_type, "cacheControl": CACHE_CONTROL}
        return self._disk.put(self._bucket, name, spool, fields, Conditions(generation=0))

    def describe(self, record: Record, fields: Mapping[str, Any]) -> None:
        self._disk.change(record, {**record.fields, **fields}, Conditions())

    def delete(self, name: str) -> None:
        self._disk.delete(self._bucket, name, Conditions())


class MemorySpool:
    """A spool without a file."""

    def __init__(self) -> None:
        self._data = BytesIO()
        self._crc32c = 0
        self.size = 0

    @property
    def crc32c(self) -> str:
        return _base64(self._crc32c.to_bytes(4, "big"))

    def append(self, data: bytes) -> None:
        self._data.write(data)
        self._crc32c = google_crc32c.extend(self._crc32c, data)
        self.size += len(data)

    def bytes(self) -> bytes:
        return self._data.getvalue()

    def discard(self) -> None:
        self._data.close()


class DiskSpool(Writer):
    """A spool in a file."""

    def append(self, data: bytes) -> None:
        self._append_now(data)


class _Sink:
    """What `produce` writes to: as with Cloud Storage it can be written and nothing else."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def write(self, data: bytes) -> int:
        self._spool.append(bytes(data))
        return len(data)


def _described(record: Record) -> StoredObject:
    created_at = datetime.fromtimestamp(record.created_at, UTC)
    return StoredObject(record.name, record.size, record.crc32c, str(record.fields["contentType"]), created_at)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
