"""The life of a job and the ledger: (job, account, event, now) -> Change. Pure: no I/O, no clock, no randomness.

Read TRANSITIONS first: it says which event applies in which stage, and where it may lead. An event that doesn't apply
changes nothing, and neither does one from an older step: duplicate, late and reordered deliveries are harmless by
construction. A Change is committed in one batch; its task is created afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shared.core import admission, cancellation, ledger, pricing, schedule, tenant_days
from shared.core.admission import Submission
from shared.core.catalog import MODELS, offer
from shared.core.documents import (
    FINAL,
    STATUS_OF,
    Account,
    Document,
    Job,
    JobError,
    Lease,
    LiveSettings,
    Output,
    Stage,
    TaskRef,
    Transaction,
    VideoRequest,
)
from shared.core.errors import CATALOG, ApiError
from shared.core.events import (
    Accepted,
    Announced,
    CancelRequested,
    CleanedUp,
    Deferred,
    DeleteRequested,
    ErasureRequested,
    Event,
    GenerationFailed,
    GenerationFinished,
    LateSuccess,
    LeaseRenewed,
    LeaseRequested,
    NotFoundYet,
    OperationReported,
    Overdue,
    Repeated,
    RetentionElapsed,
    SlotRequested,
    StartRejected,
    StartUnknown,
    StepEvent,
    StillRunning,
    Stored,
    StoringFailed,
    Switched,
    TaskLost,
    Viewed,
)
from shared.core.plans import plan_of
from shared.core.tenant_days import TenantBudget

POLL_QUEUE = "poll"
# The only queue whose tasks go to the function deliver; all others go to poll.
DELIVER_QUEUE = "webhooks"
STEP_PATH = "/tasks/step"
# Characters of a change_id: 48 random bits, enough within one step of one job.
TASK_SUFFIX_CHARS = 8

# A create times out after 45 s; its lease lasts longer, and the function (900 s) longer still. So a holder that is
# still running after its lease has expired can tell, and must not create.
CREATE_TIMEOUT_S = 45
PREPARE_TIMEOUT_S = 75
LEASE_S = 120
FUNCTION_TIMEOUT_S = 900
SWEEP_AFTER_S = 60
# Past its deadline a job gets one last try to store its video. If a delivery crashes in it, the next one tries again,
# up to this limit, so that a video that crashes every delivery doesn't do so forever.
LAST_TRIES = 3
DEFAULT_LONGEST_S = 360.0
# A generation that was given up is watched this long, so that what it still produces is removed.
TIDY_FOR_S = 24 * 3_600
# Recording a view is a write; one a day is enough to know what is still watched.
VIEWS_NOTED_EVERY = timedelta(days=1)

UNFINISHED = frozenset(Stage) - FINAL


_ANY_UNFINISHED = {stage: frozenset({stage}) for stage in UNFINISHED}
_ANY_FINAL = {stage: frozenset({stage}) for stage in FINAL}


def _to(*stages: Stage) -> frozenset[Stage]:
    return frozenset(stages)


TRANSITIONS: Mapping[type[Event], Mapping[Stage, frozenset[Stage]]] = {
    SlotRequested: {Stage.WAITING: _to(Stage.WAITING, Stage.QUEUED, Stage.FAILED)},
    LeaseRequested: {
        Stage.QUEUED: _to(Stage.STARTING, Stage.FAILED),
        Stage.STORING: _to(Stage.STORING, Stage.FAILED),
    },
    LeaseRenewed: {Stage.STORING: _to(Stage.STORING)},
    Accepted: {
        Stage.STARTING: _to(Stage.GENERATING),
        Stage.UNCERTAIN: _to(Stage.GENERATING),
        # Given up and about to be started again: keep the first start.
        Stage.QUEUED: _to(Stage.GENERATING),
        # The job has ended: keep the name, so that what it still produces can be removed.
        **_ANY_FINAL,
    },
    Deferred: {Stage.STARTING: _to(Stage.QUEUED)},
    Switched: {Stage.QUEUED: _to(Stage.QUEUED), Stage.STARTING: _to(Stage.QUEUED)},
    StartRejected: {Stage.QUEUED: _to(Stage.FAILED), Stage.STARTING: _to(Stage.FAILED)},
    StartUnknown: {Stage.STARTING: _to(Stage.UNCERTAIN)},
    NotFoundYet: {Stage.UNCERTAIN: _to(Stage.UNCERTAIN, Stage.QUEUED, Stage.FAILED)},
    StillRunning: {Stage.GENERATING: _to(Stage.GENERATING, Stage.FAILED)},
    GenerationFinished: {
        Stage.GENERATING: _to(Stage.STORING, Stage.FAILED),
        Stage.UNCERTAIN: _to(Stage.STORING, Stage.FAILED),
    },
    GenerationFailed: {Stage.GENERATING: _to(Stage.FAILED), Stage.UNCERTAIN: _to(Stage.FAILED)},
    Stored: {Stage.STORING: _to(Stage.COMPLETED)},
    StoringFailed: {Stage.STORING: _to(Stage.STORING, Stage.FAILED)},
    CancelRequested: dict.fromkeys(UNFINISHED, _to(Stage.CANCELED)),
    OperationReported: {Stage.STARTING: _to(Stage.STARTING), Stage.UNCERTAIN: _to(Stage.UNCERTAIN)},
    Repeated: {**_ANY_UNFINISHED, **_ANY_FINAL},
    TaskLost: {**_ANY_UNFINISHED, **_ANY_FINAL},
    # A paid generation or video isn't given up here: a delivery polls or stores one last time.
    Overdue: {
        Stage.WAITING: _to(Stage.FAILED),
        Stage.QUEUED: _to(Stage.FAILED),
        Stage.STARTING: _to(Stage.UNCERTAIN),
        Stage.UNCERTAIN: _to(Stage.QUEUED, Stage.FAILED),
    },
    DeleteRequested: _ANY_FINAL,
    ErasureRequested: _ANY_FINAL,
    Viewed: {Stage.COMPLETED: _to(Stage.COMPLETED)},
    RetentionElapsed: {Stage.COMPLETED: _to(Stage.COMPLETED)},
    Announced: _ANY_FINAL,
    LateSuccess: {Stage.FAILED: _to(Stage.FAILED)},
    CleanedUp: _ANY_FINAL,
}


# --- the result of a decision ---


@dataclass(frozen=True)
class Task:
    """A task to create once the change is committed; `at` None means now."""

    ref: TaskRef
    at: datetime | None
    body: Mapping[str, Any]
    path: str = STEP_PATH


@dataclass(frozen=True)
class Change:
    """What to commit in one batch, the task to create afterwards, and what to count and log.

    `obsolete` is the task of a step that ended without its delivery: it would only take up a start's place in a paced
    queue, so it is deleted, which may fail.
    """

    job: Job
    account: Account | None = None
    transactions: tuple[Transaction, ...] = ()
    task: Task | None = None
    signals: tuple[str, ...] = field(default=())
    budget: TenantBudget | None = None
    obsolete: TaskRef | None = None

    @property
    def documents(self) -> tuple[Document, ...]:
        """The job, its account and the ledger entries, without the changes of the tenant's budget."""
        return (self.job, *((self.account,) if self.account is not None else ()), *self.transactions)

    def stamped(self, change_id: str) -> Change:
        """The change with a fresh change_id in its documents: so no write is a no-op, and each is recognizable as ours.

        It is also part of the name of a new step's task, so that no other decision's task has that name.
        """
        job = with_task_name(self.job.changed(change_id=change_id))
        task = replace(self.task, ref=job.task) if self.task is not None else None
        account = self.account.changed(change_id=change_id) if self.account is not None else None
        return replace(self, job=job, account=account, task=task)


