"""Answers of the real API's that are errors."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response


class IdentityError(Exception):
    """An error of the real API's: `message` starts with the code that clients switch on."""

    def __init__(self, message: str, status: int = 400, reason: str = "invalid", name: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.name = name

    def response(self) -> Response:
        item = {"message": self.message, "domain": "global", "reason": self.reason}
        error: dict[str, Any] = {"code": self.status, "message": self.message, "errors": [item]}
        if self.name:
            error["status"] = self.name
        return JSONResponse({"error": error}, self.status)


def invalid_argument(message: str, reason: str = "badRequest", status: int = 400) -> IdentityError:
    """What the real front end says before the call itself is reached."""
    return IdentityError(message, status, reason, "INVALID_ARGUMENT")


def permission_denied(message: str) -> IdentityError:
    return IdentityError(message, 403, "forbidden", "PERMISSION_DENIED")
