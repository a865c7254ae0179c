"""One queue: its tasks by due time, and their dispatch within the queue's rate and concurrency."""

import asyncio
import dataclasses
import heapq
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from local.tasks.messages import PAUSED, RUNNING, Queue, seconds, set_seconds
from local.tasks.pace import Pace
from local.tasks.retry import RetryPolicy
from local.tasks.target import Delivery, Outcome
from local.tasks.tombstones import Tombstones

# A suspended machine's timers stand still while the wall clock runs: no timer sleeps longer than this.
LONGEST_TIMER_S: Final = 30.0
RETENTION_S: Final = 31 * 24 * 3600
# google.rpc.Code by HTTP status; UNKNOWN for the rest, UNAVAILABLE without an answer.
RPC_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 429: 8, 499: 1, 500: 13, 501: 12, 503: 14, 504: 4}
UNKNOWN: Final = 2
UNAVAILABLE: Final = 14

log = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False)
class Record:
    """A task in the queue. `ticket` is that of its valid heap entry; 0 = not waiting."""

    message: Any
    sequence: int
    due_at: float
    ticket: int = 0
    in_flight: int = 0
    executions: int = 0
    previous_status: int | None = None

    @property
    def id(self) -> str:
        """The last part of the name."""
        return str(self.message.name.rpartition("/")[2])