def decide(job: Job, account: Account | None, event: Event, now: datetime, config: LiveSettings) -> Change | None:
    """What the event changes; None if it doesn't apply in this stage or step.

    `account` may be None unless needs_account() returns True.
    """
    applicable = TRANSITIONS[type(event)].get(job.stage)
    if applicable is None or (isinstance(event, StepEvent) and event.step != job.step):
        return None
    change = _DECISIONS[type(event)](_Case(job, account, now, config), event)
    if change is not None and isinstance(event, (CancelRequested, Overdue)):
        change = replace(change, obsolete=job.task)
    assert change is None or change.job.stage in applicable, f"{event} led {job.stage} to {change.job.stage}"
    return change


def needs_account(job: Job, event: Event, now: datetime, config: LiveSettings) -> bool:
    """Whether the event may end the job or otherwise change its account."""
    if job.final or isinstance(event, Repeated) or job.stage not in TRANSITIONS[type(event)]:
        return False
    may_end = isinstance(
        event, (SlotRequested, StartRejected, GenerationFailed, Stored, StoringFailed, CancelRequested)
    )
    nothing_came = isinstance(event, GenerationFinished) and not event.uris
    return may_end or nothing_came or now >= deadline(job, config)


def deadline(job: Job, config: LiveSettings) -> datetime:
    """When the job's current stage must have ended; the job is given up then."""
    match job.stage:
        case Stage.GENERATING:
            return _began(job) + timedelta(seconds=config.generation_timeout_s)
        case Stage.UNCERTAIN:
            return _began(job) + timedelta(seconds=_longest_s(job))
        case Stage.STORING:
            return (job.storing_started_at or job.created_at) + timedelta(seconds=config.storing_timeout_s)
        case Stage.STARTING if job.lease is not None:
            return job.lease.until
        case _:
            return job.created_at + timedelta(seconds=config.queue_timeout_s)


