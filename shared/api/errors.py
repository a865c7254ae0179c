"""The body of every error."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from shared.api.bodies import Response
from shared.core.errors import ErrorType


class ErrorBody(Response):
    """An error, with the fields of the OpenAI API's: `message`, `type`, `param` and `code`."""

    code: str
    type: ErrorType
    message: str
    param: Annotated[str | None, Field(description="The invalid field, or the first of several.")]
    retryable: bool
    suggested_action: str
    details: dict[str, Any]
    request_id: str


class ErrorResponse(Response):
    error: ErrorBody
