"""Daily: delete the files of videos that nobody viewed during the retention period, and mark the videos expired."""

from __future__ import annotations

from shared.core import events
from shared.core.documents import Job
from shared.core.errors import Unavailable
from shared.jobs import inputs
from shared.jobs.transitions import JobMissing, apply
from shared.platform import log, passes
from shared.platform.ports import Place, Services


async def apply_retention(services: Services) -> dict[str, int]:
    """Run one pass over jobs whose retention has ended, and over stored images of requests that created no job.

    Returns how many jobs expired, how many couldn't be changed, and how many images were removed. Raises Unavailable.
    """

    async def read(last: Job | None) -> list[Job]:
        # Continue after jobs that couldn't be changed; the next pass tries them again.
        place = Place.of(last, "expires_at") if last is not None else None
        return await services.firestore.expired_jobs(services.clock(), place, passes.PAGE)

    pages = passes.Pages(read, passes.time_is_up(services))
    counts = await passes.for_all(pages, lambda job: _expire(services, job))
    swept = {"expired": counts["expired"], "failed": counts["failed"], "inputs_swept": await inputs.sweep(services)}
    log.info("retained", **swept)
    return swept


async def _expire(services: Services, job: Job) -> str | None:
    try:
        outcome = await apply(services, job.id, events.RetentionElapsed(), job)
    except (Unavailable, JobMissing) as error:
        log.warning("job_not_expired", job=job.id, error=repr(error))
        return "failed"
    return "expired" if outcome.change is not None else None