def claimable(job: Job, now: datetime, config: LiveSettings) -> bool:
    """Whether a claim of a queued or storing job would be granted now, or end it.

    Not while somebody holds its lease, and not before the provider's Retry-After has passed, however often the queue
    delivers the task in the meantime.
    """
    if _held(job, now):
        return False
    waits = job.stage is Stage.QUEUED and job.due_at is not None and job.due_at > now
    return not waits or now >= deadline(job, config)


def movable(job: Job) -> bool:
    """Whether all attempts were rejected: otherwise the operation name of an earlier one could still arrive, and would
    be polled at the job's new provider."""
    return job.attempt == (1 if job.stage is Stage.STARTING else 0)


def searched_until(job: Job, config: LiveSettings) -> datetime:
    """When a job past its deadline stops waiting for a bucket that doesn't respond."""
    return deadline(job, config) + timedelta(seconds=config.storing_timeout_s)


def watched_until(job: Job) -> datetime:
    """Until when an ended attempt without an operation name may still produce files."""
    return _began(job) + timedelta(seconds=TIDY_FOR_S)


# --- submitting ---


def submit(
    submission: Submission, account: Account, now: datetime, config: LiveSettings, budget: TenantBudget | None = None
) -> Change:
    """Charge the account and create the job: queued or, if over the limit and allowed to, waiting.

    `budget` is needed if the tenant has a daily cap, with the credits already allotted to its shard. Raises what
    admission.refuse returns; nothing is charged then.
    """
    refusal = admission.refuse(submission, account, now, config, budget)
    if refusal is not None:
        raise refusal
    waits = len(account.active_jobs) >= plan_of(config, account.plan).active_jobs_limit
    stage = Stage.WAITING if waits else Stage.QUEUED
    due_at = now + timedelta(seconds=schedule.WAITING_STEP_S) if waits else now
    day = tenant_days.day_of(now)
    job = Job(
        id=submission.job_id,
        tenant=account.tenant,
        account=account.id,
        request=submission.request,
        provider=submission.provider,
        failover=submission.failover,
        fingerprint=submission.fingerprint,
        status=STATUS_OF[stage],
        stage=stage,
        task=_task_ref(submission.job_id, 0, stage, submission.request.model),
        due_at=due_at,
        expected_s=submission.expected_s,
        cost=submission.cost,
        project=submission.project,
        labels=dict(submission.labels),
        warnings=submission.warnings,
        idempotency_key=submission.idempotency_key,
        webhook_url=submission.webhook_url,
        created_at=now,
        updated_at=now,
    )
    account, charge = ledger.post(
        account.changed(
            active_jobs=account.active_jobs if waits else (*account.active_jobs, job.id),
            spending_day=day,
            spent_on_day=account.spent_on(day) + submission.cost,
        ),
        f"{job.id}-charge",
        "charge",
        -submission.cost,
        f"{submission.request.count} x {submission.request.seconds} s with {submission.request.model}",
        now,
        job.id,
    )
    spent = budget.spend(submission.cost) if budget is not None else None
    return Change(job, account, (charge,), _task(job, due_at if waits else None), budget=spent)


