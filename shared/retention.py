"""Daily: videos that nobody has looked at for the time that they are kept lose their files, and are marked expired."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shared import events, inputs, log
from shared.errors import Unavailable
from shared.jobs import JobMissing, advance
from shared.models import Job

if TYPE_CHECKING:
    from shared.services import Services

PAGE = 200
AT_ONCE = 16


async def retain(services: Services) -> dict[str, int]:
    """One pass over all jobs whose time is over: how many expired, and how many could not be changed.

    And over the images that requests left which made no job: how many were removed.
    """
    expired = failed = 0
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(job: Job) -> bool | None:
        async with gate:
            return await _expire(services, job)

    while True:
        page = await services.store.expired_jobs(services.clock(), PAGE)
        results = await asyncio.gather(*(one(job) for job in page))
        changed = sum(result is True for result in results)
        expired += changed
        failed += sum(result is None for result in results)
        # What was expired is not listed again; a page without a change would come back for ever.
        if len(page) < PAGE or changed == 0:
            break
    inputs_swept = await inputs.sweep(services)
    log.info("retained", expired=expired, failed=failed, inputs_swept=inputs_swept)
    return {"expired": expired, "failed": failed, "inputs_swept": inputs_swept}


async def _expire(services: Services, job: Job) -> bool | None:
    """Whether it expired; None when it could not be changed."""
    try:
        outcome = await advance(services, job.id, events.Expire(), job)
    except (Unavailable, JobMissing) as error:
        log.warning("job_not_expired", job=job.id, error=repr(error))
        return None
    return outcome.change is not None
