"""How often somebody may try something."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import Final

from local.identity.errors import IdentityError

KEYS_KEPT: Final = 10_000


class Throttle:
    """Counts attempts by key, such as an address; the least recently used key is forgotten."""

    def __init__(self) -> None:
        self._attempts: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, key: str, limit: int, within_s: float) -> None:
        """Raises IdentityError TOO_MANY_ATTEMPTS_TRY_LATER if there were `limit` attempts in that time."""
        if len(self._recent(key, within_s)) >= limit:
            raise IdentityError("TOO_MANY_ATTEMPTS_TRY_LATER")

    def count(self, key: str, within_s: float) -> None:
        self._recent(key, within_s).append(time.monotonic())

    def forget(self, key: str) -> None:
        self._attempts.pop(key, None)

    def _recent(self, key: str, within_s: float) -> deque[float]:
        attempts = self._attempts.setdefault(key, deque())
        self._attempts.move_to_end(key)
        if len(self._attempts) > KEYS_KEPT:
            self._attempts.popitem(last=False)
        while attempts and attempts[0] <= time.monotonic() - within_s:
            attempts.popleft()
        return attempts
