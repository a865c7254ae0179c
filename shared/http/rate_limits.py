"""How many requests a caller may send: token buckets in this process's memory.

Nothing is written anywhere per request. Each process counts for itself, so what a caller gets in the end is the limit
times the instances that serve him: a guard of our resources, not a quota to be sold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core.errors import ApiError
from shared.platform.caching import Cache

WINDOW_S = 60
# A bucket is some hundred bytes; the least used one is forgotten, which gives its owner a full one.
BUCKETS_KEPT = 10_000


@dataclass(frozen=True)
class Allowance:
    """What is left in a bucket after a request. `reset_s`: until it is full, or until the next request may come."""

    limit: int
    remaining: int
    reset_s: int
    refused: bool

    @property
    def headers(self) -> dict[str, str]:
        """The three fields that clients know, and the two of the present draft-ietf-httpapi-ratelimit-headers."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_s),
            "RateLimit-Policy": f'"requests";q={self.limit};w={WINDOW_S}',
            "RateLimit": f'"requests";r={self.remaining};t={self.reset_s}',
        }

    def check(self) -> None:
        """Raises ApiError RATE_LIMITED with Retry-After when the request was one too many."""
        if self.refused:
            raise ApiError(
                "RATE_LIMITED",
                f"More than {self.limit} requests in a minute.",
                {"requests_per_minute": self.limit},
                retry_after_s=self.reset_s,
                headers=self.headers,
            )


class TokenBuckets:
    """One bucket per name, which holds a minute's requests and fills up evenly."""

    def __init__(self) -> None:
        self._buckets: Cache[str, tuple[float, datetime]] = Cache(BUCKETS_KEPT)

    def take(self, name: str, per_minute: int, now: datetime) -> Allowance:
        """Count one request, unless it is one too many: a refused request costs nothing."""
        tokens, then = self._buckets.get(name, now) or (float(per_minute), now)
        elapsed_s = max(0.0, (now - then).total_seconds())
        tokens = min(float(per_minute), tokens + elapsed_s * per_minute / WINDOW_S)
        refused = tokens < 1.0
        if not refused:
            tokens -= 1.0
        # A bucket that nobody takes from is full again after a minute, as a new one is.
        self._buckets.put(name, (tokens, now), now + timedelta(seconds=WINDOW_S))
        wanted = 1.0 if tokens < 1.0 else float(per_minute)
        reset_s = max(1, math.ceil((wanted - tokens) * WINDOW_S / per_minute))
        return Allowance(per_minute, int(tokens), reset_s, refused)
