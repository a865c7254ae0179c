"""Daily: how long generations usually take, learned from the jobs that were completed lately.

What is learned stands under `learned` in config/expected_times. What an administrator writes beside it, in the same
document, goes before it and is never touched.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from shared.core.documents import MAX_EXPECTED_S, Document, Status
from shared.core.live_config import length_key
from shared.platform import commits, log, passes
from shared.platform.commits import Batch
from shared.platform.ports import Services

# From the newest jobs backwards, until these are many enough or a week is over: what was usual then is not any more,
# and each job is a read.
ENOUGH_JOBS = 2_000
LOOKED_BACK = timedelta(days=7)
WINDOW = timedelta(hours=3)
# The middle of fewer says little.
LEAST_JOBS = 20


class Learned(Document):
    """config/expected_times, as far as it is ours: seconds by model, and by model and length."""

    collection: ClassVar[str] = "config"

    # Anything: what was spoiled in the console is to be replaced.
    learned: Any = None


async def learn(services: Services) -> dict[str, float]:
    """Learn anew of each model and length of which enough was made; answers what. Raises Unavailable."""
    found = {
        name: _expected_duration_s(took_s)
        for name, took_s in (await _times(services)).items()
        if len(took_s) >= LEAST_JOBS
    }
    if not found:
        return {}

    async def learned(stored: Learned | None) -> Batch[Learned]:
        # An administrator may write beside us.
        document = stored or Learned(id="expected_times")
        before = document.learned if isinstance(document.learned, Mapping) else {}
        return Batch(document.changed(learned={**before, **found}))

    await commits.edit(services, Learned, "expected_times", learned)
    log.info("expected_times_learned", times=found)
    return found


async def _times(services: Services) -> dict[str, list[float]]:
    """Seconds from start to end of the newest generations, by model and by model and length."""
    times: dict[str, list[float]] = defaultdict(list)
    now = until = services.clock()
    seen = 0

    def enough() -> bool:
        return seen >= ENOUGH_JOBS

    while not enough() and until > now - LOOKED_BACK:
        since = until - WINDOW
        async for page in passes.ended_jobs(services, since, until, enough):
            seen += len(page)
            for job in page:
                if job.status is Status.COMPLETED and job.generation_s is not None:
                    times[job.request.model].append(job.generation_s)
                    times[length_key(job.request.model, job.request.seconds)].append(job.generation_s)
        until = since
    return times


def _expected_duration_s(took_s: list[float]) -> float:
    return min(max(round(statistics.median(took_s), 1), 0.1), MAX_EXPECTED_S)
