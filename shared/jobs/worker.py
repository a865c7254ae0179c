"""One delivery of a job's task: do the next action for the job's stage, and apply the result as an event.

All effects are here or in the gateways; all decisions are in lifecycle.py. A delivery may come twice, late or out of
order, or crash at any line: the next one continues from what is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from shared.core import events, lifecycle
from shared.core.catalog import MODELS
from shared.core.documents import Job, Stage
from shared.core.errors import StorageRefused, Unavailable
from shared.core.live_config import expected_duration_s
from shared.core.task_result import TaskResult as TaskResult
from shared.jobs import failover, retired_models, storing
from shared.jobs.queries import offered
from shared.jobs.transitions import JobMissing, Outcome, TaskNotCreated, apply
from shared.platform import log
from shared.platform.ports import Services
from shared.platform.provider import Create, Failed, Finished, Rejected, Running, Throttled
from shared.webhooks import deliveries

BUSY_WAIT_S = 30.0
# The name of an accepted generation is worth money: its commit is retried as long as the function may run. Any other
# outcome of a create is only certain as long as its lease lives.
KEEP_NAME_FOR_S = 600.0
KEEP_OUTCOME_FOR_S = 60.0
KEEP_EVERY_S = 5.0


async def deliver(services: Services, job_id: str, step: int) -> TaskResult:
    """Handle one delivery of the task {job, step}; returns the result for the queue."""
    try:
        return await _deliver(services, job_id, step)
    except Unavailable as error:
        # Not 503, which would slow down all other jobs in the queue.
        log.warning("delivery_unavailable", job=job_id, step=step, error=str(error))
        return TaskResult.RETRY


async def _deliver(services: Services, job_id: str, step: int) -> TaskResult:
    job = await services.firestore.get(Job, job_id)
    if job is None or job.step < step:
        log.error("unknown_step", job=job_id, step=step)
        return TaskResult.ACK
    if job.due_at is None:
        return TaskResult.ACK
    if job.step > step:
        if job.step == step + 1:
            # We may have crashed between committing that step and creating its task.
            await services.tasks.create(lifecycle.current_task(job))
        return TaskResult.ACK
    try:
        return await _action(job)(services, job)
    except JobMissing:
        return TaskResult.ACK


async def _enter(services: Services, job: Job) -> TaskResult:
    await apply(services, job.id, events.SlotRequested(job.step), job)
    return TaskResult.ACK


async def _start(services: Services, job: Job) -> TaskResult:
    """Prepare, claim, create: nothing slow happens between the claim and the create."""
    now, config = services.clock(), await services.live_settings.get()
    if not lifecycle.claimable(job, now, config):
        return TaskResult.RETRY
    if now >= lifecycle.deadline(job, config):
        await apply(services, job.id, events.LeaseRequested(job.step, services.ids()), job)
        return TaskResult.ACK
    try:
        async with asyncio.timeout(lifecycle.PREPARE_TIMEOUT_S):
            start = await services.providers.of(job.provider).prepare(job)
    except Rejected as refusal:
        switched = await _switched(services, job, None, refusal.code, refusal.reason)
        refused = events.StartRejected(job.step, None, refusal.code, refusal.reason)
        await apply(services, job.id, switched or refused, job)
        return TaskResult.ACK
    except Throttled as busy:
        log.info("provider_busy", job=job.id, model=job.request.model, reason=busy.reason)
        switched = await _switched(services, job, None, failover.BUSY, busy.reason)
        if switched is None:
            return TaskResult.RETRY
        await apply(services, job.id, switched, job)
        return TaskResult.ACK
    except Exception as error:  # noqa: BLE001 - nothing was started, so any failure can be retried
        log.error("create_not_prepared", job=job.id, model=job.request.model, error=repr(error))
        return TaskResult.RETRY
    return await _claim_and_create(services, job, start)


async def _claim_and_create(services: Services, job: Job, start: Create) -> TaskResult:
    holder = services.ids()
    job = (await apply(services, job.id, events.LeaseRequested(job.step, holder), job)).job
    if job.final:
        return TaskResult.ACK
    if job.stage is not Stage.STARTING or job.lease is None or job.lease.holder != holder:
        return TaskResult.RETRY
    if job.lease.until - services.clock() < timedelta(seconds=lifecycle.CREATE_TIMEOUT_S):
        # Too much time since the claim: we must not be creating when the lease ends and the next delivery takes over.
        await apply(services, job.id, events.Deferred(job.step, holder, 0.0))
        return TaskResult.RETRY
    try:
        async with asyncio.timeout(lifecycle.CREATE_TIMEOUT_S):
            operation = await start(job, job.prefix)
    except Rejected as refusal:
        switched = await _switched(services, job, holder, refusal.code, refusal.reason)
        refused = events.StartRejected(job.step, holder, refusal.code, refusal.reason)
        await _keep_outcome(services, job, switched or refused)
        if refusal.code == failover.RETIRED:
            await retired_models.note(services, job.provider, job.request.model, refusal.reason)
        return TaskResult.ACK
    except Throttled as busy:
        log.info("provider_busy", job=job.id, model=job.request.model, reason=busy.reason)
        switched = await _switched(services, job, holder, failover.BUSY, busy.reason)
        wait_s = busy.retry_after_s if busy.retry_after_s is not None else BUSY_WAIT_S
        await _keep_outcome(services, job, switched or events.Deferred(job.step, holder, wait_s))
        return TaskResult.THROTTLE
    except Exception as error:  # noqa: BLE001 - after any of these the provider may have accepted
        log.exception("start_outcome_unknown", job=job.id, attempt=job.attempt, error=repr(error))
        await _keep_outcome(services, job, events.StartUnknown(job.step, holder))
        return TaskResult.ACK
    await _keep_name(services, job, operation)
    return TaskResult.ACK


async def _switched(
    services: Services, job: Job, holder: str | None, rejection: str, reason: str
) -> events.Switched | None:
    """The event that moves a job whose start was rejected to another provider or model; None if there is none."""
    config = await services.live_settings.get()
    found = failover.alternative(job, rejection, offered(services, config), config)
    if found is None:
        return None
    model = MODELS[found.request.model]
    log.warning(
        "start_moved",
        job=job.id,
        rejection=rejection,
        reason=reason,
        from_provider=job.provider,
        from_model=job.request.model,
        provider=found.provider,
        model=model.id,
    )
    expected_s = expected_duration_s(found.request, model, config)
    return events.Switched(job.step, holder, found.provider, found.request, expected_s, found.warning)


async def _keep_name(services: Services, job: Job, operation: str) -> None:
    """Commit the operation's name, retrying on any error; when that gives up, the attempt has to be searched for."""

    def not_kept(error: Exception) -> None:
        log.error("operation_not_kept", job=job.id, attempt=job.attempt, operation=operation, error=repr(error))

    try:
        outcome = await _keep(services, job, events.Accepted(job.attempt, operation), KEEP_NAME_FOR_S, not_kept)
    except (TaskNotCreated, JobMissing):
        raise
    except Exception:
        if job.lease is not None:
            await apply(services, job.id, events.StartUnknown(job.step, job.lease.holder))
        raise
    if outcome.job.operation != operation:
        log.error("generation_orphaned", job=job.id, attempt=job.attempt, operation=operation)


