"""The catalog of all error codes: the message, whether to retry, and whether a failed job is refunded.

A code is the response to a request (it has an HTTP status), the reason a job failed (stored in `job.error`), or both.
No code exists outside this catalog.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from typing_extensions import TypeAliasType

Category = Literal["client", "provider", "timeout", "download", "storage", "system"]
# The types of the OpenAI API, whose SDKs show them as `error.type`.
ErrorType = TypeAliasType(
    "ErrorType",
    Literal[
        "invalid_request_error",
        "authentication_error",
        "insufficient_quota",
        "permission_error",
        "rate_limit_error",
        "server_error",
    ],
)
JsonMap = dict[str, Any]
_TYPES: Mapping[int, ErrorType] = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}


@dataclass(frozen=True)
class ErrorCode:
    """One entry of the catalog.

    `status` is the HTTP status if it is the response to a request. `retryable`: the same request may succeed later.
    `refund`: a job that fails with it is refunded in full. `about_prompt`: the failure's reason is what the provider
    says about the user's prompt.
    """

    status: int
    category: Category
    message: str
    suggested_action: str
    retryable: bool = False
    refund: bool = True
    about_prompt: bool = False


CATALOG: dict[str, ErrorCode] = {
    # Responses to requests: nothing was charged.
    "INVALID_JSON": ErrorCode(400, "client", "The request body isn't valid JSON.", "Send one JSON object as the body."),
    "INVALID_REQUEST": ErrorCode(400, "client", "The request is invalid.", "Correct the fields named in details."),
    "PROMPT_TOO_LONG": ErrorCode(
        400,
        "client",
        "The prompt exceeds the limit of 1,024 tokens.",
        "Shorten the prompt.",
        about_prompt=True,
    ),
    "MODEL_NOT_FOUND": ErrorCode(
        400, "client", "Unknown model.", "Choose a model from details, or from GET /v1/models."
    ),
    "UNSUPPORTED_BY_MODEL": ErrorCode(
        400, "client", "The model doesn't support this request.", "Choose one of the allowed values in details.."
    ),
    "INVALID_IMAGE": ErrorCode(
        400,
        "client",
        "The image can't be used.",
        "Send a PNG, JPEG or WebP of at most 8 MiB, with sides of 64 to 8,192 pixels.",
    ),
    "IMAGE_NOT_FETCHED": ErrorCode(
        400,
        "client",
        "The image couldn't be fetched from its URL.",
        "Use a public https URL, or upload the image.",
    ),
    "UNAUTHENTICATED": ErrorCode(
        401, "client", "Missing or invalid credentials.", "Sign in, and send the token as a Bearer header."
    ),
    "REAUTHENTICATION_REQUIRED": ErrorCode(
        401,
        "client",
        "This requires a sign-in within the last five minutes.",
        "Sign in again, and repeat the request with the new token.",
    ),
    "INSUFFICIENT_CREDITS": ErrorCode(402, "client", "Not enough credits.", "Add credits, or request a shorter video."),
    "TENANT_BUDGET_EXCEEDED": ErrorCode(
        402,
        "client",
        "The tenant's budget doesn't cover this grant.",
        "Grant less, or ask an operator of the installation to raise the tenant's budget.",
    ),
    "FORBIDDEN": ErrorCode(
        403, "client", "You don't have permission to do this.", "Ask an administrator of your tenant."
    ),
    "ACCOUNT_DISABLED": ErrorCode(
        403, "client", "This account is disabled.", "Ask an administrator of your tenant for the reason."
    ),
    "ACCOUNT_CLOSED": ErrorCode(
        403, "client", "This account was deleted by its owner.", "It can't be restored. Use another account."
    ),
    "EMAIL_NOT_VERIFIED": ErrorCode(
        403,
        "client",
        "Your email address isn't verified.",
        "Open the link in the verification email, refresh your token, and try again.",
    ),
    "NOT_FOUND": ErrorCode(404, "client", "Not found.", "Check the path and the id."),
    "METHOD_NOT_ALLOWED": ErrorCode(
        405, "client", "Method not allowed for this path.", "Use a method from the Allow header."
    ),
    "BODY_TIMEOUT": ErrorCode(
        408, "client", "The request body arrived too slowly.", "Send it again over a faster connection.", retryable=True
    ),
    "JOB_NOT_FINISHED": ErrorCode(
        409, "client", "The job isn't finished.", "Wait for the job to finish, or cancel it first."
    ),
    "NOT_CANCELABLE": ErrorCode(409, "client", "The job has already ended.", "There is nothing left to cancel."),
    "PRICE_CHANGED": ErrorCode(
        409,
        "client",
        "This costs more than you agreed to.",
        "Check the price in details, and send the request again with it if you still want the video.",
    ),
    "REFUND_CHANGED": ErrorCode(
        409,
        "client",
        "Canceling would refund less than you agreed to.",
        "Check the refund in details, and cancel again with that amount if you still want to.",
    ),
    "VIDEO_NOT_AVAILABLE": ErrorCode(
        409, "client", "The job ended without a video.", "See the job's error, and create the video again."
    ),
    "ALREADY_EXISTS": ErrorCode(
        409, "client", "An item with this id already exists.", "Choose another id, or update the existing one."
    ),
    "LIMIT_REACHED": ErrorCode(409, "client", "Limit reached.", "Remove one to add another."),
    "GONE": ErrorCode(410, "client", "The video was deleted or has expired.", "Create the video again."),
    "PRECONDITION_FAILED": ErrorCode(
        412,
        "client",
        "It has changed since you read it.",
        "Read it again, reapply your changes, and send the new ETag as If-Match.",
    ),
    "BODY_TOO_LARGE": ErrorCode(
        413, "client", "The request body is too large.", "Send no more than the size in details."
    ),
    "UNSUPPORTED_MEDIA_TYPE": ErrorCode(
        415, "client", "Unsupported content type.", "Send application/json or multipart/form-data."
    ),
    "RANGE_NOT_SATISFIABLE": ErrorCode(
        416, "client", "The range is outside the file.", "Request a range within the size in Content-Range."
    ),
    "IDEMPOTENCY_KEY_REUSED": ErrorCode(
        422,
        "client",
        "This Idempotency-Key was used with a different request.",
        "Use a new key for a new request, or repeat the original request unchanged.",
    ),
    "PRECONDITION_REQUIRED": ErrorCode(
        428,
        "client",
        "This request needs an If-Match header.",
        "Read the current version, and send its ETag as If-Match.",
    ),
    "TOO_MANY_ACTIVE_JOBS": ErrorCode(
        429,
        "client",
        "Too many active jobs.",
        "Wait for one of the jobs in details to finish, or cancel one.",
        retryable=True,
    ),
    "DAILY_LIMIT": ErrorCode(
        429,
        "client",
        "The daily credit limit is reached.",
        "Try again after midnight UTC (see Retry-After), or request a shorter video.",
        retryable=True,
    ),
    "TOO_MANY_STREAMS": ErrorCode(
        429,
        "client",
        "Too many event streams are open.",
        "Close one, or wait as long as Retry-After says. One stream of /v1/events covers all your videos.",
        retryable=True,
    ),
    "RATE_LIMITED": ErrorCode(429, "client", "Too many requests.", "Wait as long as Retry-After says.", retryable=True),
    "INTERNAL": ErrorCode(
        500,
        "system",
        "Something went wrong on our side.",
        "Try again. If it happens again, report the request id.",
        retryable=True,
    ),
    "GENERATION_DISABLED": ErrorCode(
        503, "system", "Generation is paused right now.", "Try again later.", retryable=True
    ),
    "UNAVAILABLE": ErrorCode(
        503,
        "system",
        "A backend service isn't responding.",
        "Try again after the time in Retry-After, with the same Idempotency-Key.",
        retryable=True,
    ),
    # Reasons why a job failed: all are refunded.
    "SAFETY_BLOCKED": ErrorCode(
        422,
        "provider",
        "The model's safety filter blocked the video.",
        "Change the prompt: avoid real people and whatever the reason mentions.",
        about_prompt=True,
    ),
    "PROMPT_REJECTED": ErrorCode(
        422,
        "provider",
        "The model rejected the request.",
        "Change the prompt or the settings.",
        about_prompt=True,
    ),
    "INPUT_GONE": ErrorCode(
        410,
        "client",
        "An image or video that this one uses no longer exists.",
        "Create the video again with files that still exist.",
    ),
    "PROVIDER_ERROR": ErrorCode(
        502, "provider", "The model failed to generate the video.", "Create the video again.", retryable=True
    ),
    "PROVIDER_DENIED": ErrorCode(
        502,
        "system",
        "The provider rejected our credentials.",
        "Our operators have been alerted. Try again later.",
        retryable=True,
    ),
    "MODEL_RETIRED": ErrorCode(
        410, "provider", "The model is no longer offered.", "Choose a model from the list of models."
    ),
    "GENERATION_TIMEOUT": ErrorCode(
        504, "timeout", "The model exceeded the time limit.", "Create the video again.", retryable=True
    ),
    "QUEUE_TIMEOUT": ErrorCode(
        504, "timeout", "The job spent too long in the queue.", "Try again later.", retryable=True
    ),
    "START_UNCERTAIN": ErrorCode(
        502,
        "system",
        "We lost contact with the model while starting.",
        "Create the video again.",
        retryable=True,
    ),
    "STORING_FAILED": ErrorCode(
        502, "download", "The finished video couldn't be stored.", "Create the video again.", retryable=True
    ),
    "STORAGE_REFUSED": ErrorCode(
        502,
        "storage",
        "The bucket rejected the finished video.",
        "Our operators have been alerted. Try again later.",
    ),
    "INVALID_VIDEO": ErrorCode(
        502,
        "download",
        "The model returned an unusable video.",
        "Create the video again.",
        retryable=True,
    ),
}


_LINK = re.compile(r"https?://\S+")
# A reason about a prompt contains none of these. A provider that rejects our request otherwise may name our bucket, our
# project, a missing permission and whose it is, or an exception.
_OURS = re.compile(
    r"://|\bgs:|(?<![\w.])[~.]{0,2}/[\w.-]+|\w/[\w.-]+/|\\\\|@|\bbuckets?\b|permission|credential|authori[sz]|authenticat"
    r"|service.?account|api.?key|billing|quota|\biam\b|(?-i:\w(?:Error|Exception)\b)|errno|traceback",
    re.IGNORECASE,
)


def public_reason(code: str, reason: str | None) -> str | None:
    """The part of a failed job's reason that its user sees: what the provider says about the prompt, nothing else.

    Operators find the rest in the log (`job_ended`) and in the job's document.
    """
    if reason is None or not CATALOG[code].about_prompt:
        return None
    said = " ".join(_LINK.sub("", reason).split())
    return said if said and not _OURS.search(said) else None


@dataclass
class ApiError(Exception):
    """Ends a request with an entry of the catalog; app.py renders it.

    `message` replaces the catalog's with a more specific one; `details` are facts for programs:
    `details["field"]` names an invalid field, `details["fields"]` several, each {"field", "message"}.
    `retry_after_s` becomes the Retry-After header.
    """

    code: str
    message: str | None = None
    details: JsonMap = field(default_factory=dict)
    retry_after_s: int | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self.code, self.message)

    @property
    def entry(self) -> ErrorCode:
        return CATALOG[self.code]

    @property
    def type(self) -> ErrorType:
        """The type of error, by its status."""
        status = self.entry.status
        return _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")

    @property
    def param(self) -> str | None:
        """The invalid field, or the first of several; None if there is none."""
        fields = self.details.get("fields") or [self.details]
        named = fields[0].get("field")
        return None if named is None else str(named)

    def body(self, request_id: str) -> JsonMap:
        """The response body: {"error": {...}}."""
        return {
            "error": {
                "code": self.code,
                "type": self.type,
                "message": self.message or self.entry.message,
                "param": self.param,
                "retryable": self.entry.retryable,
                "suggested_action": self.entry.suggested_action,
                "details": self.details,
                "request_id": request_id,
            }
        }


class Unavailable(Exception):  # noqa: N818 - reads as the state it names
    """A dependency (Firestore, Cloud Tasks, Cloud Storage) didn't respond in time; nothing is known to have changed."""


class StorageRefused(Unavailable):
    """Cloud Storage rejected the request: a permission, a quota, a closed billing account.

    Only an operator can fix that, and the fix takes minutes to take effect; a 403 can also be a rate limit. So it is
    retried like any other failure, and operators are alerted at once.
    """


class NotStorable(ValueError):  # noqa: N818
    """Firestore would always reject the document. `field` is the dotted path of the offending field."""

    def __init__(self, field: str, why: str) -> None:
        self.field = field.encode(errors="replace").decode()[:200]
        self.why = why
        super().__init__(f"{self.field}: {why}")


class Conflict(Exception):  # noqa: N818
    """A precondition of a commit failed: somebody else wrote first, or our own commit had already succeeded."""
