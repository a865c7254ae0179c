"""Weekly report on the jobs of the last seven days, for the people who run the installation.

Counted from the jobs themselves, so that missing logs don't matter. It only writes the log entry `digest`; an alert
policy emails it.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.core.documents import Job, Status
from shared.platform import log, passes
from shared.platform.ports import Services

DAYS = 7
TOP_ACCOUNTS = 5


class Week:
    """Totals over ended jobs. Memory is bounded except for the list of generation times."""

    def __init__(self) -> None:
        self._statuses: Counter[Status] = Counter()
        self._failures: Counter[str] = Counter()
        self._credits: Counter[str] = Counter()
        self._refunded = 0
        self._generation_s: list[float] = []

    def add(self, job: Job) -> None:
        self._statuses[job.status] += 1
        if job.status is Status.FAILED:
            # Deleting a job also deletes its error.
            self._failures[job.error.code if job.error else "deleted"] += 1
        self._credits[job.account] += job.cost
        self._refunded += job.refunded
        if job.status is Status.COMPLETED and job.generation_s is not None:
            self._generation_s.append(job.generation_s)

    def figures(self) -> dict[str, Any]:
        """Jobs by outcome, credits, generation times in seconds, and the ids of the accounts that spent most.

        Figures that need at least one job are None without any.
        """
        completed, failed = self._statuses[Status.COMPLETED], self._statuses[Status.FAILED]
        return {
            "completed": completed,
            "failed": failed,
            "canceled": self._statuses[Status.CANCELED],
            "success_percent": round(100 * completed / (completed + failed), 1) if completed + failed else None,
            "generation_p50_s": _percentile(self._generation_s, 50),
            "generation_p95_s": _percentile(self._generation_s, 95),
            "credits_charged": self._credits.total(),
            "credits_refunded": self._refunded,
            "accounts": len(self._credits),
            "top_accounts": dict(self._credits.most_common(TOP_ACCOUNTS)),
            "failures": dict(self._failures.most_common()),
        }


async def report_last_week(services: Services) -> dict[str, Any]:
    """Log and return the figures of the last seven full days (UTC); repeated calls on one day give the same figures.

    Raises Unavailable; the scheduler then retries.
    """
    until = services.clock().replace(hour=0, minute=0, second=0, microsecond=0)
    since = until - timedelta(days=DAYS)
    week = await _week(services, since, until)
    figures = {"week": f"{since:%Y-%m-%d} to {until - timedelta(days=1):%Y-%m-%d}", **week.figures()}
    log.info("digest", **figures)
    return figures


async def _week(services: Services, since: datetime, until: datetime) -> Week:
    week = Week()
    async for page in passes.ended_jobs(services, since, until):
        for job in page:
            week.add(job)
    return week


def _percentile(values: Sequence[float], percent: int) -> float | None:
    """Interpolate between the two nearest values, as charts do; None without values."""
    if not values:
        return None
    if len(values) == 1:
        return round(values[0], 1)
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 1)