async def _keep_outcome(services: Services, job: Job, event: events.StepEvent) -> None:
    """Commit that nothing started, or that the outcome is unknown; if that gives up, an expired lease means unknown."""

    def not_kept(error: Exception) -> None:
        outcome = type(event).__name__
        log.error("create_outcome_not_kept", job=job.id, attempt=job.attempt, outcome=outcome, error=repr(error))

    await _keep(services, job, event, KEEP_OUTCOME_FOR_S, not_kept)


async def _keep(
    services: Services, job: Job, event: events.Event, for_s: float, not_kept: Callable[[Exception], None]
) -> Outcome:
    """Commit the event, retrying for `for_s` seconds; raises the last error.

    It retries after any error, not just timeouts: a permission being edited comes back, and a rejected argument may.
    """
    until = services.clock() + timedelta(seconds=for_s)
    while True:
        try:
            return await apply(services, job.id, event, job)
        except (TaskNotCreated, JobMissing):
            raise
        except Exception as error:
            not_kept(error)
            if services.clock() >= until:
                raise
            await services.sleep(KEEP_EVERY_S)


async def _await_start(services: Services, job: Job) -> TaskResult:
    """Another delivery is creating, or crashed while creating."""
    if _leased(services, job):
        return TaskResult.RETRY
    await apply(services, job.id, events.StartUnknown(job.step, services.ids()), job)
    return TaskResult.ACK


