"""objects.insert in its three forms (media, multipart, resumable), and the XML API's PUT."""

import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.storage import errors
from local.storage.disk import Disk
from local.storage.multipart import Related, json_object
from local.storage.objects import Conditions, StoredObject, check_name, number, resource, writable
from local.storage.sessions import QUANTUM_BYTES, Session, Sessions
from local.storage.writer import Writer, stated_checksums

CONTENT_RANGE: Final = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
CLIENT_CLOSED_REQUEST: Final = 499


class Uploads:
    """Takes objects in. `finalized(stored, overwritten)` is told of each new object, after it is visible."""

    def __init__(self, disk: Disk, finalized: Callable[[StoredObject, StoredObject | None], None]) -> None:
        self._disk = disk
        self._finalized = finalized
        self._sessions = Sessions(disk.uploads_path)

    async def insert(self, request: Request, bucket: str) -> Response:
        """POST /upload/storage/v1/b/BUCKET/o."""
        self._disk.bucket(bucket)
        kind = request.query_params.get("uploadType")
        if kind == "media":
            return await self._media(request, bucket)
        if kind == "multipart":
            return await self._multipart(request, bucket)
        if kind == "resumable":
            return await self._start(request, bucket)
        raise errors.invalid("Invalid uploadType; it must be media, multipart or resumable.")

    async def put(self, request: Request, bucket: str, name: str) -> Response:
        """PUT /BUCKET/OBJECT, the XML API's upload; the caller has checked the signature."""
        check_name(name)
        headers = request.headers
        conditions = Conditions.from_headers(headers)
        conditions.check_write(self._disk.find(bucket, name))
        stored = await self._receive(
            bucket, name, request.stream(), _xml_fields(request), conditions, lambda: stated_checksums(headers, {})
        )
        shown = {
            "ETag": stored.content_etag,
            "x-goog-generation": str(stored.generation),
            "x-goog-metageneration": str(stored.metageneration),
            "x-goog-hash": f"crc32c={stored.crc32c},md5={stored.md5}",
            "x-goog-stored-content-length": str(stored.size),
        }
        return Response(status_code=200, headers=shown)

    async def resume(self, request: Request, identity: str) -> Response:
        """PUT on a session: a chunk, the whole body, or a question for the session's state."""
        found = self._sessions.find(identity)
        if isinstance(found, Session):
            async with found.lock:
                # Another request may have ended the session while this one waited.
                found = self._sessions.find(identity)
                if isinstance(found, Session):
                    return await self._chunk(request, found)
        return _shown(request, found)

    def cancel(self, identity: str) -> Response:
        """DELETE on a session: 499 is how Cloud Storage says that it worked."""
        found = self._sessions.find(identity)
        if isinstance(found, Session):
            self._sessions.cancel(found)
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    def copy(
        self, source: StoredObject, bucket: str, name: str, fields: Mapping[str, Any], conditions: Conditions
    ) -> StoredObject:
        """Makes a copy of an object; it is finalized like an upload. Raises 404, 412."""
        overwritten = self._disk.find(bucket, name)
        stored = self._disk.copy(source, bucket, name, fields, conditions)
        self._finalized(stored, overwritten)
        return stored

    async def _media(self, request: Request, bucket: str) -> Response:
        name = check_name(_query_name(request))
        conditions = Conditions.from_query(request.query_params)
        conditions.check_write(self._disk.find(bucket, name))
        fields = {"contentType": request.headers.get("content-type")}
        fields["contentEncoding"] = request.query_params.get("contentEncoding")
        stored = await self._receive(
            bucket,
            name,
            request.stream(),
            writable(fields),
            conditions,
            lambda: stated_checksums(request.headers, {}),
        )
        return _shown(request, stored)

    async def _multipart(self, request: Request, bucket: str) -> Response:
        related = Related(request.headers.get("content-type", ""), request.stream())
        body = await related.metadata()
        name = _body_name(request, body)
        conditions = Conditions.from_query(request.query_params)
        conditions.check_write(self._disk.find(bucket, name))
        fields = {"contentType": related.media_type, **writable(body)}
        stored = await self._receive(
            bucket, name, related.media(), fields, conditions, lambda: stated_checksums(request.headers, body)
        )
        return _shown(request, stored)

    async def _receive(
        self,
        bucket: str,
        name: str,
        stream: AsyncIterator[bytes],
        fields: dict[str, Any],
        conditions: Conditions,
        stated: Callable[[], dict[str, str]],
    ) -> StoredObject:
        writer = Writer(self._disk.uploads_path / f"{uuid.uuid4().hex}.tmp")
        try:
            await writer.write(stream)
            writer.verify(stated())
            return self._commit(bucket, name, writer, fields, conditions)
        except BaseException:
            writer.discard()
            raise

    def _commit(
        self, bucket: str, name: str, writer: Writer, fields: dict[str, Any], conditions: Conditions
    ) -> StoredObject:
        overwritten = self._disk.find(bucket, name)
        stored = self._disk.put(bucket, name, writer, fields, conditions)
        self._finalized(stored, overwritten)
        return stored

    async def _start(self, request: Request, bucket: str) -> Response:
        body = json_object(await request.body())
        name = _body_name(request, body)
        conditions = Conditions.from_query(request.query_params)
        conditions.check_write(self._disk.find(bucket, name))
        content_type = request.headers.get("x-upload-content-type")
        fields = {**({"contentType": content_type} if content_type else {}), **writable(body)}
        stated = stated_checksums(request.headers, body)
        total = number(request.headers, "x-upload-content-length")
        session = self._sessions.start(bucket, name, stated, fields, conditions, total)
        location = request.url.include_query_params(upload_id=session.id)
        return Response(status_code=200, headers={"Location": str(location), "X-GUploader-UploadID": session.id})

    async def _chunk(self, request: Request, session: Session) -> Response:
        first, last, total = _content_range(request)
        if total is not None and session.total not in (None, total):
            raise errors.invalid(f"The upload's size was given as {session.total} before, now as {total} bytes.")
        session.total = session.total if total is None else total
        if first is not None:
            await self._take(request, session, first, last)
        if session.total is None or session.writer.size < session.total:
            return _incomplete(session)
        return self._finish(request, session)

    async def _take(self, request: Request, session: Session, first: int, last: int | None) -> None:
        have = session.writer.size
        if first > have:
            message = (
                f"Invalid request. According to the Content-Range header, the upload offset is {first} byte(s), "
                f"which exceeds already uploaded size of {have} byte(s)."
            )
            raise errors.StorageError(503, "backendError", "ServiceUnavailable", message)
        stream = _skipping(request.stream(), have - first)
        if last is None:
            await session.writer.write(stream, QUANTUM_BYTES)
            session.total = session.writer.size if session.total is None else session.total
        else:
            final = session.total is not None and last + 1 >= session.total
            await session.writer.write(_exactly(stream, last + 1 - have), QUANTUM_BYTES, whole=final)
        if session.total is not None and session.writer.size > session.total:
            self._sessions.cancel(session)
            raise errors.invalid("More bytes were sent than the upload's size.")

    def _finish(self, request: Request, session: Session) -> Response:
        try:
            session.writer.verify({**session.stated, **stated_checksums(request.headers, {})})
            stored = self._commit(session.bucket, session.name, session.writer, session.fields, session.conditions)
        except errors.StorageError:
            self._sessions.cancel(session)
            raise
        self._sessions.finish(session, stored)
        return _shown(request, stored)


