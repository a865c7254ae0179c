"""The JSON API: buckets, objects, their metadata and copies. Uploads are in uploads.py."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.storage import errors
from local.storage.disk import PAGE_LIMIT, Disk
from local.storage.downloads import download
from local.storage.multipart import json_object
from local.storage.objects import (
    Conditions,
    StoredObject,
    check_name,
    merged,
    number,
    resource,
    timestamp,
    writable,
)
from local.storage.uploads import Uploads

PROJECT_NUMBER: Final = "1"
# A bucket's fields that the server owns; the rest is kept as the client set it.
BUCKET_OWN: Final = frozenset({"name", "created_at", "updated_at", "metageneration"})


class JsonApi:
    """Answers /storage/v1/..., and the same paths under /download and /upload."""

    def __init__(self, disk: Disk, uploads: Uploads) -> None:
        self._disk = disk
        self._uploads = uploads

    async def answer(self, request: Request, segments: list[str]) -> Response:
        """The answer to a request whose path has these decoded segments. Raises StorageError."""
        match (request.method, *segments):
            case ("GET", "storage", "v1", "b"):
                return self._list_buckets(request)
            case ("POST", "storage", "v1", "b"):
                return await self._insert_bucket(request)
            case ("GET", "storage", "v1", "b", bucket):
                return _bucket_response(request, self._disk.bucket(bucket))
            case ("PATCH" | "PUT", "storage", "v1", "b", bucket):
                changed = self._disk.change_bucket(bucket, _settable(json_object(await request.body())))
                return _bucket_response(request, changed)
            case ("DELETE", "storage", "v1", "b", bucket):
                self._disk.delete_bucket(bucket)
                return Response(status_code=204)
            case ("GET", "storage", "v1", "b", bucket, "o"):
                return self._list(request, bucket)
            case ("GET", "storage", "v1", "b", bucket, "o", name):
                return self._get(request, bucket, name, is_media=request.query_params.get("alt") == "media")
            case ("GET", "download", "storage", "v1", "b", bucket, "o", name):
                return self._get(request, bucket, name, is_media=True)
            case ("PATCH" | "PUT", "storage", "v1", "b", bucket, "o", name):
                return await self._change(request, bucket, name)
            case ("DELETE", "storage", "v1", "b", bucket, "o", name):
                query = request.query_params
                self._disk.delete(bucket, name, Conditions.from_query(query), number(query, "generation"))
                return Response(status_code=204)
            case ("POST", "storage", "v1", "b", bucket, "o", name, verb, "b", to_bucket, "o", to_name):
                return await self._copy(request, (bucket, name), verb, (to_bucket, to_name))
            case (method, "upload", "storage", "v1", "b", bucket, "o"):
                return await self._upload(request, method, bucket)
        raise errors.no_route()

    async def _upload(self, request: Request, method: str, bucket: str) -> Response:
        identity = request.query_params.get("upload_id")
        if identity is None and method == "POST":
            return await self._uploads.insert(request, bucket)
        if identity is not None and method in ("PUT", "POST"):
            return await self._uploads.resume(request, identity)
        if identity is not None and method == "DELETE":
            return self._uploads.cancel(identity)
        raise errors.no_route()

    def _list_buckets(self, request: Request) -> Response:
        prefix = request.query_params.get("prefix", "")
        items = [_bucket_resource(request, item) for item in self._disk.buckets() if item["name"].startswith(prefix)]
        return JSONResponse({"kind": "storage#buckets", "items": items})

    async def _insert_bucket(self, request: Request) -> Response:
        body = json_object(await request.body())
        name = body.get("name")
        if not isinstance(name, str):
            raise errors.required("name")
        return _bucket_response(request, self._disk.create_bucket(name, _settable(body)))

    def _list(self, request: Request, bucket: str) -> Response:
        query = request.query_params
        limit = number(query, "maxResults")
        if limit is not None and limit < 1:
            raise errors.invalid("maxResults must be positive.")
        page = self._disk.page(
            bucket,
            query.get("prefix", ""),
            query.get("delimiter", ""),
            query.get("startOffset", ""),
            query.get("endOffset", ""),
            _from_token(query.get("pageToken", "")),
            min(limit or PAGE_LIMIT, PAGE_LIMIT),
        )
        document: dict[str, Any] = {"kind": "storage#objects"}
        if page.token is not None:
            document["nextPageToken"] = _to_token(page.token)
        if page.prefixes:
            document["prefixes"] = page.prefixes
        if page.objects:
            document["items"] = [resource(stored, _base(request)) for stored in page.objects]
        return JSONResponse(document)

    def _get(self, request: Request, bucket: str, name: str, *, is_media: bool) -> Response:
        query = request.query_params
        stored = self._disk.get(bucket, name, Conditions.from_query(query), number(query, "generation"))
        if not is_media:
            return _object_response(request, stored)
        return download(request, self._disk, stored, stored.etag, {})

    async def _change(self, request: Request, bucket: str, name: str) -> Response:
        body = json_object(await request.body())
        query = request.query_params
        stored = self._disk.get(bucket, name, Conditions(), number(query, "generation"))
        fields = merged(stored.fields, body) if request.method == "PATCH" else writable(body)
        return _object_response(request, self._disk.change(stored, fields, Conditions.from_query(query)))

    async def _copy(self, request: Request, source: tuple[str, str], verb: str, target: tuple[str, str]) -> Response:
        if verb not in ("copyTo", "rewriteTo"):
            raise errors.no_route()
        body = json_object(await request.body())
        query = request.query_params
        original = self._disk.get(*source, Conditions.from_query(query, "ifSource"), number(query, "sourceGeneration"))
        # A body with metadata replaces the source's as a whole; without one it is copied.
        fields = writable(body) or original.fields
        check_name(target[1])
        stored = self._uploads.copy(original, *target, fields, Conditions.from_query(query))
        if verb == "copyTo":
            return _object_response(request, stored)
        document = {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": str(stored.size),
            "objectSize": str(stored.size),
            "done": True,
            "resource": resource(stored, _base(request)),
        }
        return JSONResponse(document)


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _object_response(request: Request, stored: StoredObject) -> Response:
    return JSONResponse(resource(stored, _base(request)), headers={"ETag": stored.etag})


def _bucket_response(request: Request, bucket: Mapping[str, Any]) -> Response:
    return JSONResponse(_bucket_resource(request, bucket))


def _bucket_resource(request: Request, bucket: Mapping[str, Any]) -> dict[str, Any]:
    name = bucket["name"]
    defaults = {"location": "US", "locationType": "multi-region", "storageClass": "STANDARD"}
    return {
        **defaults,
        **{key: value for key, value in bucket.items() if key not in BUCKET_OWN},
        "kind": "storage#bucket",
        "id": name,
        "name": name,
        "selfLink": f"{_base(request)}/storage/v1/b/{name}",
        "projectNumber": PROJECT_NUMBER,
        "timeCreated": timestamp(bucket["created_at"]),
        "updated": timestamp(bucket["updated_at"]),
        "metageneration": str(bucket["metageneration"]),
        "etag": f"CA{bucket['metageneration']}=",
    }


def _settable(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in BUCKET_OWN}


def _to_token(last: str) -> str:
    return last.encode().hex()


def _from_token(token: str) -> str:
    try:
        return bytes.fromhex(token).decode()
    except ValueError:
        raise errors.invalid("Invalid page token.") from None