async def _find(services: Services, job: Job) -> TaskResult:
    """Look for the outcome of an uncertain attempt: a provider's event, or files under its prefix."""
    if job.hinted_operation is not None:
        await apply(services, job.id, events.Accepted(job.attempt, job.hinted_operation), job)
        return TaskResult.ACK
    result = await _adopt(services, job)
    if result is not None:
        return result
    await apply(services, job.id, events.NotFoundYet(job.step), job)
    return TaskResult.ACK


async def _poll(services: Services, job: Job) -> TaskResult:
    assert job.operation is not None, f"{job.id} generates without an operation"
    try:
        result = await services.providers.of(job.provider).poll(job.operation)
    except Exception as error:  # noqa: BLE001 - a failed poll says nothing about the generation
        log.warning("look_failed", job=job.id, operation=job.operation, error=repr(error))
        return await _without_answer(services, job)
    match result:
        case Running():
            return await _still_running(services, job)
        case Failed(code, reason):
            await apply(services, job.id, events.GenerationFailed(job.step, code, reason), job)
        case Finished(uris, filtered, reason):
            await _finish(services, job, events.GenerationFinished(job.step, services.ids(), uris, filtered, reason))
    return TaskResult.ACK


async def _without_answer(services: Services, job: Job) -> TaskResult:
    """Handle a failed poll, which may fail forever: a model may be retired along with its endpoint."""
    result = await _adopt(services, job)
    if result is not None:
        return result
    if services.clock() < lifecycle.deadline(job, await services.live_settings.get()):
        return TaskResult.RETRY
    await apply(services, job.id, events.StillRunning(job.step), job)
    return TaskResult.ACK


async def _still_running(services: Services, job: Job) -> TaskResult:
    if services.clock() >= lifecycle.deadline(job, await services.live_settings.get()):
        result = await _adopt(services, job)
        if result is not None:
            return result
    await apply(services, job.id, events.StillRunning(job.step), job)
    return TaskResult.ACK


async def _adopt(services: Services, job: Job) -> TaskResult | None:
    """Store the files under the attempt's prefix: all that were requested or, after the deadline, any.

    None if there are none to store. A paid video isn't given up because the bucket doesn't respond: the search is
    retried, past the deadline for as long as storing may take.
    """
    config = await services.live_settings.get()
    over = services.clock() >= lifecycle.deadline(job, config)
    try:
        found = [item for item in await services.objects.list(job.prefix) if item.name.endswith(".mp4")]
    except Exception as error:  # noqa: BLE001 - after any failure nothing is known about the files
        if isinstance(error, StorageRefused):
            log.error("storage_refused", job=job.id, account=job.account, error=str(error))
        else:
            log.warning("bucket_not_searched", job=job.id, attempt=job.attempt, error=repr(error))
        return TaskResult.RETRY if services.clock() < lifecycle.searched_until(job, config) else None
    if len(found) < job.request.count and not (found and over):
        return None
    uris = tuple(f"gs://{services.objects.bucket}/{item.name}" for item in found)
    await _finish(services, job, events.GenerationFinished(job.step, services.ids(), uris, found=True))
    return TaskResult.ACK