def _shown(request: Request, stored: StoredObject) -> Response:
    return JSONResponse(resource(stored, str(request.base_url).rstrip("/")), headers={"ETag": stored.etag})


def _incomplete(session: Session) -> Response:
    headers = {"X-GUploader-UploadID": session.id}
    if session.writer.size:
        headers["Range"] = f"bytes=0-{session.writer.size - 1}"
    return Response(status_code=308, headers=headers)


def _content_range(request: Request) -> tuple[int | None, int | None, int | None]:
    """First byte, last byte and total size as stated; (0, None, None) is a body of all bytes, first None a question."""
    header = request.headers.get("content-range")
    if header is None:
        return 0, None, None
    match = CONTENT_RANGE.fullmatch(header)
    if match is None:
        raise errors.invalid(f"Failed to parse Content-Range header: {header!r}")
    first, last, total = (int(text) if text and text != "*" else None for text in match.groups())
    if first is not None and last is not None and (last < first or (total is not None and last >= total)):
        raise errors.invalid(f"Failed to parse Content-Range header: {header!r}")
    return first, last, total


async def _skipping(stream: AsyncIterator[bytes], count: int) -> AsyncIterator[bytes]:
    async for piece in stream:
        skipped = min(count, len(piece))
        count -= skipped
        yield piece[skipped:]


async def _exactly(stream: AsyncIterator[bytes], count: int) -> AsyncIterator[bytes]:
    missing = max(0, count)
    async for piece in stream:
        missing -= len(piece)
        if missing < 0:
            raise errors.invalid("The body is longer than its Content-Range.")
        yield piece
    if missing:
        raise errors.invalid("The body is shorter than its Content-Range.")


def _query_name(request: Request) -> str:
    name = request.query_params.get("name")
    if not name:
        raise errors.required("name")
    return name


def _body_name(request: Request, body: dict[str, Any]) -> str:
    name = request.query_params.get("name") or body.get("name")
    if not isinstance(name, str):
        raise errors.required("name")
    return check_name(name)


def _xml_fields(request: Request) -> dict[str, Any]:
    headers = request.headers
    metadata = {
        name.removeprefix("x-goog-meta-"): value for name, value in headers.items() if name.startswith("x-goog-meta-")
    }
    return writable(
        {
            "contentType": headers.get("content-type"),
            "cacheControl": headers.get("cache-control"),
            "contentDisposition": headers.get("content-disposition"),
            "contentEncoding": headers.get("content-encoding"),
            "contentLanguage": headers.get("content-language"),
            "metadata": metadata or None,
        }
    )
