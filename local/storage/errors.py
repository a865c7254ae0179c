"""Errors of the storage server, rendered as the JSON API or as the XML API would."""

from typing import Any
from xml.sax.saxutils import escape

from starlette.responses import JSONResponse, Response


class StorageError(Exception):
    """An answer other than success.

    `status` is the HTTP status, `reason` the JSON API's reason, `code` the XML API's error code.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        code: str,
        message: str,
        *,
        details: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.code = code
        self.message = message
        self.details = details
        self.headers = headers or {}

    def as_json(self) -> Response:
        """The JSON API's error document; 304 has no body."""
        if self.status == 304:
            return Response(status_code=304, headers=self.headers)
        item: dict[str, Any] = {"message": self.message, "domain": "global", "reason": self.reason}
        error = {"code": self.status, "message": self.message, "errors": [item]}
        return JSONResponse({"error": error}, self.status, headers=self.headers)

    def as_xml(self) -> Response:
        """The XML API's error document; 304 has no body."""
        if self.status == 304:
            return Response(status_code=304, headers=self.headers)
        details = f"<Details>{escape(self.details)}</Details>" if self.details else ""
        body = (
            "<?xml version='1.0' encoding='UTF-8'?>"
            f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message>{details}</Error>"
        )
        return Response(body, self.status, headers=self.headers, media_type="application/xml; charset=UTF-8")


def invalid(message: str) -> StorageError:
    """400: the request itself is wrong."""
    return StorageError(400, "invalid", "InvalidArgument", message)


def required(name: str) -> StorageError:
    """400: a parameter is missing."""
    return StorageError(400, "required", "InvalidArgument", f"Required parameter: {name}")


def no_bucket(bucket: str) -> StorageError:
    """404: there is no such bucket."""
    message = "The specified bucket does not exist."
    return StorageError(404, "notFound", "NoSuchBucket", message, details=bucket)


def no_object(bucket: str, name: str) -> StorageError:
    """404: there is no such object."""
    return StorageError(404, "notFound", "NoSuchKey", f"No such object: {bucket}/{name}")


def no_route() -> StorageError:
    """404: the server has no such method."""
    return StorageError(404, "notFound", "NoSuchKey", "Not Found")


def conflict(message: str) -> StorageError:
    """409: the resource is there already or still holds something."""
    return StorageError(409, "conflict", "BucketAlreadyOwnedByYou", message)


def precondition_failed() -> StorageError:
    """412: a stated precondition does not hold."""
    message = "At least one of the pre-conditions you specified did not hold."
    return StorageError(412, "conditionNotMet", "PreconditionFailed", message)


def not_modified() -> StorageError:
    """304: a read's not-match precondition does not hold."""
    return StorageError(304, "notModified", "NotModified", "Not Modified")


def access_denied(bucket: str, name: str) -> StorageError:
    """403: an unsigned request for a private object."""
    details = f"Anonymous caller does not have access to the Google Cloud Storage object {bucket}/{name}."
    return StorageError(403, "forbidden", "AccessDenied", "Access denied.", details=details)


def range_not_satisfiable(size: int) -> StorageError:
    """416: the range starts past the end of an object of `size` bytes."""
    message = "The requested range cannot be satisfied."
    headers = {"Content-Range": f"bytes */{size}"}
    return StorageError(416, "requestedRangeNotSatisfiable", "InvalidRange", message, headers=headers)
