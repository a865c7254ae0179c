"""Which Idempotency-Keys are valid: those that also work in the URL of a receipt. Pure."""

from __future__ import annotations

import unicodedata

from shared.api.bodies import MAX_IDEMPOTENCY_KEY_CHARS
from shared.core.errors import ApiError

# Clients and proxies remove these segments from a URL, percent-encoded or not.
_REMOVED_SEGMENTS = frozenset({".", ".."})


def of_header(value: str) -> str:
    """Return the key in a header's value: UTF-8, which the server has decoded as Latin-1.

    Raises ApiError INVALID_REQUEST if the key is empty, longer than 255 characters or not UTF-8, or contains control
    characters or a segment `.` or `..` between slashes.
    """
    try:
        key = value.encode("latin-1").decode()
    except UnicodeError:
        raise _invalid("must be UTF-8") from None
    if not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY_CHARS:
        raise _invalid(f"must have 1 to {MAX_IDEMPOTENCY_KEY_CHARS} characters")
    if any(unicodedata.category(character) == "Cc" for character in key):
        raise _invalid("must not contain control characters")
    if not _REMOVED_SEGMENTS.isdisjoint(key.split("/")):
        raise _invalid("must not contain . or .. between slashes")
    return key


def _invalid(message: str) -> ApiError:
    fields = [{"field": "Idempotency-Key", "message": message}]
    return ApiError("INVALID_REQUEST", f"Idempotency-Key: {message}.", {"fields": fields})
