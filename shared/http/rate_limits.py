"""Rate limits per caller: token buckets in this process's memory.

A request writes nothing to a database. Each process counts for itself, so a caller's effective limit is the configured
one times the instances that serve them: this protects our resources; it isn't a quota to sell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core.errors import ApiError
from shared.platform.caching import Cache

WINDOW_S = 60
# A bucket takes a few hundred bytes. The least recently used one is dropped, so its owner starts with a full one.
BUCKETS_KEPT = 10_000


@dataclass(frozen=True)
class Allowance:
    """What is left in a bucket after a request. `reset_s`: seconds until it is full, or if it is empty, until the next
    request is allowed."""

    limit: int
    remaining: int
    reset_s: int
    refused: bool

    @property
    def headers(self) -> dict[str, str]:
        """The three headers that clients commonly read, and the two of draft-ietf-httpapi-ratelimit-headers."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_s),
            "RateLimit-Policy": f'"requests";q={self.limit};w={WINDOW_S}',
            "RateLimit": f'"requests";r={self.remaining};t={self.reset_s}',
        }

    def check(self) -> None:
        """Raises ApiError RATE_LIMITED with Retry-After if the request exceeded the limit."""
        if self.refused:
            raise ApiError(
                "RATE_LIMITED",
                f"More than {self.limit} requests in a minute.",
                {"requests_per_minute": self.limit},
                retry_after_s=self.reset_s,
                headers=self.headers,
            )


class TokenBuckets:
    """One bucket per name, which holds one minute's requests and refills at a constant rate."""

    def __init__(self) -> None:
        self._buckets: Cache[str, tuple[float, datetime]] = Cache(BUCKETS_KEPT)

    def take(self, name: str, per_minute: int, now: datetime) -> Allowance:
        """Take one token, if there is one: a rejected request takes none."""
        tokens, then = self._buckets.get(name, now) or (float(per_minute), now)
        elapsed_s = max(0.0, (now - then).total_seconds())
        tokens = min(float(per_minute), tokens + elapsed_s * per_minute / WINDOW_S)
        refused = tokens < 1.0
        if not refused:
            tokens -= 1.0
        # After an idle minute a bucket is full again, so a new one can replace it.
        self._buckets.put(name, (tokens, now), now + timedelta(seconds=WINDOW_S))
        wanted = 1.0 if tokens < 1.0 else float(per_minute)
        reset_s = max(1, math.ceil((wanted - tokens) * WINDOW_S / per_minute))
        return Allowance(per_minute, int(tokens), reset_s, refused)
