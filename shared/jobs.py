"""Read, decide, commit, enqueue: the loop in which every change of a job is made.

The core decides on what was read; the store commits it only if it is still so; otherwise both are done again. A commit
whose answer was lost is recognised as our own by its change_id. Nobody locks.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Self
from weakref import WeakValueDictionary

from shared import log, storable
from shared.errors import Conflict, Unavailable
from shared.events import Event
from shared.lifecycle import Change, decide, needs_account, with_task_name
from shared.models import Job, LiveConfig

if TYPE_CHECKING:
    from shared.services import Services

TRY_FOR = timedelta(seconds=10)
FIRST_WAIT_S = 0.005
LONGEST_WAIT_S = 0.5

_account_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


@dataclass(frozen=True)
class Outcome:
    """What became of an event. `change` is None when the job did not hear it; `job` is the job as it then stands."""

    job: Job
    change: Change | None


class JobMissing(Exception):  # noqa: N818
    """There is no job of that id."""


class TaskNotCreated(Unavailable):
    """The change is committed, and only its task could not be created: a redelivery or the sweeper will do that."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"the task {outcome.job.task.name} could not be created")
        self.outcome = outcome


async def advance(services: Services, job_id: str, event: Event, known: Job | None = None) -> Outcome:
    """Let the event happen to the job, and create the task that the change asks for.

    `known` is the job as just read, which saves reading it again. Raises JobMissing; TaskNotCreated; Unavailable when
    the outcome of the commit is unknown, or when others kept writing for 10 s.
    """
    # What others said is in the event; the rest of the job has been stored before.
    outcome = await _commit_event(services, job_id, storable.cleaned(event), known)
    if outcome.change is not None:
        _tell(outcome.job, outcome.change.signals)
        _log_end(outcome)
        if outcome.change.task is not None:
            try:
                await services.queue.create(outcome.change.task)
            except Unavailable as error:
                raise TaskNotCreated(outcome) from error
    return outcome


async def _commit_event(services: Services, job_id: str, event: Event, known: Job | None) -> Outcome:
    config = await services.config.get()
    job = known or await _read(services, job_id)
    settles = needs_account(job, event, services.clock(), config)
    # Outside of the tries: waiting for one's turn is no conflict.
    async with account_lock(job.account) if settles else nullcontext():
        return await _try_event(services, job, event, config)


async def _try_event(services: Services, job: Job, event: Event, config: LiveConfig) -> Outcome:
    tried: dict[str, Change] = {}
    untold: tuple[str, ...] = ()
    async for attempt in Tries(services):
        if attempt > 0:
            job = await _read(services, job.id)
        now = services.clock()
        account = None
        if needs_account(job, event, now, config):
            found, account = await services.store.get_job_and_account(job.id, job.account)
            job = found or job
        if job.change_id in tried:
            return Outcome(job, tried[job.change_id])
        change = decide(job, account, event, now, config)
        if change is None:
            # Ours may have been committed, and another's on top of it: told once more is better than never.
            _tell(job, untold)
            return Outcome(job, None)
        change = stamp(change, services.ids())
        tried[change.job.change_id] = change
        try:
            return Outcome(await commit(services, change), change)
        except Unavailable:
            untold = change.signals
        except Conflict:
            pass
        # Either way what counts is what is there now: ours, or what to decide on afresh.
    raise Unavailable(f"others kept writing to {job.id}")


async def _read(services: Services, job_id: str) -> Job:
    job = await services.store.get(Job, job_id)
    if job is None:
        raise JobMissing(job_id)
    return job


async def commit(services: Services, change: Change) -> Job:
    """One batch; answers the job with its new revision. Raises Conflict or Unavailable."""
    committed = await services.store.commit(change.documents)
    job = committed[0]
    assert isinstance(job, Job)
    return job


def stamp(change: Change, change_id: str) -> Change:
    """A fresh change_id in what is changed: no write is then a no-op, and each can be recognized as ours.

    It is also part of the name of a new step's task, so that no other decision's task has that name.
    """
    job = with_task_name(change.job.changed(change_id=change_id))
    task = replace(change.task, ref=job.task) if change.task else None
    account = change.account.changed(change_id=change_id) if change.account else None
    day = change.tenant_day.changed(change_id=change_id) if change.tenant_day else None
    return replace(change, job=job, account=account, task=task, tenant_day=day)


class Tries:
    """Counts tries of a commit until 10 s are over, waiting between them: jittered, so that rivals fall out of step.

    No generator: one that is left early is closed by a task of its own, at every submit.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._until = services.clock() + TRY_FOR
        self._next = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        attempt = self._next
        self._next += 1
        if attempt > 0:
            wait_s = min(FIRST_WAIT_S * 2.0 ** min(attempt - 1, 16), LONGEST_WAIT_S)
            await self._services.sleep(random.uniform(0, wait_s))  # noqa: S311 - jitter, not a secret
            if self._services.clock() >= self._until:
                raise StopAsyncIteration
        return attempt


@asynccontextmanager
async def account_lock(account_id: str) -> AsyncIterator[None]:
    """Writers of one account in one process go one after another: fewer conflicts, never needed for being right.

    So whoever has waited for 10 s goes on without it: behind others who wait for a Firestore that does not answer,
    nobody would be answered in bounded time.
    """
    lock = _account_locks.get(account_id)
    if lock is None:
        lock = _account_locks[account_id] = asyncio.Lock()
    held = await _acquired(lock)
    try:
        yield
    finally:
        if held:
            lock.release()


async def _acquired(lock: asyncio.Lock) -> bool:
    try:
        async with asyncio.timeout(TRY_FOR.total_seconds()):
            return await lock.acquire()
    except TimeoutError:
        return False


def _tell(job: Job, signals: tuple[str, ...]) -> None:
    for signal in signals:
        log.warning(signal, job=job.id, account=job.account, attempt=job.attempt)


def _log_end(outcome: Outcome) -> None:
    job, change = outcome.job, outcome.change
    if change is None or change.account is None or not job.final:
        return
    log.info(
        "job_ended",
        job=job.id,
        account=job.account,
        tenant=job.tenant,
        model=job.request.model,
        status=job.status,
        code=job.error.code if job.error else None,
        reason=job.error.reason if job.error else None,
        cost=job.cost,
        refunded=job.refunded,
        generation_seconds=job.generation_s,
        seconds_to_end=(job.updated_at - job.created_at).total_seconds(),
    )
