"""Cloud Tasks in memory: names with tombstones, schedules, redelivery with back-off, a pace per queue.

`MemoryTaskQueue` is a passive list of tasks: a test or the simulation asks what is due and delivers any of it, as often
as it likes. `Dispatcher` does it in real time for the embedded form.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from local.tasks.pace import Pace
from local.tasks.retry import RetryPolicy
from shared.core.catalog import MODELS
from shared.core.documents import TaskRef
from shared.core.lifecycle import DELIVER_QUEUE, Task
from shared.platform.ports import utc_now

Deliver = Callable[[str, Mapping[str, Any]], Awaitable[int]]

TOMBSTONE: Final = timedelta(hours=24)
DISPATCH_DEADLINE_S: Final = 960.0
LONGEST_WAIT_S: Final = 30.0
OVERLOADED: Final = frozenset({429, 503})
NO_ANSWER: Final = 504

_LOG = logging.getLogger(__name__)


# Those of the laptop's queues. Deadlines live in the job, so a task is never given up.
GENERATE_RETRY: Final = RetryPolicy(-1, 0, min_backoff_s=2.0, max_backoff_s=60.0, max_doublings=5)
RETRY: Final = RetryPolicy(-1, 0, min_backoff_s=1.0, max_backoff_s=30.0, max_doublings=5)
MAX_CONCURRENT_CREATES: Final = 20
MAX_CONCURRENT_WEBHOOKS: Final = 40


@dataclass(frozen=True)
class Limits:
    """How fast a queue may deliver, and when it repeats a delivery that failed."""

    max_per_s: float = 500.0
    max_concurrent: int = 1_000
    retry: RetryPolicy = RETRY


def limits_of(queue: str, starts_per_minute: int | None = None) -> Limits:
    """A model's queue is paced to the model's quota, or to the given one; the others are as fast as Cloud Tasks is."""
    quotas = {model.queue: model.quota_per_minute for model in MODELS.values()}
    if queue == DELIVER_QUEUE:
        return Limits(max_concurrent=MAX_CONCURRENT_WEBHOOKS)
    if queue not in quotas:
        return Limits()
    return Limits((starts_per_minute or quotas[queue]) / 60, MAX_CONCURRENT_CREATES, GENERATE_RETRY)


@dataclass(eq=False)
class Entry:
    """A task that is still to be delivered, or is being delivered (`in_flight` times at this moment)."""

    task: Task
    due_at: datetime
    number: int
    attempts: int = 0
    in_flight: int = 0

    @property
    def ref(self) -> TaskRef:
        return self.task.ref


class MemoryTaskQueue:
    """All queues of one project. Every method is one indivisible effect; times are the clock's."""

    def __init__(self, clock: Callable[[], datetime] = utc_now, limits: Callable[[str], Limits] = limits_of) -> None:
        self._clock = clock
        self._limits = limits
        self._entries: dict[TaskRef, Entry] = {}
        self._tombstones: dict[TaskRef, datetime] = {}
        self._paces: dict[str, Pace] = {}
        self._under_way: Counter[str] = Counter()
        self._created = 0
        self.on_change: Callable[[], None] = lambda: None

    # What handlers may do

    async def create(self, task: Task) -> None:
        """Create the task under its name; one that exists already, or did within a day, is success."""
        now = self._clock()
        blocked_until = self._tombstones.get(task.ref)
        if task.ref in self._entries or (blocked_until is not None and now < blocked_until):
            return
        self._created += 1
        self._entries[task.ref] = Entry(task, task.at or now, self._created)
        self.on_change()

    async def exists(self, ref: TaskRef) -> bool:
        """Whether the task is still to be delivered, or is being delivered."""
        return ref in self._entries

    async def delete(self, ref: TaskRef) -> None:
        """Delete the task if it is there; a delivery in progress continues."""
        self.drop(ref)
        self.on_change()

    # What a scheduler may do

    def entries(self) -> list[Entry]:
        """All tasks, the first due first."""
        return sorted(self._entries.values(), key=lambda entry: (entry.due_at, entry.number))

    def due(self, now: datetime | None = None) -> list[Entry]:
        """The tasks whose time has come and that are not under way, whatever the pace, the first due first."""
        now = now or self._clock()
        return [entry for entry in self.entries() if entry.due_at <= now and not entry.in_flight]

    def next_at(self) -> datetime | None:
        """When the next task that is not under way is due; None when there is none."""
        return min((entry.due_at for entry in self._entries.values() if not entry.in_flight), default=None)

    def begin(self, entry: Entry) -> None:
        """A delivery of the task starts; a second concurrent one is allowed, as a duplicate."""
        entry.attempts += 1
        entry.in_flight += 1
        self._under_way[entry.ref.queue] += 1

    def finish(self, entry: Entry, status: int) -> None:
        """A delivery has ended: 2xx removes the task, anything else brings it back after its back-off."""
        now = self._clock()
        entry.in_flight -= 1
        self._under_way[entry.ref.queue] -= 1
        if status in OVERLOADED:
            self._pace(entry.ref.queue, now).slow_down(now.timestamp())
        if self._entries.get(entry.ref) is not entry:
            return
        if 200 <= status < 300:
            self.drop(entry.ref)
        elif not entry.in_flight:
            delay_s = self._limits(entry.ref.queue).retry.delay_s(entry.attempts)
            entry.due_at = now + timedelta(seconds=delay_s)
        self.on_change()

    def drop(self, ref: TaskRef) -> None:
        """The task is gone, and its name is blocked for a day."""
        if self._entries.pop(ref, None) is not None:
            now = self._clock()
            self._forget_tombstones(now)
            self._tombstones[ref] = now + TOMBSTONE

    def purge(self, queue: str | None = None) -> int:
        """Drop all tasks, or those of one queue; answers how many there were."""
        purged = [ref for ref in self._entries if queue in (None, ref.queue)]
        for ref in purged:
            self.drop(ref)
        return len(purged)

    # What keeps to the limits

    def take(self) -> list[Entry]:
        """The tasks that may be delivered now within their queues' limits; their deliveries have begun."""
        now = self._clock()
        taken: list[Entry] = []
        for entry in self.due(now):
            queue = entry.ref.queue
            if self._under_way[queue] < self._limits(queue).max_concurrent and self._pace(queue, now).take(
                now.timestamp()
            ):
                self.begin(entry)
                taken.append(entry)
        return taken

    def wait_s(self) -> float | None:
        """Seconds until take() may answer more; None when only a change can bring something."""
        now = self._clock()
        first_due: dict[str, datetime] = {}
        for entry in self._entries.values():
            queue = entry.ref.queue
            if not entry.in_flight and self._under_way[queue] < self._limits(queue).max_concurrent:
                first_due[queue] = min(first_due.get(queue, entry.due_at), entry.due_at)
        waits = (
            max((due_at - now).total_seconds(), self._pace(queue, now).wait_s(now.timestamp()))
            for queue, due_at in first_due.items()
        )
        return min(waits, default=None)

    def _pace(self, queue: str, now: datetime) -> Pace:
        if queue not in self._paces:
            self._paces[queue] = Pace(self._limits(queue).max_per_s, now.timestamp())
        return self._paces[queue]

    def _forget_tombstones(self, now: datetime) -> None:
        """They are kept in the order in which they end."""
        for ref, until in list(self._tombstones.items()):
            if until > now:
                return
            del self._tombstones[ref]


