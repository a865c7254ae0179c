"""An in-process cache with expiry, bounded in size; it evicts the least recently used value.

Emptying the whole cache when it is full would send every request back to the database or the signer at once, again and
again while more keys are in use than it holds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

FOREVER = datetime.max.replace(tzinfo=UTC)


class Cache(Generic[K, V]):
    """At most `limit` values, each with its own expiry. For one event loop; no method waits."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[K, tuple[V, datetime]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K, now: datetime) -> V | None:
        """The value, unless it has expired."""
        found = self._values.get(key)
        if found is None:
            return None
        value, until = found
        if now >= until:
            del self._values[key]
            return None
        self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V, until: datetime = FOREVER) -> None:
        self._values[key] = value, until
        self._values.move_to_end(key)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)

    def drop(self, key: K) -> None:
        self._values.pop(key, None)

    def drop_where(self, matches: Callable[[V], bool]) -> None:
        """Drop every value that matches."""
        for key in [key for key, (value, _) in self._values.items() if matches(value)]:
            del self._values[key]

    def clear(self) -> None:
        """Drop everything: the data that the values were derived from is no longer valid."""
        self._values.clear()
