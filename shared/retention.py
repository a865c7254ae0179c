"""Daily: videos that nobody has looked at for the time that they are kept lose their files, and are marked expired."""

from __future__ import annotations

from shared import events, inputs, log, passes
from shared.errors import Unavailable
from shared.jobs import JobMissing, advance
from shared.models import Job
from shared.ports import Place, Services


async def retain(services: Services) -> dict[str, int]:
    """One pass over jobs whose time is over: how many expired, and how many could not be changed.

    And over the images that requests left which made no job: how many were removed. Raises Unavailable.
    """
    expired = failed = 0
    until = services.clock() + passes.PASS_FOR
    last: Place | None = None
    while page := await services.store.expired_jobs(services.clock(), last, passes.PAGE):
        results = await passes.for_each(page, lambda job: _expire(services, job))
        expired += sum(result is True for result in results)
        failed += sum(result is None for result in results)
        # What could not be changed is left for the next pass, and doesn't keep this one from the jobs behind it.
        last = Place.of(page[-1], "expires_at")
        if services.clock() >= until:
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
