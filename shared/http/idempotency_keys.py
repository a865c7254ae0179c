"""Which Idempotency-Keys are accepted: those whose receipt anybody can ask for in a URL. Pure."""

from __future__ import annotations

import unicodedata

from shared.api.bodies import MAX_IDEMPOTENCY_KEY_CHARS
from shared.core.errors import ApiError

# Every client and proxy removes such segments from a URL, also percent-encoded, before it is sent.
_REMOVED_SEGMENTS = frozenset({".", ".."})


def of_header(value: str) -> str:
    """The key in a header's value, whose bytes the server gives as Latin-1 and which are UTF-8.

    Raises ApiError INVALID_REQUEST for a key that is empty, longer than 255 characters, not UTF-8, that has control
    characters, or that has a segment `.` or `..` between slashes.
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


def _invalid(said: str) -> ApiError:
    fields = [{"field": "Idempotency-Key", "message": said}]
    return ApiError("INVALID_REQUEST", f"Idempotency-Key: {said}.", {"fields": fields})
