"""Puts back what fell: jobs that are due, and whose task is gone.

A task that is still there is left alone, however late: a paced queue may well be slower than a job expects.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from shared import events, lifecycle, log
from shared.errors import Unavailable
from shared.jobs import JobMissing, advance
from shared.models import Job, Status

if TYPE_CHECKING:
    from shared.services import Services

PAGE = 200
AT_ONCE = 16


async def sweep(services: Services) -> dict[str, int]:
    """One pass over all jobs that are due by more than a minute: how many were seen, put back, and failed."""
    before = services.clock() - timedelta(seconds=lifecycle.SWEEP_AFTER_S)
    seen = restored = failed = 0
    last: Job | None = None
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(job: Job) -> bool | None:
        async with gate:
            return await _restore(services, job)

    while True:
        page = await services.store.due_jobs(before, last, PAGE)
        if not page:
            break
        results = await asyncio.gather(*(one(job) for job in page))
        seen += len(page)
        restored += sum(result is True for result in results)
        failed += sum(result is None for result in results)
        # Not "shorter than a page": documents that cannot be read are left out.
        last = page[-1]
    log.info("swept_all", seen=seen, restored=restored, failed=failed)
    return {"seen": seen, "restored": restored, "failed": failed}


async def count_unfinished(services: Services) -> dict[str, int]:
    """How many jobs have not ended, by status; logged, since the dashboard has no other way to know."""
    counts = {}
    for status in (Status.QUEUED, Status.IN_PROGRESS):
        counts[str(status)] = await services.store.count_jobs(status)
        log.info("jobs_unfinished", status=status, jobs=counts[str(status)])
    return counts


async def _restore(services: Services, job: Job) -> bool | None:
    """True when the job got a new task, False when it was left alone, None when that could not be found out."""
    try:
        if await services.queue.exists(job.task):
            return False
        outcome = await advance(services, job.id, events.Fallen(job.step), job)
    except (Unavailable, JobMissing) as error:
        log.warning("job_not_swept", job=job.id, error=repr(error))
        return None
    return outcome.change is not None
