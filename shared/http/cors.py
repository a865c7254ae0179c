"""CORS: which headers pages from other origins may send and read. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers

MAX_AGE_S = 3_600
# If a preflight's list of headers is longer, it is ignored.
MAX_ASKED_CHARS = 2_048

# Headers that this API reads, and those that clients add to every request: tracing (W3C Trace Context and Baggage, B3,
# Sentry, Datadog), fetch libraries, and the OpenAI SDKs.
ALLOWED = (
    "Accept",
    "Authorization",
    "Cache-Control",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "Last-Event-ID",
    "Range",
    "Traceparent",
    "Tracestate",
    "Baggage",
    "Sentry-Trace",
    "B3",
    "OpenAI-Beta",
    "OpenAI-Organization",
    "OpenAI-Project",
    "X-Client-Request-Id",
    "X-Cloud-Trace-Context",
    "X-Request-Id",
    "X-Requested-With",
)
ALLOWED_PREFIXES = ("x-stainless-", "x-b3-", "x-datadog-")
EXPOSED = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "ETag",
    "Idempotent-Replayed",
    "Last-Modified",
    "Link",
    "Location",
    "openai-poll-after-ms",
    "RateLimit",
    "RateLimit-Limit",
    "RateLimit-Policy",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "WWW-Authenticate",
    "x-should-retry",
    "X-Request-Id",
)
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Max-Age": str(MAX_AGE_S),
}
_ANSWER = {"Access-Control-Expose-Headers": ", ".join(EXPOSED)}


def headers(method: str, origin: str, request: Headers) -> Mapping[str, str]:
    """The CORS headers of a response to a page from `origin`, which is allowed."""
    allowed = {"Access-Control-Allow-Origin": origin}
    if method != "OPTIONS":
        return allowed | _ANSWER
    return allowed | _PREFLIGHT | {"Access-Control-Allow-Headers": ", ".join(_allowed_of(request))}


def _allowed_of(request: Headers) -> list[str]:
    """The fixed names, and any requested names with an allowed prefix, since CORS itself has no prefixes."""
    asked = request.get("access-control-request-headers", "").lower()
    if len(asked) > MAX_ASKED_CHARS:
        return list(ALLOWED)
    names = (name.strip() for name in asked.split(","))
    return [*ALLOWED, *dict.fromkeys(name for name in names if _has_prefix(name))]


def _has_prefix(name: str) -> bool:
    rest = next((name.removeprefix(prefix) for prefix in ALLOWED_PREFIXES if name.startswith(prefix)), "")
    return rest != "" and rest.isascii() and rest.replace("-", "").isalnum()