async def _finish(services: Services, job: Job, event: events.GenerationFinished) -> None:
    """The provider is done; the delivery that learns it first also stores the videos."""
    outcome = await apply(services, job.id, event, job)
    if outcome.change is not None and outcome.job.stage is Stage.STORING:
        await storing.store(services, outcome.job, event.holder)


async def _resume_storing(services: Services, job: Job) -> TaskResult:
    if _leased(services, job):
        return TaskResult.RETRY
    holder = services.ids()
    outcome = await apply(services, job.id, events.LeaseRequested(job.step, holder), job)
    if outcome.change is None:
        return TaskResult.RETRY
    if outcome.job.stage is Stage.STORING:
        await storing.store(services, outcome.job, holder)
    return TaskResult.ACK


async def _announce(services: Services, job: Job) -> TaskResult:
    """Enqueue the webhook messages about the job's end."""
    await deliveries.announce(services, job)
    await apply(services, job.id, events.Announced(job.step), job)
    return TaskResult.ACK


async def _clean_up(services: Services, job: Job) -> TaskResult:
    """Stop and remove what a job without a video left behind: a generation still running, files nobody will get."""
    again = late_success = False
    if job.stage is not Stage.COMPLETED and job.attempt > 0:
        again, late_success = await _late_generation(services, job)
    if late_success:
        # Before deleting the files: a later delivery wouldn't see them any more.
        job = (await apply(services, job.id, events.LateSuccess(), job)).job
    await services.objects.delete(job.files_prefix)
    await services.objects.delete(job.posters_prefix)
    if job.inputs_prefix is not None:
        await services.objects.delete(job.inputs_prefix)
    await apply(services, job.id, events.CleanedUp(job.step, again), job)
    return TaskResult.ACK


async def _clean_up_earlier_attempts(services: Services, job: Job) -> TaskResult:
    """The video is from the last attempt; remove what abandoned ones wrote, or still write."""
    for attempt in range(1, job.attempt):
        await services.objects.delete(f"{job.files_prefix}{attempt}/")
    again = services.clock() < lifecycle.watched_until(job)
    await apply(services, job.id, events.CleanedUp(job.step, again), job)
    return TaskResult.ACK


async def _late_generation(services: Services, job: Job) -> tuple[bool, bool]:
    """Whether the abandoned generation is still running, and whether it succeeded after the job had failed."""
    given_up = job.error is not None and job.error.code in ("GENERATION_TIMEOUT", "START_UNCERTAIN")
    operation = job.operation or job.hinted_operation
    if operation is None:
        # Only files can show it: under the attempt's prefix, and no later than the longest generation takes.
        found = await services.objects.list(job.files_prefix)
        return services.clock() < lifecycle.watched_until(job), given_up and bool(found)
    try:
        provider = services.providers.of(job.provider)
        await provider.cancel(operation)
        result = await provider.poll(operation)
    except Exception as error:  # noqa: BLE001 - best effort; it is retried for a day
        log.warning("late_generation_not_seen", job=job.id, operation=operation, error=repr(error))
        return True, False
    if isinstance(result, Running):
        return True, False
    return False, given_up and isinstance(result, Finished) and bool(result.uris)


def _leased(services: Services, job: Job) -> bool:
    return job.lease is not None and job.lease.until > services.clock()


_ACTIONS: dict[Stage, Callable[[Services, Job], Awaitable[TaskResult]]] = {
    Stage.WAITING: _enter,
    Stage.QUEUED: _start,
    Stage.STARTING: _await_start,
    Stage.UNCERTAIN: _find,
    Stage.GENERATING: _poll,
    Stage.STORING: _resume_storing,
}


def _action(job: Job) -> Callable[[Services, Job], Awaitable[TaskResult]]:
    """The action for a delivery of the job's current step. An ended job is announced first, then cleaned up."""
    if job.final and job.to_announce:
        return _announce
    if job.stage is Stage.COMPLETED and job.outputs:
        return _clean_up_earlier_attempts
    return _ACTIONS.get(job.stage, _clean_up)
