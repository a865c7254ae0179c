"""What one client that watches jobs has yet to be told: of each job the latest state, and never more than so many."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from shared.core.documents import Job

# More jobs than one account changes while a client reads one event; whoever is further behind starts again.
MAX_PENDING_JOBS = 1_000


class WatchEnded(Exception):  # noqa: N818 - reads as the state it names
    """Nothing more will be told: the client is too far behind, or the changes cannot be had. Watching anew helps."""


class Subscription:
    """Changes come in with `offer` and go out with `take`; what was not taken in time is replaced by what is newer."""

    def __init__(self) -> None:
        self._pending: dict[str, Job | None] = {}
        self._ready = asyncio.Event()
        self._ended = False

    def offer(self, id: str, job: Job | None) -> None:  # noqa: A002
        """The job as it now is; None when its document is gone."""
        if self._ended:
            return
        self._pending[id] = job
        if len(self._pending) > MAX_PENDING_JOBS:
            self.end()
        self._ready.set()

    def end(self) -> None:
        self._ended = True
        self._pending.clear()
        self._ready.set()

    async def take(self, within_s: float) -> Mapping[str, Job | None]:
        """What changed since the last time, by job id; empty when nothing does within that time. Raises WatchEnded."""
        try:
            async with asyncio.timeout(within_s):
                await self._ready.wait()
        except TimeoutError:
            return {}
        if self._ended:
            raise WatchEnded
        taken, self._pending = self._pending, {}
        self._ready.clear()
        return taken
