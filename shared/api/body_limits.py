"""How large, how slow and how intricate the body of a request may be. Pure.

Everything from outside is bounded before it is read, and before anything is built of it: 3 MiB of JSON can hold a
million values, and a million things to complain about.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.core.errors import ApiError

# A body may be slow at first; from then on it arrives at least at this rate, that of a poor mobile connection.
GRACE_S = 15.0
LEAST_BYTES_PER_S = 8 * 1024
# A client that still sends what nobody will read should hear why; for so long, and within so many bytes more.
DRAINED_FOR_S = 10.0
DRAINED_BYTES = 4 * 1024 * 1024
MAX_QUERY_BYTES = 4 * 1024
# Of a prompt and a negative prompt of nothing else.
MAX_ESCAPED_QUOTES = 2 * 4 * 1024


@dataclass(frozen=True)
class BodyLimits:
    """Of one operation's body: its size, the seconds within which all of it arrives, and the values in its JSON.

    A value is an element of a list, an entry of an object, or the list or object itself.
    """

    max_bytes: int = 64 * 1024
    max_s: float = GRACE_S
    max_values: int = 1_000

    def allowed_s(self, received_bytes: int) -> float:
        """How many seconds after its beginning a body, of which so much is there, must be complete or have gone on."""
        return min(self.max_s, GRACE_S + received_bytes / LEAST_BYTES_PER_S)

    @property
    def drained_bytes(self) -> int:
        """How much of a body that is too large is read and dropped."""
        return 2 * self.max_bytes + DRAINED_BYTES


SMALL = BodyLimits()
# Live settings: maps of a thousand entries.
SETTINGS = BodyLimits(max_bytes=256 * 1024, max_values=6_000)
# What a provider or the bucket sends is theirs to shape.
EVENTS = BodyLimits(max_bytes=256 * 1024, max_values=10_000)
# Images come within the body, as files of a form or in base64.
IMAGES = BodyLimits(max_bytes=30 * 1024 * 1024, max_s=90.0)


def check_values(raw: bytes, max_values: int) -> None:
    """Raises ApiError INVALID_REQUEST for JSON of more values, in one pass and without building any of them.

    Only what stands between strings is counted: a prompt may have as many commas as it likes, and up to 8,192 escaped
    quotes. Each byte is looked at a few times at most, whatever the text is.
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
    """Whether an odd number of backslashes stands before the quote."""
    window = 64
    while True:
        before = raw[max(0, quote - window) : quote]
        run = len(before) - len(before.rstrip(b"\\"))
        if run < len(before) or window >= quote:
            return run % 2 == 1
        window *= 8