class TaskQueue:
    """Tasks of one queue and their dispatch by `attempt`. Lives on one running event loop."""

    def __init__(self, settings: Any, attempt: Callable[[Delivery], Awaitable[Outcome]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._attempt = attempt
        self._retry = RetryPolicy.from_message(settings.retry_config)
        self._pace = Pace(settings.rate_limits.max_dispatches_per_second, self._loop.time())
        settings.rate_limits.max_burst_size = self._pace.burst
        settings.state = RUNNING
        self._records: dict[str, Record] = {}
        self._tombstones = Tombstones()
        self._heap: list[tuple[float, int, Record]] = []
        self._numbers = itertools.count(1)
        self._dispatches: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    # Reading

    def settings(self) -> Any:
        """The Queue message as it stands, a copy."""
        copy = Queue()
        copy.CopyFrom(self._settings)
        return copy

    def is_taken(self, task_id: str) -> bool:
        """Whether a task of that id is there, or was too short a time ago."""
        return task_id in self._records or task_id in self._tombstones

    def find(self, task_id: str) -> Record | None:
        """The task, or None when it is not there (any more)."""
        return self._records.get(task_id)

    def records(self) -> Iterable[Record]:
        """All tasks in the order of their creation."""
        return self._records.values()

    # Changing

    def add(self, message: Any, due_at: float) -> None:
        """Takes in a task whose name is free."""
        record = Record(message, next(self._numbers), due_at)
        self._records[record.id] = record
        self._schedule(record, due_at)

    def remove(self, record: Record) -> None:
        """Delete a task; an attempt in progress continues, but is not repeated."""
        record.ticket = 0
        del self._records[record.id]
        self._tombstones.add(record.id)

    def purge(self) -> None:
        """Deletes all tasks."""
        for record in list(self._records.values()):
            self.remove(record)
        self._heap.clear()
        set_seconds(self._settings.purge_time, time.time())

    def set_paused(self, paused: bool) -> None:
        """Stops or starts dispatching; tasks can be added either way."""
        self._settings.state = PAUSED if paused else RUNNING
        self._pump()

    def run_now(self, record: Record) -> None:
        """Dispatches a task at once, whatever the limits and the queue's state."""
        record.ticket = 0
        record.due_at = time.time()
        set_seconds(record.message.schedule_time, record.due_at)
        self._dispatch(record)

    async def close(self) -> None:
        """Stops dispatching and drops the attempts under way."""
        if self._timer is not None:
            self._timer.cancel()
        self._heap.clear()
        self._records.clear()
        dispatches = list(self._dispatches)
        for dispatch in dispatches:
            dispatch.cancel()
        await asyncio.gather(*dispatches, return_exceptions=True)

    # Dispatching

    def _schedule(self, record: Record, due_at: float) -> None:
        record.due_at = due_at
        record.ticket = next(self._numbers)
        set_seconds(record.message.schedule_time, due_at)
        heapq.heappush(self._heap, (due_at, record.ticket, record))
        self._pump()

    def _pump(self) -> None:
        """Dispatches all that may go now, and sets the timer for the next moment at which something may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        limit = self._settings.rate_limits.max_concurrent_dispatches
        while self._heap and self._settings.state == RUNNING and len(self._dispatches) < limit:
            due_at, ticket, record = self._heap[0]
            if record.ticket != ticket:
                heapq.heappop(self._heap)
                continue
            wait_s = due_at - time.time()
            if wait_s <= 0 and not self._pace.take(self._loop.time()):
                wait_s = self._pace.wait_s(self._loop.time())
            elif wait_s <= 0:
                heapq.heappop(self._heap)
                self._dispatch(record)
                continue
            self._timer = self._loop.call_later(min(wait_s, LONGEST_TIMER_S), self._pump)
            return

    def _dispatch(self, record: Record) -> None:
        message, now = record.message, time.time()
        delivery = Delivery(message, record.due_at, message.dispatch_count, record.executions, record.previous_status)
        record.ticket = 0
        record.in_flight += 1
        message.dispatch_count += 1
        if not message.HasField("first_attempt"):
            set_seconds(message.first_attempt.dispatch_time, now)
        message.last_attempt.Clear()
        set_seconds(message.last_attempt.schedule_time, record.due_at)
        set_seconds(message.last_attempt.dispatch_time, now)
        dispatch = self._loop.create_task(self._run(record, delivery))
        self._dispatches.add(dispatch)
        dispatch.add_done_callback(self._dispatched)

    def _dispatched(self, dispatch: asyncio.Task[None]) -> None:
        self._dispatches.discard(dispatch)
        if dispatch.cancelled():
            return
        error = dispatch.exception()
        if error is not None:
            log.error("a dispatch failed", exc_info=error)
        self._pump()

    async def _run(self, record: Record, delivery: Delivery) -> None:
        outcome = await self._attempt(delivery)
        record.in_flight -= 1
        if outcome.is_overload:
            self._pace.slow_down(self._loop.time())
        if self._records.get(record.id) is record:
            self._settle(record, outcome)

    def _settle(self, record: Record, outcome: Outcome) -> None:
        now, message = time.time(), record.message
        _note(record, outcome, now)
        if outcome.is_success:
            self.remove(record)
            return
        retry = RetryPolicy.from_message(message.retry_config) if message.HasField("retry_config") else self._retry
        age_s = now - seconds(message.first_attempt.dispatch_time)
        too_old = now - seconds(message.create_time) >= RETENTION_S
        if too_old or retry.is_exhausted(message.dispatch_count, age_s):
            log.warning("gave up %s after %d attempts: %s", message.name, message.dispatch_count, outcome.message)
            self.remove(record)
        elif record.in_flight == 0:
            delay_s = max(retry.delay_s(message.dispatch_count), outcome.retry_after_s)
            self._schedule(record, now + delay_s)


def _note(record: Record, outcome: Outcome, now: float) -> None:
    record.previous_status = outcome.status
    attempt = record.message.last_attempt
    attempt.response_status.message = outcome.message
    if outcome.status is None:
        attempt.response_status.code = UNAVAILABLE
        return
    record.message.response_count += 1
    # Cloud Tasks does not count 5xx as an execution.
    record.executions += outcome.status < 500
    set_seconds(attempt.response_time, now)
    attempt.response_status.code = 0 if outcome.is_success else RPC_CODES.get(outcome.status, UNKNOWN)
