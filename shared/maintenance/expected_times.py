"""Daily: estimate how long generations take, from recently completed jobs.

The estimates are stored under `learned` in config/expected_times. Values that an administrator writes to other fields
of that document take precedence and are never changed.
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

# Reads the newest jobs first and stops at 2,000 jobs or a week: older times no longer apply, and each job costs a read.
ENOUGH_JOBS = 2_000
LOOKED_BACK = timedelta(days=7)
WINDOW = timedelta(hours=3)
# The median of fewer samples means little.
LEAST_JOBS = 20


class Learned(Document):
    """The part of config/expected_times that we write: seconds by model, and by model and length."""

    collection: ClassVar[str] = "config"

    # Any type, so that an invalid value written in the console can be replaced.
    learned: Any = None


async def learn(services: Services) -> dict[str, float]:
    """Re-estimate durations per model and length with enough samples; returns the updated ones. Raises Unavailable."""
    found = {
        name: _expected_duration_s(took_s)
        for name, took_s in (await _times(services)).items()
        if len(took_s) >= LEAST_JOBS
    }
    if not found:
        return {}

    async def learned(stored: Learned | None) -> Batch[Learned]:
        # An administrator may write the same document at the same time.
        document = stored or Learned(id="expected_times")
        before = document.learned if isinstance(document.learned, Mapping) else {}
        return Batch(document.changed(learned={**before, **found}))

    await commits.edit(services, Learned, "expected_times", learned)
    log.info("expected_times_learned", times=found)
    return found


async def _times(services: Services) -> dict[str, list[float]]:
    """Durations of the newest generations in seconds, by model, and by model and length."""
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
