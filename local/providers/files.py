"""The Gemini Files API on the wire: outputs of interactions, and uploads to use as inputs."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.providers.engine import Engine, UnknownGenerationError
from local.providers.wire import VERSIONS, BadRequestError, CutResponse, iso, json_body, mapping, raw_body, rpc_error

_LIFETIME_S = 48 * 3600
_KEPT_UPLOADS = 200
# As the official client cuts a name out of a URI.
_NAME = re.compile(r"files/([a-z0-9]+)")


@dataclass
class Upload:
    """A file that a caller uploads; no data until the bytes have come."""

    id: str
    mime_type: str
    created_at: float
    data: bytes | None = None


class FileService:
    """Files of an engine on the wire. An output is PROCESSING for `processing_seconds`, then ACTIVE."""

    def __init__(self, engine: Engine, processing_seconds: float = 0.5) -> None:
        self.processing_seconds = processing_seconds
        self._engine = engine
        self._uploads: OrderedDict[str, Upload] = OrderedDict()
        self.routes = [
            Route("/{version}/files/{name}", self._get, methods=["GET"]),
            Route("/{version}/files/{name}", self._delete, methods=["DELETE"]),
            Route("/upload/{version}/files", self._begin_upload, methods=["POST"]),
            Route("/upload/{version}/files/{name}", self._finish_upload, methods=["POST", "PUT"]),
        ]

    def read(self, uri: str) -> bytes | None:
        """The bytes behind files/ID or a URI that contains it; None when there is no such file."""
        found = _NAME.search(uri)
        if not found:
            return None
        if found[1] in self._uploads:
            return self._uploads[found[1]].data
        try:
            return self._engine.output(found[1]).data
        except UnknownGenerationError:
            return None

    async def _get(self, request: HttpRequest) -> Response:
        if (refusal := unauthenticated(request)) is not None:
            return refusal
        file_id, _, verb = request.path_params["name"].partition(":")
        if verb not in ("", "download"):
            return rpc_error(404, f"The method {verb!r} was not found.")
        try:
            resource = self._resource(request, file_id)
            if not verb:
                return JSONResponse(resource)
            return self._download(resource, file_id, request)
        except UnknownGenerationError:
            return _unknown(file_id)

    def _download(self, resource: dict[str, Any], file_id: str, request: HttpRequest) -> Response:
        if file_id in self._uploads or request.query_params.get("alt") != "media":
            return rpc_error(400, "Only generated files can be downloaded, with alt=media.")
        if resource["state"] != "ACTIVE":
            return rpc_error(400, f"File {file_id} is not in an ACTIVE state and usage is not allowed.")
        data, cut = self._engine.download(file_id)
        if cut:
            return CutResponse(data[: len(data) // 2], len(data), "video/mp4")
        return Response(data, media_type="video/mp4")

    async def _delete(self, request: HttpRequest) -> Response:
        if (refusal := unauthenticated(request)) is not None:
            return refusal
        file_id = request.path_params["name"]
        if self._uploads.pop(file_id, None) is None:
            try:
                self._engine.delete_output(file_id)
            except UnknownGenerationError:
                return _unknown(file_id)
        return JSONResponse({})

    async def _begin_upload(self, request: HttpRequest) -> Response:
        if (refusal := unauthenticated(request)) is not None:
            return refusal
        try:
            file = mapping((await json_body(request)).get("file") or {}, "file")
        except BadRequestError as error:
            return rpc_error(error.status, str(error))
        mime_type = request.headers.get("x-goog-upload-header-content-type") or str(file.get("mime_type", ""))
        upload = Upload(self._engine.new_id(12), mime_type, self._engine.clock())
        self._uploads[upload.id] = upload
        if len(self._uploads) > _KEPT_UPLOADS:
            self._uploads.popitem(last=False)
        url = f"{request.url.scheme}://{request.url.netloc}{request.url.path}/{upload.id}"
        return Response(headers={"x-goog-upload-url": url, "x-goog-upload-status": "active"})

    async def _finish_upload(self, request: HttpRequest) -> Response:
        upload = self._uploads.get(request.path_params["name"])
        if upload is None:
            return rpc_error(404, "The upload was not found.")
        try:
            part = await raw_body(request)
        except BadRequestError as error:
            return rpc_error(error.status, str(error))
        upload.data = (upload.data or b"") + part
        status = "final" if "finalize" in request.headers.get("x-goog-upload-command", "") else "active"
        body = {"file": self._resource(request, upload.id)} if status == "final" else {}
        return JSONResponse(body, headers={"x-goog-upload-status": status})

    def _resource(self, request: HttpRequest, file_id: str) -> dict[str, Any]:
        if file_id in self._uploads:
            upload = self._uploads[file_id]
            return _file(
                request, file_id, upload.data or b"", upload.created_at, upload.mime_type, "UPLOADED", "ACTIVE"
            )
        output = self._engine.output(file_id)
        ready = self._engine.clock() >= output.finished_at + self.processing_seconds
        state = "ACTIVE" if ready else "PROCESSING"
        file = _file(request, file_id, output.data or b"", output.finished_at, "video/mp4", "GENERATED", state)
        return file | {"downloadUri": f"{file['uri']}:download?alt=media"}


def unauthenticated(request: HttpRequest) -> Response | None:
    """The refusal of a call without an API key (x-goog-api-key) or of an unknown version; None for a proper call."""
    if request.path_params["version"] not in VERSIONS:
        return rpc_error(404, "The requested URL was not found.")
    if request.headers.get("x-goog-api-key"):
        return None
    return rpc_error(403, "Method doesn't allow unregistered callers. Please use an API key.")


def download_uri(output_id: str) -> str:
    """Where the official client finds an output: it takes the id from this and asks its own base_url."""
    return f"https://generativelanguage.googleapis.com/v1beta/files/{output_id}:download?alt=media"


def _file(
    request: HttpRequest, file_id: str, data: bytes, created_at: float, mime_type: str, source: str, state: str
) -> dict[str, Any]:
    version = request.path_params["version"]
    return {
        "name": f"files/{file_id}",
        "mimeType": mime_type,
        "sizeBytes": str(len(data)),
        "createTime": iso(created_at),
        "updateTime": iso(created_at),
        "expirationTime": iso(created_at + _LIFETIME_S),
        "sha256Hash": base64.b64encode(hashlib.sha256(data).hexdigest().encode()).decode(),
        "uri": f"https://generativelanguage.googleapis.com/{version}/files/{file_id}",
        "state": state,
        "source": source,
    }


def _unknown(file_id: str) -> Response:
    return rpc_error(403, f"You do not have permission to access the File {file_id} or it may not exist.")
