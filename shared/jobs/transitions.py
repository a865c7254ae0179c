"""Read, decide, commit, enqueue: the loop that makes every change of a job.

The core decides based on what was read; Firestore commits only if nothing has changed since; otherwise both are done
again. A commit whose response was lost is recognized as ours by its change_id. There are no locks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.core import storable
from shared.core.documents import Account, Job, LiveSettings
from shared.core.errors import Conflict, Unavailable
from shared.core.events import Event
from shared.core.lifecycle import Change, decide, needs_account
from shared.core.tenant_days import TenantBudget
from shared.jobs.account_commits import Answer, Proposal, propose
from shared.platform import log
from shared.platform.commits import CommitAttempts
from shared.platform.ports import Services


@dataclass(frozen=True)
class Outcome:
    """The result of an event. `change` is None if the event did not apply; `job` is its current state."""

    job: Job
    change: Change | None


class JobMissing(Exception):  # noqa: N818
    """There is no job with that id."""


class TaskNotCreated(Unavailable):
    """The change is committed, but its task couldn't be created: a redelivery or the sweeper will do that."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"the task {outcome.job.task.name} could not be created")
        self.outcome = outcome


async def apply(services: Services, job_id: str, event: Event, known: Job | None = None) -> Outcome:
    """Apply the event to the job, and create the task that the change asks for.

    `known` is the job as just read, which saves reading it again. Raises JobMissing; TaskNotCreated; Unavailable if the
    outcome of the commit is unknown or others kept writing for 10 s.
    """
    # Only the event has text from outside; the rest of the job has been stored before.
    outcome = await _commit_event(services, job_id, storable.cleaned(event), known)
    if outcome.change is not None:
        _log_signals(outcome.job, outcome.change.signals)
        _log_end(outcome)
        if outcome.change.task is not None:
            try:
                await services.tasks.create(outcome.change.task)
            except Unavailable as error:
                raise TaskNotCreated(outcome) from error
    return outcome


class _Settlement(Proposal[Outcome]):
    """An event that may end the job, or otherwise change its account."""

    def __init__(self, job: Job, event: Event, config: LiveSettings) -> None:
        super().__init__(job.id)
        self._known = job
        self._event = event
        self._config = config
        self._unlogged: tuple[str, ...] = ()

    def decide(
        self, job: Job | None, account: Account | None, budget: TenantBudget | None, now: datetime
    ) -> Change | Answer[Outcome]:
        job = job or self._known
        if job.change_id in self.tried:
            return Answer(Outcome(job, self.tried[job.change_id]))
        change = decide(job, account, self._event, now, self._config)
        if change is None:
            # Our commit may have succeeded, with another one on top of it: better to log twice than never.
            _log_signals(job, self._unlogged)
            return Answer(Outcome(job, None))
        return change

    def committed(self, job: Job, change: Change) -> Outcome:
        return Outcome(job, change)

    def unknown(self, change: Change) -> None:
        self._unlogged = change.signals


async def forget_task(services: Services, outcome: Outcome) -> None:
    """Delete the task that the change made obsolete. If that fails, its delivery will find nothing to do."""
    if outcome.change is None or outcome.change.obsolete is None:
        return
    try:
        await services.tasks.delete(outcome.change.obsolete)
    except Unavailable as error:
        log.info("task_not_deleted", job=outcome.job.id, task=outcome.change.obsolete.name, error=str(error))


async def _commit_event(services: Services, job_id: str, event: Event, known: Job | None) -> Outcome:
    config = await services.live_settings.get()
    job = known or await _read(services, job_id)
    settlement = _Settlement(job, event, config)
    async for attempt in CommitAttempts(services):
        if attempt > 0:
            job = await _read(services, job_id)
        now = services.clock()
        if needs_account(job, event, now, config):
            return await propose(services, job.account, settlement)
        decided = settlement.decide(job, None, None, now)
        if isinstance(decided, Answer):
            return decided.value
        change = with_change_id(decided, services.ids())
        settlement.tried[change.job.change_id] = change
        try:
            return settlement.committed(await commit(services, change), change)
        except Unavailable:
            settlement.unknown(change)
        except Conflict:
            pass
        # Either way, read again: it is our commit, or a new state to decide on.
    raise Unavailable(f"others kept writing to {job.id}")


async def _read(services: Services, job_id: str) -> Job:
    job = await services.firestore.get(Job, job_id)
    if job is None:
        raise JobMissing(job_id)
    return job


async def commit(services: Services, change: Change) -> Job:
    """Commit the change in one batch; returns the job with its new revision. Raises Conflict or Unavailable."""
    committed = await services.firestore.commit(change.documents)
    job = committed[0]
    assert isinstance(job, Job)
    return job


def with_change_id(change: Change, change_id: str) -> Change:
    """The change with that change_id, ready to commit."""
    return change.stamped(change_id)


def _log_signals(job: Job, signals: tuple[str, ...]) -> None:
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
        cost=job.cost,
        refunded=job.refunded,
        generation_seconds=job.generation_s,
        seconds_to_end=(job.updated_at - job.created_at).total_seconds(),
    )
