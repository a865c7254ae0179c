"""The storage server's ASGI application: which API a request is for, and the shape of its errors."""

import contextlib
import datetime
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from local.storage import cors, errors
from local.storage.disk import Disk
from local.storage.downloads import download
from local.storage.json_api import JsonApi
from local.storage.notify import Notifier
from local.storage.objects import Conditions, StoredObject, number
from local.storage.refusals import Refusals
from local.storage.signature import Verifier
from local.storage.uploads import CLIENT_CLOSED_REQUEST, Uploads

JSON_PREFIXES: Final = ("storage", "upload", "download")
JSON_CORS: Final[list[dict[str, Any]]] = [
    {"origin": ["*"], "method": ["*"], "responseHeader": ["Authorization", "Content-Type", "Range", "Location"]}
]


class Body:
    """The ASGI `receive` of one request, which knows whether the body has been read to its end."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def __call__(self) -> Message:
        """The next message."""
        message = await self._receive()
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Reads what is left of the body."""
        while not self._ended:
            await self()


class Door:
    """Sends each request to the JSON API or the XML API; paths are split before they are decoded."""

    def __init__(self, disk: Disk, uploads: Uploads, verifier: Verifier | None, refusals: Refusals) -> None:
        self._disk = disk
        self._refusals = refusals
        self._uploads = uploads
        self._verifier = verifier
        self._json = JsonApi(disk, uploads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI."""
        body = Body(receive)
        response = await self._answer(Request(scope, body))
        # An answer before the end of the body would make the server reset the connection under the client's feet.
        await body.drain()
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        raw = request.scope["raw_path"].decode("ascii").split("/")[1:]
        is_json = raw[0] in JSON_PREFIXES and "v1" in raw[1:3]
        try:
            segments = [unquote(segment, errors="strict") for segment in raw]
            if segments == [""]:
                return PlainTextResponse("ok")
            return await (self._json_answer(request, segments) if is_json else self._xml_answer(request, segments))
        except UnicodeDecodeError:
            error = errors.invalid("The path is not UTF-8.")
            return error.as_json() if is_json else error.as_xml()
        except ClientDisconnect:
            return Response(status_code=CLIENT_CLOSED_REQUEST)

    async def _json_answer(self, request: Request, segments: list[str]) -> Response:
        if request.method == "OPTIONS":
            return Response(headers=cors.preflight_headers(JSON_CORS, request.headers))
        try:
            self._refusals.check(request.method)
            response = await self._json.answer(request, segments)
        except errors.StorageError as error:
            response = error.as_json()
        return _shared_with(request, response, JSON_CORS)

    async def _xml_answer(self, request: Request, segments: list[str]) -> Response:
        bucket, name = segments[0], "/".join(segments[1:])
        rules: list[dict[str, Any]] = []
        try:
            rules = self._disk.bucket(bucket).get("cors", cors.DEFAULT)
            if request.method == "OPTIONS":
                return Response(headers=cors.preflight_headers(rules, request.headers))
            self._refusals.check(request.method)
            response = await self._object(request, bucket, name)
        except errors.StorageError as error:
            response = error.as_xml()
        return _shared_with(request, response, rules)

    async def _object(self, request: Request, bucket: str, name: str) -> Response:
        query, headers = request.query_params, request.headers
        if self._verifier is None or "X-Goog-Signature" not in query:
            raise errors.access_denied(bucket, name)
        self._verifier.check(request, datetime.datetime.now(datetime.UTC))
        conditions = Conditions.from_headers(headers)
        if request.method in ("GET", "HEAD"):
            stored = self._disk.get(bucket, name, conditions, number(query, "generation"))
            return download(request, self._disk, stored, stored.content_etag, _overrides(query, stored))
        if request.method == "PUT":
            return await self._uploads.put(request, bucket, name)
        if request.method == "DELETE":
            self._disk.delete(bucket, name, conditions, number(query, "generation"))
            return Response(status_code=204)
        message = "The specified method is not allowed against this resource."
        raise errors.StorageError(405, "methodNotAllowed", "MethodNotAllowed", message)


def app(
    directory: Path,
    *,
    signer_key: RSAPublicKey | None = None,
    signer_email: str | None = None,
    notify_url: str | None = None,
    mint: Callable[[], str] | None = None,
    buckets: Sequence[str] = (),
) -> Starlette:
    """The storage server over the files under `directory`; `buckets` are made when they are not there.

    Without `signer_key` every XML request is denied. `notify_url` gets object-finalized notifications, each with a
    bearer token from `mint`; they need the application's lifespan to run.
    """
    disk = Disk(directory)
    for name in set(buckets) - {bucket["name"] for bucket in disk.buckets()}:
        disk.create_bucket(name, {})
    notifiers: list[Notifier] = []

    def finalized(stored: StoredObject, overwritten: StoredObject | None) -> None:
        for notifier in notifiers:
            notifier.finalized(stored, overwritten)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            if notify_url is not None:
                notifiers.append(await stack.enter_async_context(Notifier(notify_url, mint)))
            yield
            notifiers.clear()

    verifier = Verifier(signer_key, signer_email) if signer_key is not None else None
    refusals = Refusals()
    door = Door(disk, Uploads(disk, finalized), verifier, refusals)
    # No bucket's name begins like this.
    control = Route("/_refusals", refusals.set, methods=["POST"])
    return Starlette(routes=[control, Mount("/", app=door)], lifespan=lifespan)


def _overrides(query: Mapping[str, str], stored: StoredObject) -> dict[str, str]:
    headers = {}
    if "response-content-disposition" in query:
        headers["content-disposition"] = query["response-content-disposition"]
    # Cloud Storage ignores the asked type when the object has one of its own.
    if "response-content-type" in query and "contentType" not in stored.fields:
        headers["content-type"] = query["response-content-type"]
    return headers


def _shared_with(request: Request, response: Response, rules: list[dict[str, Any]]) -> Response:
    for name, value in cors.simple_headers(rules, request.headers.get("origin"), request.method).items():
        response.headers[name] = value
    return response