# --- the decisions, one per event ---


@dataclass(frozen=True)
class _Case:
    """The input of a decision, and the few changes that a decision can make."""

    job: Job
    account: Account | None
    now: datetime
    config: LiveSettings

    @property
    def overdue(self) -> bool:
        return self.now >= deadline(self.job, self.config)

    def holds(self, holder: str | None) -> bool:
        return self.job.lease is not None and self.job.lease.holder == holder

    def write(self, **changes: Any) -> Job:
        return self.job.changed(version=self.job.version + 1, updated_at=self.now, **changes)

    def next_step(self, stage: Stage, at: datetime | None, **changes: Any) -> Change:
        """Go to the next step, whose task is due at that time (None: now), but never after the stage's deadline."""
        step = self.job.step + 1
        request: VideoRequest = changes.get("request", self.job.request)
        job = self.write(
            stage=stage,
            status=STATUS_OF[stage],
            step=step,
            task=_task_ref(self.job.id, step, stage, request.model),
            **{"lease": None, **changes},
        )
        if at is not None and stage not in FINAL:
            at = max(self.now, min(at, deadline(job, self.config)))
        job = job.changed(due_at=at or self.now)
        return Change(job, task=_task(job, at))

    def take_lease(self, stage: Stage, holder: str, **changes: Any) -> Change:
        """Give the lease to the holder; nobody else acts until it expires."""
        until = self.now + timedelta(seconds=LEASE_S)
        lease = Lease(holder=holder, until=until)
        job = self.write(stage=stage, status=STATUS_OF[stage], lease=lease, **changes)
        return Change(job.changed(due_at=max(self.now, min(until, deadline(job, self.config)))))

    def fail(self, code: str, reason: str | None, signals: tuple[str, ...] = (), leftovers: bool = True) -> Change:
        refund = self.job.cost if CATALOG[code].refund else 0
        error = JobError(code=code, message=CATALOG[code].message, reason=reason)
        return self.finish(Stage.FAILED, refund, f"{code}: {CATALOG[code].message}", signals, leftovers, error=error)

    def finish(
        self,
        stage: Stage,
        refund: int,
        description: str,
        signals: tuple[str, ...] = (),
        leftovers: bool = True,
        **changes: Any,
    ) -> Change:
        """The only way into a final stage: the job, its slot and its refund in one change.

        `leftovers`: a generation may still be running, or files may be left; a last step then cleans up. Webhooks about
        the end are sent by a step before that.
        """
        assert self.account is not None, f"{stage} without the account"
        account = self.account.changed(active_jobs=tuple(id_ for id_ in self.account.active_jobs if id_ != self.job.id))
        entries: tuple[Transaction, ...] = ()
        if refund:
            account, entry = ledger.post(
                account, f"{self.job.id}-refund", "refund", refund, description, self.now, self.job.id
            )
            entries = (entry,)
        images = bool(self.job.request.inputs) and stage is not Stage.COMPLETED
        to_tidy = (leftovers and self.job.attempt > 0) or images
        to_announce = self.job.webhook_url is not None or bool(account.webhook_endpoints)
        flags = {"to_tidy": to_tidy, "to_announce": to_announce}
        ended = {"refunded": refund, "completed_at": self.now, **flags, **changes}
        if not to_tidy and not to_announce:
            job = self.write(stage=stage, status=STATUS_OF[stage], lease=None, due_at=None, **ended)
            return Change(job, account, entries, signals=signals)
        tidy = self.next_step(stage, None, **ended)
        return Change(tidy.job, account, entries, tidy.task, signals)


