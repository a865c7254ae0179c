"""Names of tasks that are gone: Cloud Tasks refuses them for up to a day."""

import time
from collections import OrderedDict
from typing import Final

LIFETIME_S: Final = 24 * 3600
LIMIT: Final = 100_000


class Tombstones:
    """The task ids of one queue that may not be used again. Beyond the limit the oldest are forgotten."""

    def __init__(self) -> None:
        self._expires_at: OrderedDict[str, float] = OrderedDict()

    def add(self, task_id: str) -> None:
        """Blocks an id from now on."""
        now = time.monotonic()
        self._expires_at[task_id] = now + LIFETIME_S
        self._expires_at.move_to_end(task_id)
        oldest = next(iter(self._expires_at))
        while len(self._expires_at) > LIMIT or self._expires_at[oldest] <= now:
            del self._expires_at[oldest]
            oldest = next(iter(self._expires_at))

    def __contains__(self, task_id: str) -> bool:
        return self._expires_at.get(task_id, 0.0) > time.monotonic()
