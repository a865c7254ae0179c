"""The cost of one finished video: every operation of its life, counted at the gateways, at list prices.

`python -m bench.costs` plays videos from the submission to one viewing through the functions' own HTTP apps on the
gateways in memory, in virtual time, and counts. What a request takes of a processor is measured on the real servers of
the local cloud (functions-framework, Google's clients, the Firestore emulator). It writes the tables of
docs/operations.md, section "What it costs". Prices are in US dollars.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import report
from bench.counting import Life, Video, play, sweep
from bench.environment import Stand
from bench.goals import Goal, Part
from bench.processor import Processor, measured
from shared.api.routing import FUNCTIONS, Function

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "operations.md"
THOUSAND: Final = 1_000
# Of 1,000 videos, without storage, egress and open event streams.
GOAL_USD: Final = 0.15

# List prices of us-central1, before any free tier.
VCPU_S, GIB_S, REQUEST = 24e-6, 2.5e-6, 0.4e-6
IDLE_VCPU_S, IDLE_GIB_S = 2.5e-6, 2.5e-6
OPERATION: Final = {
    "Firestore reads": 0.3e-6,
    "Firestore writes": 0.9e-6,
    "Firestore deletes": 0.1e-6,
    "Cloud Tasks operations": 0.4e-6,
    "Cloud Storage class A": 5e-6,
    "Cloud Storage class B": 0.4e-6,
}
ARMOR_REQUEST: Final = 0.75e-6
LOG_BYTE: Final = 0.5 / 2**30
# Cloud Run writes an entry of about this size for each request; ours are counted.
REQUEST_LOG_BYTES: Final = 1_000
STORED_GB_MONTH, EGRESS_GB = 0.02, 0.12
# Eight seconds at 720p and 20 Mbit/s, and its poster.
VIDEO_GB: Final = 0.02
# A request alone on its instance is billed from its beginning to its end, in steps of this. One of many shares the
# instance, which is then billed for the processor that it keeps busy: up to this share, where it is scaled out.
BILLED_STEP_S: Final = 0.1
BUSY_SHARE: Final = 0.6
MONTH_S: Final = 730 * 3_600

# As infra/functions.tf sets them.
MEMORY_GIB: Final[dict[Function, float]] = {
    "submit": 2.0,
    "poll": 2.0,
    "deliver": 0.5,
    "stream": 1.0,
    "history": 0.5,
    "cleanup": 0.5,
}
WARM: Final[tuple[Function, ...]] = ("submit", "stream", "history")
SCHEDULER_JOBS, SCHEDULER_JOBS_FREE, SCHEDULER_JOB = 4, 3, 0.10
LOAD_BALANCER: Final = 18.25
# A policy and its two rules.
ARMOR: Final = 5.0 + 2 * 1.0

LIVES: Final = {
    "Veo, events": Life("veo-3.1-fast", events=True),
    "Veo, polling only": Life("veo-3.1-fast", events=False),
    "Omni, events": Life("omni-flash", events=True),
    "Omni, polling only": Life("omni-flash", events=False),
    "Veo, events, polled rarely": Life("veo-3.1-fast", events=True, polling="rarely"),
    "Veo, events, client on one stream": Life("veo-3.1-fast", events=True, streams=True),
}


@dataclass(frozen=True)
class Cost:
    """Dollars of one video."""

    operations: float
    requests: float
    quiet: float
    busy: float
    logs: float
    streaming: float

    @property
    def alone(self) -> float:
        return self.operations + self.requests + self.logs + self.quiet

    @property
    def shared(self) -> float:
        return self.operations + self.requests + self.logs + self.busy


def cost(video: Video, processor: Processor) -> Cost:
    requests = sum(video.requests.values())
    public = sum(video.requests[name] for name in WARM)
    quiet = busy = 0.0
    for name in FUNCTIONS:
        second = VCPU_S + MEMORY_GIB[name] * GIB_S
        busy += processor.seconds(name, video.requests[name], video.stored) / BUSY_SHARE * second
        quiet += sum(_billed_s(wall_s) * times for wall_s, times in _walls(video, processor, name).items()) * second
    return Cost(
        operations=sum(price * video.operations[name] for name, price in OPERATION.items()),
        requests=requests * REQUEST + public * ARMOR_REQUEST,
        quiet=quiet,
        busy=busy,
        logs=(requests * REQUEST_LOG_BYTES + video.log_bytes) * LOG_BYTE,
        streaming=video.streaming_s * (VCPU_S + MEMORY_GIB["stream"] * GIB_S),
    )


def _walls(video: Video, processor: Processor, name: Function) -> Counter[float]:
    """How long requests of a function last, alone: their processor time, and their waiting for services far away."""
    walls: Counter[float] = Counter()
    for waits_s, storing in video.waits[name]:
        walls[processor.seconds(name, 1, storing) + waits_s] += 1 / video.played
    return walls


def _billed_s(wall_s: float) -> float:
    steps = -(-wall_s // BILLED_STEP_S)
    return max(1.0, steps) * BILLED_STEP_S


# --- the tables ---


def counts(videos: dict[str, Video]) -> str:
    names = [
        *OPERATION,
        *(f"requests of {name}" for name in FUNCTIONS if name not in ("deliver", "cleanup")),
        "our own log, kB",
    ]

    rows = ((name, *(f"{_count(video, name):.1f}" for video in videos.values())) for name in names)
    return report.table(rows, ("Per video", *videos))


def _count(video: Video, name: str) -> float:
    if name.startswith("requests of "):
        return video.requests[name.removeprefix("requests of ")]  # type: ignore[index]
    return video.log_bytes / 1_000 if name.startswith("log") else video.operations[name]


def costs(videos: dict[str, Video], processor: Processor) -> str:
    found = {name: cost(video, processor) for name, video in videos.items()}
    lines: dict[str, Callable[[Cost], float]] = {
        "Firestore, Cloud Tasks, Cloud Storage operations": lambda c: c.operations,
        "requests: Cloud Run and Cloud Armor": lambda c: c.requests,
        "logs": lambda c: c.logs,
        "CPU and memory, instances shared": lambda c: c.busy,
        "CPU and memory, each request alone": lambda c: c.quiet,
        "**total, instances shared**": lambda c: c.shared,
        "**total, each request alone**": lambda c: c.alone,
        "open event streams, with one per instance": lambda c: c.streaming,
        "open event streams, with 200 per instance": lambda c: c.streaming / 200,
    }
    rows = [(name, *(_dollars(THOUSAND * of(each)) for each in found.values())) for name, of in lines.items()]
    storage, egress = THOUSAND * VIDEO_GB * STORED_GB_MONTH, THOUSAND * VIDEO_GB * EGRESS_GB
    rows.append(("storage for a month, at 20 MB", *[_dollars(storage)] * len(found)))
    rows.append(("egress of one view each, at 20 MB", *[_dollars(egress)] * len(found)))
    return report.table(rows, ("Per 1,000 videos, USD", *found))


def fixed(processor: Processor) -> str:
    operations, log_bytes = sweep()
    second = VCPU_S + MEMORY_GIB["cleanup"] * GIB_S
    one = (
        sum(price * operations.get(name, 0) for name, price in OPERATION.items())
        + REQUEST
        + second * _billed_s(processor.seconds("cleanup", 1, 0))
        + (log_bytes + REQUEST_LOG_BYTES) * LOG_BYTE
    )
    warm = {name: MONTH_S * (IDLE_VCPU_S + MEMORY_GIB[name] * IDLE_GIB_S) for name in WARM}
    always = [
        ("load balancer", LOAD_BALANCER),
        ("Cloud Armor: a policy and two rules", ARMOR),
        ("Cloud Scheduler", (SCHEDULER_JOBS - SCHEDULER_JOBS_FREE) * SCHEDULER_JOB),
        ("the sweep, each minute", MONTH_S / 60 * one),
        ("live settings, read each minute by one instance that is never idle", MONTH_S / 60 * 2 * 0.3e-6),
    ]
    prod = [(f"a warm instance of {name} ({MEMORY_GIB[name]:g} GiB; prod only)", price) for name, price in warm.items()]
    totals = [("dev", always), ("prod", always + prod)]
    cells = [(name, _dollars(price)) for name, price in always + prod]
    cells += [(f"**together, in {name}**", f"**{_dollars(sum(price for _, price in rows))}**") for name, rows in totals]
    return report.table(cells, ("Per month", "USD"))


def _dollars(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def measure(_: Stand) -> Part:
    """The goal of docs/performance.md; everything else stands in docs/operations.md."""
    with tempfile.TemporaryDirectory() as directory:
        processor = measured(Path(directory))
    goals = []
    for name, life in LIVES.items():
        dollars = THOUSAND * cost(play(life), processor).shared
        goals.append(Goal(f"1,000 videos, USD: {name}", f"{dollars:.3f}", f"under {GOAL_USD:g}", dollars < GOAL_USD))
    return Part(
        goals,
        """Without storage, egress and open event streams. The breakdown, and how costs grow, are in
[operations.md](operations.md#what-it-costs).""",
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.costs", description=__doc__.partition("\n")[0])
    parser.add_argument("--no-report", action="store_true", help="only print")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        processor = measured(Path(directory))
    videos = {name: play(life) for name, life in LIVES.items()}
    parts = "\n\n".join([counts(videos), costs(videos, processor), fixed(processor), *_said(processor)])
    print(parts)
    if not options.no_report:
        report.replace("costs", parts, PAGE)


def _said(processor: Processor) -> Iterator[str]:
    each = ", ".join(f"{name} {seconds * 1_000:.1f} ms" for name, seconds in processor.request_s.items())
    yield (
        f"CPU time of a request, measured on the local cloud: {each};\n"
        f"storing one video of 8 s at 720p takes {processor.storing_s * 1_000:.0f} ms more."
    )


if __name__ == "__main__":
    main()