class Dispatcher:
    """Delivers what is due in real time; `deliver(path, body)` answers an HTTP status."""

    def __init__(self, queue: MemoryTaskQueue, deliver: Deliver) -> None:
        self._queue = queue
        self._deliver = deliver
        self._changed = asyncio.Event()
        self._deliveries: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Deliver until cancelled; then deliveries under way are ended, and their tasks stay in the queue."""
        self._queue.on_change = self._changed.set
        try:
            while True:
                self._changed.clear()
                self._deliver_due()
                await self._wait(self._queue.wait_s())
        finally:
            deliveries = list(self._deliveries)
            for delivery in deliveries:
                delivery.cancel()
            await asyncio.gather(*deliveries, return_exceptions=True)

    def _deliver_due(self) -> None:
        for entry in self._queue.take():
            delivery = asyncio.create_task(self._attempt(entry))
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._deliveries.discard)

    async def _wait(self, wait_s: float | None) -> None:
        try:
            async with asyncio.timeout(LONGEST_WAIT_S if wait_s is None else min(wait_s, LONGEST_WAIT_S)):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _attempt(self, entry: Entry) -> None:
        status = NO_ANSWER
        try:
            status = await self._answer(entry.task)
        finally:
            self._queue.finish(entry, status)

    async def _answer(self, task: Task) -> int:
        try:
            async with asyncio.timeout(DISPATCH_DEADLINE_S):
                return await self._deliver(task.path, task.body)
        except Exception:  # noqa: BLE001 - whatever went wrong, the delivery is repeated
            _LOG.exception("the delivery of %s failed", task.ref.name)
            return NO_ANSWER