def _slot_requested(case: _Case, _: SlotRequested) -> Change | None:
    assert case.account is not None, "entering without the account"
    if case.overdue:
        return case.fail("QUEUE_TIMEOUT", None)
    if len(case.account.active_jobs) >= plan_of(case.config, case.account.plan).active_jobs_limit:
        return case.next_step(Stage.WAITING, case.now + timedelta(seconds=schedule.WAITING_STEP_S))
    change = case.next_step(Stage.QUEUED, None)
    account = case.account.changed(active_jobs=(*case.account.active_jobs, case.job.id))
    return Change(change.job, account, task=change.task)


def _claim(case: _Case, event: LeaseRequested) -> Change | None:
    job = case.job
    if not claimable(job, case.now, case.config):
        return None
    if job.stage is Stage.STORING:
        if case.overdue and job.last_tries >= LAST_TRIES:
            return case.fail("STORING_FAILED", "the time for storing is over, and no delivery survived its last try")
        return case.take_lease(Stage.STORING, event.holder, last_tries=job.last_tries + int(case.overdue))
    if case.overdue:
        return case.fail("QUEUE_TIMEOUT", None)
    return case.take_lease(Stage.STARTING, event.holder, attempt=job.attempt + 1, attempt_started_at=case.now)


def _renew(case: _Case, event: LeaseRenewed) -> Change | None:
    return case.take_lease(Stage.STORING, event.holder) if case.holds(event.holder) else None


def _accepted(case: _Case, event: Accepted) -> Change | None:
    job = case.job
    # Attempts count from 1: a job that was never claimed has 0, and nothing was started for it.
    if event.attempt == 0 or job.attempt != event.attempt or job.operation is not None:
        return None
    if job.final:
        erasure = "requested" if job.erasure else None
        return case.next_step(job.stage, None, operation=event.operation, to_tidy=True, erasure=erasure)
    first_poll = schedule.next_look(case.now, job.expected_s, case.now, case.config.polling == "rarely")
    return case.next_step(Stage.GENERATING, first_poll, operation=event.operation, started_at=case.now)


def _deferred(case: _Case, event: Deferred) -> Change | None:
    """Queue again, with a task that is due after the wait: an earlier one would take up a start's place in a paced
    queue."""
    if not case.holds(event.holder):
        return None
    again = case.now + timedelta(seconds=event.retry_after_s)
    return case.next_step(Stage.QUEUED, again, attempt=case.job.attempt - 1, attempt_started_at=None)


def _switched(case: _Case, event: Switched) -> Change | None:
    """Nothing had started: the attempt doesn't count, and the next one comes from the other model's queue."""
    job, claimed = case.job, case.job.stage is Stage.STARTING
    if not movable(job) or (claimed and not case.holds(event.holder)):
        return None
    return case.next_step(
        Stage.QUEUED,
        None,
        provider=event.provider,
        request=event.request,
        expected_s=event.expected_s,
        price=min(job.cost, pricing.cost(event.request, case.config)),
        rejected_by=(*job.rejected_by, offer(job.provider, job.request.model)),
        warnings=(*job.warnings, event.warning),
        attempt=job.attempt - int(claimed),
        attempt_started_at=None if claimed else job.attempt_started_at,
    )


def _start_rejected(case: _Case, event: StartRejected) -> Change | None:
    if case.job.stage is Stage.STARTING and not case.holds(event.holder):
        return None
    return case.fail(event.code, event.reason, leftovers=_abandoned_one(case.job))


def _start_unknown(case: _Case, event: StartUnknown) -> Change | None:
    lease = case.job.lease
    if lease is not None and lease.holder != event.holder and lease.until > case.now:
        return None
    at = case.now + timedelta(seconds=schedule.UNCERTAIN_STEP_S)
    return _with_signals(case.next_step(Stage.UNCERTAIN, at), "uncertain_start")


def _not_found_yet(case: _Case, _: NotFoundYet) -> Change | None:
    if not case.overdue:
        return case.next_step(Stage.UNCERTAIN, case.now + timedelta(seconds=schedule.UNCERTAIN_STEP_S))
    if case.config.uncertain_policy == "restart_once" and case.job.attempt == 1:
        return _with_signals(case.next_step(Stage.QUEUED, None), "abandoned_generation")
    return case.fail("START_UNCERTAIN", None, ("abandoned_generation",))


