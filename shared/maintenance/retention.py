"""Daily: videos that nobody has looked at for the time that they are kept lose their files, and are marked expired."""

from __future__ import annotations

from shared.core import events
from shared.core.documents import Job
from shared.core.errors import Unavailable
from shared.jobs import inputs
from shared.jobs.transitions import JobMissing, apply
from shared.platform import log, passes
from shared.platform.ports import Place, Services


async def retain(services: Services) -> dict[str, int]:
    """One pass over jobs whose time is over: how many expired, and how many could not be changed.

    And over the images that requests left which made no job: how many were removed. Raises Unavailable.
    """

    async def read(last: Job | None) -> list[Job]:
        # What could not be changed is left for the next pass, and doesn't keep this one from the jobs behind it.
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
