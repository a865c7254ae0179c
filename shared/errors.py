"""The one catalog of error codes: what a caller is told, whether to try again, and whether money comes back.

A code is either the answer to a request (it has an HTTP status) or the reason a job failed (it is kept in `job.error`),
or both. Nothing else in the system invents a code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from typing_extensions import TypeAliasType

Category = Literal["client", "provider", "timeout", "download", "storage", "system"]
# Those of the OpenAI API, whose SDKs show them as `error.type`.
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

    `status` is the HTTP status when a request is answered with it. `retryable` tells the caller whether the same
    request may succeed later. `refund` tells whether a job that fails with it gets its charge back in full.
    `about_prompt`: the reason of such a failure is what the provider says about the user's own prompt.
    """

    status: int
    category: Category
    message: str
    suggested_action: str
    retryable: bool = False
    refund: bool = True
    about_prompt: bool = False


CATALOG: dict[str, ErrorCode] = {
    # Answers to requests: nothing was charged.
    "INVALID_JSON": ErrorCode(400, "client", "The body is not valid JSON.", "Send one JSON object as the body."),
    "INVALID_REQUEST": ErrorCode(400, "client", "The request is not valid.", "Correct the fields named in details."),
    "PROMPT_TOO_LONG": ErrorCode(
        400,
        "client",
        "The prompt is longer than the model reads.",
        "Shorten the prompt to at most 1,024 tokens.",
        about_prompt=True,
    ),
    "MODEL_NOT_FOUND": ErrorCode(400, "client", "There is no such model.", "Choose a model named in details."),
    "UNSUPPORTED_BY_MODEL": ErrorCode(
        400, "client", "The model cannot do what was asked.", "Choose one of the allowed values named in details."
    ),
    "INVALID_IMAGE": ErrorCode(
        400,
        "client",
        "The image cannot be used.",
        "Send a PNG, JPEG or WebP of at most 8 MiB, with 64 to 8,192 pixels a side.",
    ),
    "IMAGE_NOT_FETCHED": ErrorCode(
        400,
        "client",
        "The image could not be fetched from its URL.",
        "Give an https URL that anybody can read, or upload the image.",
    ),
    "UNAUTHENTICATED": ErrorCode(
        401, "client", "The request carries no valid credentials.", "Sign in and send the token as a Bearer header."
    ),
    "REAUTHENTICATION_REQUIRED": ErrorCode(
        401,
        "client",
        "This needs a sign-in within the last five minutes.",
        "Sign in again, and repeat the request with the new token.",
    ),
    "INSUFFICIENT_CREDITS": ErrorCode(
        402, "client", "The balance does not cover the cost.", "Buy credits, or ask for a shorter video."
    ),
    "TENANT_BUDGET_EXCEEDED": ErrorCode(
        402,
        "client",
        "The tenant's budget does not cover this grant.",
        "Grant less, or ask an operator of the installation to raise the tenant's budget.",
    ),
    "FORBIDDEN": ErrorCode(403, "client", "This account may not do that.", "Ask an administrator of your tenant."),
    "ACCOUNT_DISABLED": ErrorCode(
        403, "client", "This account is disabled.", "Ask an administrator of your tenant why."
    ),
    "ACCOUNT_CLOSED": ErrorCode(
        403, "client", "This account was deleted at its user's wish.", "Nothing can be done with it any more."
    ),
    "EMAIL_NOT_VERIFIED": ErrorCode(
        403,
        "client",
        "Your email address isn't verified.",
        "Open the link in the verification email, refresh your token, and try again.",
    ),
    "NOT_FOUND": ErrorCode(404, "client", "There is no such thing here.", "Check the address and the id."),
    "METHOD_NOT_ALLOWED": ErrorCode(
        405, "client", "This address does not answer that method.", "Use a method named in the Allow header."
    ),
    "BODY_TIMEOUT": ErrorCode(
        408, "client", "The body arrived too slowly.", "Send it again, over a faster connection.", retryable=True
    ),
    "JOB_NOT_FINISHED": ErrorCode(
        409, "client", "The job is not finished.", "Wait until the job has ended, or cancel it first."
    ),
    "NOT_CANCELABLE": ErrorCode(409, "client", "The job has already ended.", "Nothing is left to cancel."),
    "PRICE_CHANGED": ErrorCode(
        409,
        "client",
        "This costs more than you agreed to.",
        "Look at the price in details, and send the request again with it if you still want the video.",
    ),
    "REFUND_CHANGED": ErrorCode(
        409,
        "client",
        "Canceling would give back less than you agreed to.",
        "Look at what would come back, and cancel again with that if you still want to.",
    ),
    "VIDEO_NOT_AVAILABLE": ErrorCode(
        409, "client", "The job has ended without a video.", "See the job's error, and generate again."
    ),
    "ALREADY_EXISTS": ErrorCode(
        409, "client", "There is one of that id already.", "Choose another id, or change the one that is there."
    ),
    "LIMIT_REACHED": ErrorCode(
        409, "client", "There are as many of these as there may be.", "Remove one that is not needed any more."
    ),
    "GONE": ErrorCode(410, "client", "The video was deleted or has expired.", "Generate the video again."),
    "PRECONDITION_FAILED": ErrorCode(
        412,
        "client",
        "It has changed since you read it.",
        "Read it again, make your changes to what is there now, and send the new ETag as If-Match.",
    ),
    "BODY_TOO_LARGE": ErrorCode(413, "client", "The body is too large.", "Send at most the size named in details."),
    "UNSUPPORTED_MEDIA_TYPE": ErrorCode(
        415, "client", "The body's type is not understood.", "Send application/json or multipart/form-data."
    ),
    "RANGE_NOT_SATISFIABLE": ErrorCode(
        416, "client", "The range lies outside the file.", "Ask for a range within the size in Content-Range."
    ),
    "IDEMPOTENCY_KEY_REUSED": ErrorCode(
        422,
        "client",
        "This Idempotency-Key was used with another request.",
        "Use a new key for a new request, or repeat the first request unchanged.",
    ),
    "PRECONDITION_REQUIRED": ErrorCode(
        428,
        "client",
        "This request needs an If-Match header.",
        "Read what is there, and send its ETag as If-Match.",
    ),
    "TOO_MANY_ACTIVE_JOBS": ErrorCode(
        429,
        "client",
        "As many jobs are active as the account may have at once.",
        "Wait until one of the jobs named in details has ended, or cancel one.",
        retryable=True,
    ),
    "DAILY_LIMIT": ErrorCode(
        429,
        "client",
        "The daily limit of credits is reached.",
        "Wait until the day (UTC) is over, as Retry-After says, or ask for a shorter video.",
        retryable=True,
    ),
    "TOO_MANY_STREAMS": ErrorCode(
        429,
        "client",
        "Too many event streams are open.",
        "Close one, or wait as long as Retry-After says; one stream of /v1/events tells of all your videos.",
        retryable=True,
    ),
    "RATE_LIMITED": ErrorCode(429, "client", "Too many requests.", "Wait as long as Retry-After says.", retryable=True),
    "INTERNAL": ErrorCode(
        500,
        "system",
        "Something went wrong on our side.",
        "Try again; if it happens again, report the request id.",
        retryable=True,
    ),
    "GENERATION_DISABLED": ErrorCode(
        503, "system", "Generation is switched off at the moment.", "Try again later.", retryable=True
    ),
    "UNAVAILABLE": ErrorCode(
        503,
        "system",
        "A service that this depends on does not answer.",
        "Try again as Retry-After says; use the same Idempotency-Key.",
        retryable=True,
    ),
    # Reasons a job failed: all of them give the charge back.
    "SAFETY_BLOCKED": ErrorCode(
        422,
        "provider",
        "The model's safety filter blocked the video.",
        "Change the prompt: name no real people, and leave out what the reason mentions.",
        about_prompt=True,
    ),
    "PROMPT_REJECTED": ErrorCode(
        422,
        "provider",
        "The model did not accept the request.",
        "Change the prompt or the settings.",
        about_prompt=True,
    ),
    "INPUT_GONE": ErrorCode(
        410,
        "client",
        "An image or video that this one was to be made from is no longer there.",
        "Generate the video again, from what is there.",
    ),
    "PROVIDER_ERROR": ErrorCode(
        502, "provider", "The model failed to make the video.", "Generate the video again.", retryable=True
    ),
    "PROVIDER_DENIED": ErrorCode(
        502,
        "system",
        "The model's service did not let us in.",
        "Try again later; the operators have been alerted.",
        retryable=True,
    ),
    "MODEL_RETIRED": ErrorCode(
        410, "provider", "The model is no longer offered.", "Choose a model from the list of models."
    ),
    "GENERATION_TIMEOUT": ErrorCode(
        504, "timeout", "The model took longer than the limit.", "Generate the video again.", retryable=True
    ),
    "QUEUE_TIMEOUT": ErrorCode(
        504, "timeout", "The job waited for its turn longer than the limit.", "Try again later.", retryable=True
    ),
    "START_UNCERTAIN": ErrorCode(
        502,
        "system",
        "The model's answer was lost, and no video of it was found.",
        "Generate the video again.",
        retryable=True,
    ),
    "STORING_FAILED": ErrorCode(
        502, "download", "The finished video could not be stored.", "Generate the video again.", retryable=True
    ),
    "STORAGE_REFUSED": ErrorCode(
        502,
        "storage",
        "The bucket did not take the finished video.",
        "Generate the video again once the operators, who have been alerted, have mended it.",
    ),
    "INVALID_VIDEO": ErrorCode(
        502,
        "download",
        "The model delivered a file that is not the video that was asked for.",
        "Generate the video again.",
        retryable=True,
    ),
}


