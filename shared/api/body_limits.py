"""How large, slow and complex a request body may be. Pure.

Everything from outside is bounded before it is read, and before anything is built from it: 3 MiB of JSON can hold a
million values, and cause a million validation errors.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.core.errors import ApiError

# A body may be slow at first; after that it must arrive at least at this rate, that of a poor mobile connection.
GRACE_S = 15.0
LEAST_BYTES_PER_S = 8 * 1024
# To let a client that is still sending a rejected body read the error, we drain it, for at most this long and this many
# bytes.
DRAINED_FOR_S = 10.0
DRAINED_BYTES = 4 * 1024 * 1024
MAX_QUERY_BYTES = 4 * 1024
# A prompt and a negative prompt that consist only of quotes.
MAX_ESCAPED_QUOTES = 2 * 4 * 1024


@dataclass(frozen=True)
class BodyLimits:
    """Limits of an operation's body: its size, the seconds until it has arrived, and the values in its JSON.

    A value is an element of a list, an entry of an object, or the list or object itself.
    """

    max_bytes: int = 64 * 1024
    max_s: float = GRACE_S
    max_values: int = 1_000

    def allowed_s(self, received_bytes: int) -> float:
        """Seconds from its start within which a body with this many bytes received must complete or send more."""
        return min(self.max_s, GRACE_S + received_bytes / LEAST_BYTES_PER_S)

    @property
    def drained_bytes(self) -> int:
        """How many bytes of an oversized body are read and discarded."""
        return 2 * self.max_bytes + DRAINED_BYTES


SMALL = BodyLimits()
# Live settings: maps of a thousand entries.
SETTINGS = BodyLimits(max_bytes=256 * 1024, max_values=6_000)
# Sent by a provider or the bucket, so we don't control the format.
EVENTS = BodyLimits(max_bytes=256 * 1024, max_values=10_000)
# Images are part of the body, as form files or in base64.
IMAGES = BodyLimits(max_bytes=30 * 1024 * 1024, max_s=90.0)


def check_values(raw: bytes, max_values: int) -> None:
    """Raises ApiError INVALID_REQUEST for JSON with more values, in one pass and without building any of them.

    Only text outside of strings is counted: a prompt may contain any number of commas, and up to 8,192 escaped quotes.
    Each byte is read a few times at most, for any input.
    """
    values = quotes = at = 0
    while at < len(raw):
        opening = raw.find(b'"', at)
        until = opening if opening >= 0 else len(raw)
        values += sum(raw.count(mark, at, until) for mark in (b",", b"[", b"{"))
        if values > max_values or quotes > 2 * max_values + MAX_ESCAPED_QUOTES:
            raise ApiError("INVALID_REQUEST", f"The request body has more than {max_values:,} values.")
        at = until + 1
        while at < len(raw) and (closing := raw.find(b'"', at)) >= 0:
            at = closing + 1
            quotes += 1
            if not _is_escaped(raw, closing) or quotes > 2 * max_values + MAX_ESCAPED_QUOTES:
                break
        else:
            at = len(raw)


def _is_escaped(raw: bytes, quote: int) -> bool:
    """Whether an odd number of backslashes precedes the quote."""
    window = 64
    while True:
        before = raw[max(0, quote - window) : quote]
        run = len(before) - len(before.rstrip(b"\\"))
        if run < len(before) or window >= quote:
            return run % 2 == 1
        window *= 8
