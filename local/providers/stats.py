"""What was asked of the stand-in, for tests to read."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any

_KEPT = 20_000


class Stats:
    """Counts of events: in all, per prompt and per `labels.job`. The newest 20,000 prompts and jobs are kept."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.prompts: OrderedDict[str, Counter[str]] = OrderedDict()
        self.jobs: OrderedDict[str, Counter[str]] = OrderedDict()

    def count(self, event: str, prompt: str, job: str | None) -> None:
        """One more `event` for this prompt and job."""
        self.total[event] += 1
        _counter(self.prompts, prompt)[event] += 1
        if job is not None:
            _counter(self.jobs, job)[event] += 1

    def as_dict(self) -> dict[str, Any]:
        """{"total": {event: n}, "prompts": {prompt: {event: n}}, "jobs": {job: {event: n}}}."""
        return {
            "total": dict(self.total),
            "prompts": {prompt: dict(counts) for prompt, counts in self.prompts.items()},
            "jobs": {job: dict(counts) for job, counts in self.jobs.items()},
        }


def _counter(counters: OrderedDict[str, Counter[str]], key: str) -> Counter[str]:
    counter = counters.setdefault(key, Counter())
    if len(counters) > _KEPT:
        counters.popitem(last=False)
    return counter