_LINK = re.compile(r"https?://\S+")
# What is said about a prompt has none of these. A provider that rejects how we asked may name our bucket, our project,
# who lacks which permission, or the exception that it met.
_OURS = re.compile(
    r"://|\bgs:|(?<![\w.])[~.]{0,2}/[\w.-]+|\w/[\w.-]+/|\\\\|@|\bbuckets?\b|permission|credential|authori[sz]|authenticat"
    r"|service.?account|api.?key|billing|quota|\biam\b|(?-i:\w(?:Error|Exception)\b)|errno|traceback",
    re.IGNORECASE,
)


def public_reason(code: str, reason: str | None) -> str | None:
    """What a failed job's user reads of its reason: the provider's words about the prompt, and nothing else.

    Operators find the rest in the log (`job_ended`) and in the job's document.
    """
    if reason is None or not CATALOG[code].about_prompt:
        return None
    said = " ".join(_LINK.sub("", reason).split())
    return said if said and not _OURS.search(said) else None


@dataclass
class ApiError(Exception):
    """Ends a request with an entry of the catalog; http.py renders it.

    `message` replaces the catalog's sentence where more can be said; `details` are facts for programs;
    `details["field"]` names a field at fault, `details["fields"]` several, each {"field", "message"}.
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
        """The kind of error, by its status."""
        status = self.entry.status
        return _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")

    @property
    def param(self) -> str | None:
        """The field that is at fault, or the first of them; None where it is none."""
        fields = self.details.get("fields") or [self.details]
        named = fields[0].get("field")
        return None if named is None else str(named)

    def body(self, request_id: str) -> JsonMap:
        """The error as every client sees it: {"error": {...}}."""
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
    """A dependency (Firestore, Cloud Tasks, Cloud Storage) did not answer in time; nothing is known to have changed."""


class StorageRefused(Unavailable):
    """Cloud Storage answers that it will not: a permission, a quota, a closed bill.

    Only an operator changes that, and it takes minutes to arrive; 403 is also a rate limit. So it is tried again like
    any other failure, and told to operators at once.
    """


class NotStorable(ValueError):  # noqa: N818
    """Firestore cannot hold a document, whoever sends it and however often. `field` is the dotted path in it."""

    def __init__(self, field: str, why: str) -> None:
        self.field = field.encode(errors="replace").decode()[:200]
        self.why = why
        super().__init__(f"{self.field}: {why}")


class Conflict(Exception):  # noqa: N818
    """A precondition of a commit failed: somebody else wrote first, or our own commit had already taken effect."""