def _still_running(case: _Case, _: StillRunning) -> Change | None:
    if case.overdue:
        return case.fail("GENERATION_TIMEOUT", None)
    job = case.job
    # A poll before the job is due was prompted by an event, which may be slightly ahead of the provider's own status.
    prompted_by_event = job.due_at is not None and case.now < job.due_at
    rarely = case.config.polling == "rarely" and not prompted_by_event
    started_at = job.started_at or _began(job)
    return case.next_step(Stage.GENERATING, schedule.next_look(started_at, job.expected_s, case.now, rarely))


def _generation_finished(case: _Case, event: GenerationFinished) -> Change | None:
    count = case.job.request.count
    if not event.uris and event.filtered:
        return case.fail("SAFETY_BLOCKED", event.reason, leftovers=_abandoned_one(case.job))
    if not event.uris:
        reason = event.reason or "the generation ended without a video"
        return case.fail("PROVIDER_ERROR", reason, leftovers=_abandoned_one(case.job))
    adopted = ("adopted",) if event.found else ()
    until = case.now + timedelta(seconds=LEASE_S)
    # No task yet: the delivery that learned this stores the video. If it crashes, its redelivery creates the task.
    change = case.next_step(
        Stage.STORING,
        until,
        lease=Lease(holder=event.holder, until=until),
        outputs=tuple(Output(uri=uri) for uri in event.uris[:count]),
        filtered=count - len(event.uris[:count]),
        filter_reason=event.reason,
        storing_started_at=case.now,
        started_at=case.job.started_at or case.now,
    )
    return Change(change.job, signals=adopted)


def _generation_failed(case: _Case, event: GenerationFailed) -> Change | None:
    return case.fail(event.code, event.reason, leftovers=_abandoned_one(case.job))


def _stored(case: _Case, event: Stored) -> Change | None:
    if not case.holds(event.holder):
        return None
    job = case.job
    return case.finish(
        Stage.COMPLETED,
        pricing.refund_at_end(job),
        _why_refunded(job),
        leftovers=job.attempt > 1,
        outputs=event.outputs,
        expires_at=case.now + timedelta(days=case.config.retention_days),
    )


def _why_refunded(job: Job) -> str:
    if job.filtered:
        return f"{job.filtered} of {job.request.count} videos were kept back by the safety filter"
    return f"{job.request.model} made the video for less"


def _storing_failed(case: _Case, event: StoringFailed) -> Change | None:
    if not case.holds(event.holder):
        return None
    if event.permanent or case.overdue:
        return case.fail(event.code, event.reason)
    tries = case.job.storing_tries + 1
    wait = schedule.backoff(schedule.STORING_FIRST_STEP_S, schedule.STORING_LONGEST_STEP_S, tries)
    return case.next_step(Stage.STORING, case.now + wait, storing_tries=tries)


def _cancel(case: _Case, event: CancelRequested) -> Change | None:
    """Raises ApiError REFUND_CHANGED if less would be refunded than the user was shown."""
    assert case.account is not None, "canceling without the account"
    terms = cancellation.terms(case.job, case.account, case.now, case.config)
    if terms.refund < event.min_refund:
        raise ApiError(
            "REFUND_CHANGED",
            f"Canceling would refund {terms.refund} credits now, not {event.min_refund}.",
            {"cancel_returns": terms.refund, "min_refund": event.min_refund, "reason": terms.reason},
        )
    if terms.at_our_cost:
        day = tenant_days.day_of(case.now)
        starts = case.account.refunded_starts_on(day) + 1
        case = replace(case, account=case.account.changed(refunded_starts_day=day, refunded_starts=starts))
    return case.finish(Stage.CANCELED, terms.refund, "Canceled")


def _operation_reported(case: _Case, event: OperationReported) -> Change | None:
    if case.job.operation is not None or case.job.hinted_operation is not None:
        return None
    return Change(case.write(hinted_operation=event.operation))


