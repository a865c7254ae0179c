"""What both protocols share on the wire: google.rpc errors, cut answers, the films' sizes, base64 inputs."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

LARGEST_BODY_BYTES = 96 * 1024 * 1024
VERSIONS = ("v1", "v1beta", "v1beta1")
_SHORT_SIDES = {"360p": 360, "720p": 720, "1080p": 1080, "4k": 2160}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class BadRequestError(Exception):
    """The request is not one the provider takes: answered with `status` (400 unless said) and the message."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class CutResponse(Response):
    """Promises `length` bytes, sends `content` and closes the connection: the client sees a broken answer."""

    def __init__(self, content: bytes, length: int, media_type: str) -> None:
        super().__init__(content, media_type=media_type, headers={"content-length": str(length)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})


def lost_answer() -> Response:
    """An answer of which nothing but the status line arrives."""
    return CutResponse(b"", 512, "application/json")


def retry_after(seconds: float | None) -> dict[str, str]:
    """The header that asks a client to wait, in whole seconds; none without any."""
    return {} if seconds is None else {"Retry-After": str(round(seconds))}


def rpc_error(status: int, message: str, retry_after_s: float | None = None) -> Response:
    """The google.rpc error body of Google's REST services."""
    error = {"code": status, "message": message, "status": _STATUSES.get(status, "UNKNOWN")}
    return JSONResponse({"error": error}, status, retry_after(retry_after_s))


def has_token(request: Request) -> bool:
    """Whether the request has a bearer token, any at all."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme == "Bearer" and bool(token.strip())


def no_such_model(parent: str) -> str:
    """What Vertex AI says of a model that is unknown, retired or not in the location; `parent` is its name."""
    return f"Publisher Model {parent} was not found or your project does not have access to it."


async def json_body(request: Request) -> dict[str, Any]:
    """The body, which must be a JSON object. Raises BadRequestError."""
    body = await raw_body(request)
    try:
        parsed = json.loads(body or b"{}")
    except ValueError as error:
        raise BadRequestError(f"Invalid JSON payload received. {error}") from error
    return mapping(parsed, "body")


async def raw_body(request: Request) -> bytes:
    """The body, up to the limit. Raises BadRequestError."""
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > LARGEST_BODY_BYTES:
            raise BadRequestError("Request payload size exceeds the limit.", 413)
    return b"".join(parts)


def mapping(value: object, where: str) -> dict[str, Any]:
    """The value, if it is a JSON object. Raises BadRequestError."""
    if not isinstance(value, dict):
        raise BadRequestError(f"Invalid value at '{where}': an object is expected.")
    return value


def only(body: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Raise BadRequestError for a field that the service does not know or this model does not take."""
    for name in body:
        if name not in known:
            raise BadRequestError(f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}'.")


def one_of(value: object, allowed: Collection[Any], name: str) -> None:
    """Raise BadRequestError unless the value is one of these, of the same type."""
    if not any(value == each and type(value) is type(each) for each in allowed):
        choices = ", ".join(str(each) for each in allowed)
        raise BadRequestError(f"Unsupported {name}: {value!r}. Supported values: {choices}.")


def whole(value: object, low: int, high: int, name: str) -> int:
    """The value, if it is a whole number in low..high. Raises BadRequestError."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadRequestError(f"Invalid {name}: {value!r}. It must be a whole number from {low} to {high}.")
    return value


def decoded(text: object, name: str) -> bytes:
    """The bytes of a base64 text. Raises BadRequestError."""
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(f"Invalid {name}: base64 decoding failed.") from error


def labels_of(body: Mapping[str, Any]) -> dict[str, str]:
    """The labels of a create: texts by name. Raises BadRequestError."""
    labels = mapping(body.get("labels") or {}, "labels")
    if not all(isinstance(value, str) for value in labels.values()):
        raise BadRequestError("Invalid value at 'labels': texts are expected.")
    return labels


def pixels(aspect_ratio: str, resolution: str) -> tuple[int, int]:
    """Width and height of a film, e.g. ("16:9", "720p") -> (1280, 720)."""
    short = _SHORT_SIDES[resolution]
    long = short * 16 // 9
    return (long, short) if aspect_ratio == "16:9" else (short, long)


def iso(seconds: float) -> str:
    """A Unix time as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
