"""What breaks first: each limit, divided by what one video takes of it.

`python -m bench.scaling` counts a video's operations as bench/costs.py does, and writes the table of docs/scaling.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import report
from bench.costs import BUSY_SHARE
from bench.counting import Life, Video, play
from bench.processor import Processor
from shared.core.catalog import MODELS
from shared.jobs import inputs
from shared.platform import durable_tasks, passes

PAGE: Final = Path(__file__).parents[1] / "docs" / "scaling.md"
# As bench/processor.py measured it on the machine of docs/operations.md; a limit moves with it in proportion.
PROCESSOR: Final = Processor(
    {"submit": 0.011, "poll": 0.019, "deliver": 0.019, "stream": 0.006, "history": 0.0055, "cleanup": 0.038},
    storing_s=0.08,
)
# infra/functions.tf: the most instances, and requests at once on each.
INSTANCES: Final = {"submit": (4, 12), "poll": (6, 16), "stream": (3, 200), "history": (4, 40)}
# Cloud Run's regional quota; it holds for what all functions use at once.
NEW_PROJECT_VCPU: Final = 20
# The same of the function deliver, and how long a receiver takes to answer.
DELIVER_INSTANCES, DELIVER_AT_ONCE, ANSWERED_S = 1, 40, 0.3
CREATE_S: Final = 1.5
# bench/hot_documents.py: what one instance accepted of 200 submissions a second.
HOT_ACCOUNT_PER_S: Final = 190
GENERATE_AT_ONCE: Final = 20
# A pass of the function cleanup, and one call in it to Firestore or Cloud Tasks.
PASS_S, PAGE_S, EXPIRY_S = 900.0, 0.15, 0.05
DIGEST_PAGE, EXPIRED_AT_ONCE = 200, 16


@dataclass(frozen=True)
class Limit:
    """So many a second, and how many of them a video takes."""

    name: str
    per_s: float
    per_video: float

    @property
    def videos_per_minute(self) -> float:
        return 60 * self.per_s / self.per_video


def limits(video: Video) -> Iterator[Limit]:
    """All of them, with the settings of infra/ as they are."""
    jobs, accounts = video.operations["writes of jobs"], video.operations["writes of accounts"]
    model = MODELS["veo-3.1-fast"]
    yield Limit("one model's quota at the provider, per minute", model.quota_per_minute / 60, 1)
    yield Limit("one model's simultaneous creates", GENERATE_AT_ONCE / CREATE_S, 1)
    yield Limit("one account's document, by the conservative rule of 1 write per second", 1, accounts)
    yield Limit("one account's document, as measured at a region's latencies", HOT_ACCOUNT_PER_S, accounts)
    yield Limit("index of `jobs/due_at`, 500 writes per second", 500, jobs)
    yield Limit("index of one tenant's videos by time, 500 writes per second", 500, 1)
    yield Limit("queue `poll`, 500 deliveries per second", 500, video.requests["poll"] - 1)
    yield Limit("creating tasks, 6 million per minute", 100_000, video.operations["Cloud Tasks operations"] / 2)
    yield Limit("database without ramping up, 500 operations per second", 500, video.operations["Firestore writes"])
    needed_s = {name: PROCESSOR.seconds(name, video.requests[name], 1) for name in INSTANCES}  # type: ignore[arg-type, index]
    yield Limit(
        "a new project's 20 vCPU, all functions together", NEW_PROJECT_VCPU * BUSY_SHARE, sum(needed_s.values())
    )
    for name, (instances, _) in INSTANCES.items():
        yield Limit(f"instances of {name}, by CPU", instances * BUSY_SHARE, needed_s[name])
    instances, at_once = INSTANCES["stream"]
    yield Limit("open event streams, one per video", instances * at_once, model.expected_s)
    yield Limit("the weekly digest, in one pass", DIGEST_PAGE * PASS_S / PAGE_S / (7 * 86_400), 1)
    deliver_s = PROCESSOR.seconds("deliver", 1, 0)
    yield Limit("webhook messages, by CPU of deliver, one per video", DELIVER_INSTANCES * BUSY_SHARE / deliver_s, 1)
    yield Limit(
        "simultaneous webhook messages, each answered in 0.3 s", DELIVER_INSTANCES * DELIVER_AT_ONCE / ANSWERED_S, 1
    )
    yield Limit(
        "the daily removal of webhook messages, in one pass", durable_tasks.PAGE * durable_tasks.MAX_PAGES / 86_400, 1
    )
    bounded_s = passes.PASS_FOR.total_seconds()
    yield Limit("the daily expiry, in one pass", EXPIRED_AT_ONCE * bounded_s / EXPIRY_S / 86_400, 1)
    # A page of names, and one read of its jobs.
    yield Limit("the daily sweep of images, one per video", inputs.IMAGES_A_PAGE * bounded_s / (2 * PAGE_S) / 86_400, 1)
    yield Limit("jobs waiting over a minute for their start, in one sweep", passes.NEW_PER_SWEEP / 60, 1)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__.partition("\n")[0])
    parser.add_argument("--no-report", action="store_true", help="only print")
    options = parser.parse_args()
    found = sorted(limits(play(Life("veo-3.1-fast", events=True))), key=lambda limit: limit.videos_per_minute)
    rows = [
        (limit.name, _number(limit.per_s), _number(limit.per_video), f"{limit.videos_per_minute:,.0f}")
        for limit in found
    ]
    text = report.table(rows, ("Limit", "per second", "per video", "reached at videos per minute"))
    print(text)
    if not options.no_report:
        report.replace("limits", text, PAGE)


if __name__ == "__main__":
    main()