def _repeated(case: _Case, event: Repeated) -> Change | None:
    if case.job.repeats_taken >= event.count or case.job.deleted_at is not None:
        return None
    return Change(case.write(repeats_taken=event.count))


def _task_lost(case: _Case, event: TaskLost) -> Change | None:
    job = case.job
    late_at = case.now - timedelta(seconds=SWEEP_AFTER_S)
    held = job.lease is not None and job.lease.until > case.now
    if job.step != event.step or job.due_at is None or job.due_at > late_at or held:
        return None
    # An expired lease stays: the next delivery must see that an attempt was in progress.
    return _with_signals(case.next_step(job.stage, None, lease=job.lease), "swept")


def _overdue(case: _Case, event: Overdue) -> Change | None:
    if not case.overdue:
        return None
    match case.job.stage:
        case Stage.STARTING:
            return _start_unknown(case, StartUnknown(event.step, ""))
        case Stage.UNCERTAIN:
            return _not_found_yet(case, NotFoundYet(event.step))
        case _:
            return case.fail("QUEUE_TIMEOUT", None)


def _delete(case: _Case, _: DeleteRequested) -> Change | None:
    """Leave a tombstone, which the ledger refers to and which recognizes a repeated Idempotency-Key."""
    if case.job.deleted_at is not None:
        return None
    return case.next_step(case.job.stage, None, **_without_content(case.job), deleted_at=case.now, to_tidy=True)


def _erasure_requested(case: _Case, _: ErasureRequested) -> Change | None:
    """Delete the job if it isn't yet, and its fingerprint: requests of a closed account are never repeated."""
    job = case.job
    if job.erasure is not None:
        return None
    erased = {**_without_content(job), "fingerprint": "", "erasure": "requested"}
    if job.deleted_at is None:
        return case.next_step(job.stage, None, **erased, deleted_at=case.now, to_tidy=True)
    if job.to_tidy:
        return Change(case.write(**erased))
    return Change(case.write(**erased | {**_WITHOUT_OPERATION, "erasure": "done"}))


def _without_content(job: Job) -> dict[str, Any]:
    """The changes that remove what the user sent and got. What the cleanup needs stays until it is done."""
    kept = {"prompt": "", "negative_prompt": None, "seed": None, "extends": None}
    return {
        "request": job.request.model_copy(update=kept),
        "outputs": (),
        "labels": {},
        "project": None,
        "warnings": (),
        "error": None,
        "filter_reason": None,
        "webhook_url": None,
        "idempotency_key": None,
        "last_viewed_at": None,
        "expires_at": None,
    }


_WITHOUT_OPERATION: Mapping[str, Any] = {"operation": None, "hinted_operation": None}


def _viewed(case: _Case, _: Viewed) -> Change | None:
    job = case.job
    if job.expires_at is None or (job.last_viewed_at or job.created_at) + VIEWS_NOTED_EVERY > case.now:
        return None
    kept_until = max(job.expires_at, case.now + timedelta(days=case.config.retention_days))
    return Change(case.write(last_viewed_at=case.now, expires_at=kept_until))


def _retention_elapsed(case: _Case, _: RetentionElapsed) -> Change | None:
    job = case.job
    if job.expires_at is None or job.expires_at > case.now:
        return None
    return case.next_step(job.stage, None, outputs=(), expires_at=None, to_tidy=True)


def _announced(case: _Case, _: Announced) -> Change | None:
    job = case.job
    if not job.to_announce:
        return None
    if job.to_tidy:
        return case.next_step(job.stage, None, to_announce=False)
    return Change(case.write(to_announce=False, due_at=None))


def _late_success(case: _Case, _: LateSuccess) -> Change | None:
    if case.job.late_success:
        return None
    return Change(case.write(late_success=True), signals=("late_success",))


