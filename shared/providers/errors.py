"""Maps errors of Google's video services to outcomes of a job.

Vertex AI and the Interactions API raise two unrelated hierarchies of exceptions, both on top of httpx2's. What matters
is whether there was a response with an HTTP status, no connection at all, or neither. In the last case the provider may
have accepted the request, so the exception is raised unchanged: the outcome is unknown.

Sources: the google-genai SDK 3.4, and Vertex AI's page on responsible AI for the support codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
from google.genai import errors

from shared.core import storable
from shared.platform.provider import Failed, Rejected, Throttled

# A create ends within the 45 s that a step allows for it.
CREATE_TIMEOUT_S = 30.0
LOOK_TIMEOUT_S = 15.0
LOOK_ATTEMPTS = 3
LOOK_FIRST_WAIT_S = 0.5
# For all attempts of one poll and the waits in between, so that a server's Retry-After can't block the function.
LOOK_LIMIT_S = 60.0
# A longer Retry-After is shortened; the job has its own deadline.
LONGEST_RETRY_AFTER_S = 3_600.0
LONGEST_REASON_CHARS = 500
# Only the beginning of an error page is read.
LONGEST_READ_CHARS = 16 * 1024

# httpx2 raises these only before it writes the first byte of the request.
_NOTHING_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)

# The only status that proves that nothing started: a 503 may be returned after the model has started (Google: "not
# always safe to repeat").
_BUSY = 429
_EXHAUSTED = frozenset({"RESOURCE_EXHAUSTED", "429"})
_REJECTED = frozenset({400, 422})
_FORBIDDEN = 403
_DENIED = frozenset({401, _FORBIDDEN})
_RETIRED = 404

_RPC_INVALID_ARGUMENT = 3
_RPC_DENIED = frozenset({7, 16})  # PERMISSION_DENIED, UNAUTHENTICATED

_SAFETY = re.compile(
    r"content_blocked|blocked (?:by|because|due)|safety(?![ _]?settings?)|responsible ai|usage guidelines"
    r"|(?:content|usage|use) polic|sensitive (?:words|content)|prohibited.(?:content|use)|support codes?",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"\b(?:prompt|tokens?)\b[^.]*\b(?:too long|longer than|exceed\w*|maximum|at most|limit)|prompt length",
    re.IGNORECASE,
)
# Vertex AI and the Gemini API return 400 for some configuration mistakes of the operator.
_OPERATORS_FAULT = re.compile(
    r"api[ _]key|billing|user location|service account|RESOURCE_PROJECT_INVALID|permission|unauthenticated",
    re.IGNORECASE,
)
# For a retired model, some projects get a permission error from Vertex AI instead of a 404.
_NO_SUCH_ENDPOINT = "aiplatform.endpoints.predict"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_TAG = re.compile(r"<(style|script|title)\b.*?</\1>|<[a-z!/][^>]*>", re.IGNORECASE | re.DOTALL)
_SUPPORT_CODE = re.compile(r"\b\d{8}\b")
_CODES_AT_END = re.compile(r"\s*support codes?:?[\s\d,;]*\.?\s*$", re.IGNORECASE)

_CODES_OF_CATEGORY: Mapping[str, str] = {
    "child": "58061214 17301594",
    "celebrity": "29310472 15236754",
    "video safety": "64151117 42237218",
    "dangerous content": "62263041",
    "hate": "57734940 22137204",
    "other": "74803281 29578790 42876398",
    "prohibited content": "89371032 49114662 63429089 72817394 60599140",
    "third-party content": "35561574 35561575",
    "sexual content": "90789179 43188360",
    "toxic content": "78610348",
    "violence": "61493863 56562880",
    "vulgar content": "32635315",
}
_CATEGORY = {code: category for category, codes in _CODES_OF_CATEGORY.items() for code in codes.split()}


@contextmanager
def of_create() -> Iterator[None]:
    """Turn known exceptions of a create into Rejected or Throttled. Any other is re-raised: the outcome is unknown."""
    try:
        yield
    except Exception as error:
        known = _outcome(error)
        if known is None:
            raise
        raise known from error


def status_of(error: BaseException) -> int | None:
    """The HTTP status of the response behind the exception; None if there was no response."""
    # The SDK doesn't export the Interactions API's exceptions, but all of them have status_code.
    status = error.code if isinstance(error, errors.APIError) else getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def broken(code: int | None, message: str) -> Failed:
    """The outcome of an operation that failed with a google.rpc code."""
    if code == _RPC_INVALID_ARGUMENT:
        return Failed(rejection(message), readable(message))
    return Failed("PROVIDER_DENIED" if code in _RPC_DENIED else "PROVIDER_ERROR", readable(message))


def broken_by_name(code: str, message: str) -> Failed:
    """The outcome of an operation that failed with a named code, or a URI that ends in one."""
    name, text = code.rpartition("/")[2], f"{code} {message}"
    reason = readable(message or code)
    if _SAFETY.search(text):
        return Failed("SAFETY_BLOCKED", reason)
    if "invalid" in name.lower():
        return Failed(rejection(text), reason)
    return Failed("PROVIDER_DENIED" if _OPERATORS_FAULT.search(name.replace("_", " ")) else "PROVIDER_ERROR", reason)


def rejection(text: str) -> str:
    """Our error code for a request that the provider calls invalid, judged by its message."""
    if _SAFETY.search(text):
        return "SAFETY_BLOCKED"
    if _TOO_LONG.search(text):
        return "PROMPT_TOO_LONG"
    return "PROVIDER_DENIED" if _OPERATORS_FAULT.search(text) else "PROMPT_REJECTED"


def readable(text: str) -> str:
    """One line of plain text, at most 500 characters. Support codes are spelled out, as in
    "violence (support code 61493863)", and come first."""
    text = storable.text(" ".join(_TAG.sub(" ", _CONTROL.sub(" ", text[:LONGEST_READ_CHARS])).split()))
    codes = dict.fromkeys(_SUPPORT_CODE.findall(text))
    ends_with_codes = _CODES_AT_END.search(text) is not None
    names = [_named(code) for code in codes if ends_with_codes or code in _CATEGORY]
    if names:
        rest = _CODES_AT_END.sub("", text).strip()
        text = ", ".join(names) + (f": {rest}" if rest and rest not in codes else "")
    return _short(text)


def readable_all(texts: Iterable[str]) -> str | None:
    """Join texts without duplicates; None if there are none."""
    return _short("; ".join(dict.fromkeys(map(readable, texts)))) or None


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_REASON_CHARS else text[: LONGEST_REASON_CHARS - 1] + "…"


def _named(code: str) -> str:
    return f"{_CATEGORY[code]} (support code {code})" if code in _CATEGORY else f"support code {code}"


def _outcome(error: Exception) -> Rejected | Throttled | None:
    if _nothing_sent(error):
        return Throttled(f"no connection: {readable(str(error)) or type(error).__name__}")
    status = status_of(error)
    if status is None:
        return None
    code, message, details = _parsed(error)
    reason = readable(message) or f"HTTP {status}"
    if status == _BUSY or code.upper() in _EXHAUSTED:
        return Throttled(reason, _retry_after_s(error, details))
    if status in _REJECTED:
        return Rejected(rejection(f"{code} {message}"), reason)
    if status == _RETIRED or (status == _FORBIDDEN and _NO_SUCH_ENDPOINT in message):
        return Rejected("MODEL_RETIRED", reason)
    return Rejected("PROVIDER_DENIED", reason) if status in _DENIED else None


def _nothing_sent(error: BaseException | None) -> bool:
    # The Interactions client wraps connect and read timeouts alike; only the cause shows which one it was.
    while error is not None:
        if isinstance(error, _NOTHING_SENT):
            return True
        error = error.__cause__
    return False


def _parsed(error: Exception) -> tuple[str, str, list[Any]]:
    """The code, message and details of an error's body: {"error": {...}}, a list of one of them, or plain text."""
    body = error.details if isinstance(error, errors.APIError) else getattr(error, "body", None)
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        if isinstance(inner, Mapping):
            details = inner.get("details")
            code = _named_code(inner)
            return code, str(inner.get("message") or ""), details if isinstance(details, list) else []
        body = inner
    return "", str(body or ""), []


def _named_code(error: Mapping[str, Any]) -> str:
    """The error's named code if there is one: google.rpc has it in `status`, the Interactions API in `code`."""
    status, code = error.get("status"), error.get("code")
    return str(status if isinstance(status, str) and status else code or "")


def _retry_after_s(error: Exception, details: list[Any]) -> float | None:
    """Seconds from the Retry-After header, in seconds or as a date, or else from the RetryInfo detail."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    seconds = _seconds(str(headers.get("retry-after", "")))
    for detail in details:
        if seconds is None and isinstance(detail, Mapping) and str(detail.get("@type", "")).endswith("RetryInfo"):
            seconds = _seconds(str(detail.get("retryDelay", "")).removesuffix("s"))
    return None if seconds is None else min(seconds, LONGEST_RETRY_AFTER_S)


def _seconds(text: str) -> float | None:
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
