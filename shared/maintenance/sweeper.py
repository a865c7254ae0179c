"""Every minute: end jobs that are past their deadline, and re-enqueue overdue jobs whose task no longer exists.

A job that is only late, because its queue is rate-limited or backed up, is left alone until its deadline. After that it
is ended whether or not its task still exists. Otherwise it would wait in a paused queue forever, with its charge and
its slot, or take a rate-limited start in a backed-up queue from a job that can still finish.
"""

from __future__ import annotations

from shared.core import events, lifecycle
from shared.core.documents import Job, Stage, Status
from shared.core.errors import Unavailable
from shared.jobs.transitions import JobMissing, apply, forget_task
from shared.platform import log, passes
from shared.platform.ports import Services


async def sweep(services: Services) -> dict[str, int]:
    """Run one sweep: how many jobs were seen, re-enqueued, ended, and couldn't be changed. Raises Unavailable."""
    swept = await passes.Sweep(
        services,
        Job,
        restore=lambda job: _restore(services, job),
        end=lambda job: _end(services, job),
        is_overdue=lambda job: _is_overdue(services, job),
    ).run()
    log.info("swept_all", **swept)
    return swept


async def count_unfinished(services: Services) -> dict[str, int]:
    """Return how many jobs have not ended, by status, and log it for the dashboard, which has no other source."""
    counts = {}
    for status in (Status.QUEUED, Status.IN_PROGRESS):
        counts[str(status)] = await services.firestore.count_jobs(status)
        log.info("jobs_unfinished", status=status, jobs=counts[str(status)])
    return counts


async def _is_overdue(services: Services, job: Job) -> bool:
    """Whether the job may be ended now. If it is generating or storing, its own task makes a last attempt."""
    if job.stage not in lifecycle.TRANSITIONS[events.Overdue]:
        return False
    return services.clock() >= lifecycle.deadline(job, await services.live_settings.get())


async def _end(services: Services, job: Job) -> str | None:
    try:
        if job.stage is Stage.UNCERTAIN and await _was_started(services, job):
            return await _restore(services, job)
        outcome = await apply(services, job.id, events.Overdue(job.step), job)
    except (Unavailable, JobMissing) as error:
        log.warning("job_not_swept", job=job.id, error=repr(error))
        return "failed"
    if outcome.change is None:
        return None
    await forget_task(services, outcome)
    return "ended" if outcome.job.final else "restored"


async def _was_started(services: Services, job: Job) -> bool:
    """Whether there is evidence that an uncertain start succeeded; the job's next step then adopts it."""
    if job.hinted_operation is not None:
        return True
    return any(item.name.endswith(".mp4") for item in await services.objects.list(job.prefix))


async def _restore(services: Services, job: Job) -> str | None:
    try:
        if await services.tasks.exists(job.task):
            return None
        outcome = await apply(services, job.id, events.TaskLost(job.step), job)
    except (Unavailable, JobMissing) as error:
        log.warning("job_not_swept", job=job.id, error=repr(error))
        return "failed"
    return "restored" if outcome.change is not None else None