def _cleaned_up(case: _Case, event: CleanedUp) -> Change | None:
    job = case.job
    if job.due_at is None or job.to_announce:
        return None
    kept = job.stage is Stage.COMPLETED and job.outputs
    # The first cleanup removes the images; nobody writes them again.
    request = job.request if kept else job.request.model_copy(update={"inputs": ()})
    if (event.again or _may_still_write(case)) and case.now < _began(job) + timedelta(seconds=TIDY_FOR_S):
        since_end_s = (case.now - (job.completed_at or case.now)).total_seconds()
        wait_s = min(max(since_end_s, schedule.TIDY_FIRST_STEP_S), schedule.TIDY_LONGEST_STEP_S)
        return case.next_step(job.stage, case.now + timedelta(seconds=wait_s), request=request)
    forgotten = _WITHOUT_OPERATION if job.deleted_at is not None else {}
    return Change(
        case.write(
            due_at=None,
            to_tidy=False,
            files_removed_at=None if kept else case.now,
            request=request,
            erasure="done" if job.erasure else None,
            **forgotten,
        )
    )


def _may_still_write(case: _Case) -> bool:
    """Whether a delivery that was storing when the job ended may still be running, up to its function's timeout.

    That includes one whose lease was taken over by the delivery that completed the job: if the video has been deleted
    since, what the first one still writes must be removed too.
    """
    job = case.job
    kept = job.stage is Stage.COMPLETED and job.outputs
    if kept or job.storing_started_at is None or job.completed_at is None:
        return False
    return case.now < job.completed_at + timedelta(seconds=FUNCTION_TIMEOUT_S)


_DECISIONS: Mapping[type[Event], Callable[[_Case, Any], Change | None]] = {
    SlotRequested: _slot_requested,
    LeaseRequested: _claim,
    LeaseRenewed: _renew,
    Accepted: _accepted,
    Deferred: _deferred,
    Switched: _switched,
    StartRejected: _start_rejected,
    StartUnknown: _start_unknown,
    NotFoundYet: _not_found_yet,
    StillRunning: _still_running,
    GenerationFinished: _generation_finished,
    GenerationFailed: _generation_failed,
    Stored: _stored,
    StoringFailed: _storing_failed,
    CancelRequested: _cancel,
    OperationReported: _operation_reported,
    Repeated: _repeated,
    TaskLost: _task_lost,
    Overdue: _overdue,
    DeleteRequested: _delete,
    ErasureRequested: _erasure_requested,
    Viewed: _viewed,
    RetentionElapsed: _retention_elapsed,
    Announced: _announced,
    LateSuccess: _late_success,
    CleanedUp: _cleaned_up,
}


# --- facts about a job ---


def current_task(job: Job) -> Task:
    """The task of the job's current step, due when the job is."""
    return _task(job, job.due_at)


def _task(job: Job, at: datetime | None) -> Task:
    return Task(job.task, at, {"job": job.id, "step": job.step})


def with_task_name(job: Job) -> Job:
    """The job to commit, with the end of its change_id in the name of a new step's task.

    A restored database repeats steps, and Cloud Tasks blocks the names of the lost ones for up to a day. So each name
    belongs to one decision: if it already exists, that same decision's task was created before.
    """
    bare = _task_name(job.id, job.step)
    if job.task.name != bare:
        return job
    return job.changed(task=job.task.model_copy(update={"name": f"{bare}-{job.change_id[-TASK_SUFFIX_CHARS:]}"}))


def _task_ref(job_id: str, step: int, stage: Stage, model: str) -> TaskRef:
    queue = MODELS[model].queue if stage is Stage.QUEUED and model in MODELS else POLL_QUEUE
    return TaskRef(name=_task_name(job_id, step), queue=queue)


def _task_name(job_id: str, step: int) -> str:
    # The random part comes first: sequential names slow a queue down.
    return f"{job_id.removeprefix('video_')}-{step}"


def _began(job: Job) -> datetime:
    return job.attempt_started_at or job.created_at


def _longest_s(job: Job) -> float:
    model = MODELS.get(job.request.model)
    return model.longest_s if model else DEFAULT_LONGEST_S


def _held(job: Job, now: datetime) -> bool:
    return job.lease is not None and job.lease.until > now


def _abandoned_one(job: Job) -> bool:
    """Whether an earlier attempt was abandoned after it had started, which may still write files."""
    return job.attempt > (0 if job.stage is Stage.QUEUED else 1)


def _with_signals(change: Change, *signals: str) -> Change:
    return replace(change, signals=(*change.signals, *signals))
