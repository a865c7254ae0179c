"""Changes that a client watching jobs hasn't received yet: the latest state of each, for at most MAX_PENDING_JOBS."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from shared.core.documents import Job

# More jobs than one account changes while a client reads one event; a client further behind starts over.
MAX_PENDING_JOBS = 1_000


class WatchEnded(Exception):  # noqa: N818 - reads as the state it names
    """The watch has ended: the client is too far behind, or changes can't be read. Start a new one."""


class Subscription:
    """Changes go in with `offer` and out with `take`; newer states of a job replace those not yet taken."""

    def __init__(self) -> None:
        self._pending: dict[str, Job | None] = {}
        self._ready = asyncio.Event()
        self._ended = False

    def offer(self, id: str, job: Job | None) -> None:  # noqa: A002
        """Add the job's current state; None if its document is gone."""
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
        """Changes since the last call, by job id; empty if there are none within that time. Raises WatchEnded."""
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
