"""How soon a finished video is detected, and with how many polls: the schedule compared with fixed intervals.

`python -m bench.polling` derives the table of shared/core/schedule.py from the distribution of generation times, sees
that it is the one that stands there, plays a hundred thousand jobs of each kind through the schedule, and writes what
came of it into docs/scaling.md. Random numbers come from a fixed seed.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from bench import report
from bench.environment import Stand
from bench.goals import Goal, Part
from shared.core import schedule
from shared.core.catalog import MODELS

PAGE: Final = Path(__file__).parents[1] / "docs" / "scaling.md"
JOBS: Final = 100_000
SEED: Final = 1
# Generation times are lognormal about the expected time, with this sigma: an assumption, until a provider is measured.
SIGMA: Final = 0.25
# What looks are for: (share of the generations, sigma); what is left never ends.
PRIOR: Final = ((0.975, SIGMA), (0.02, 0.8))
# Twice the lag is 2 ** 0.5 times as bad: who has waited for a minute minds the first second more than the tenth.
IMPATIENCE: Final = 0.5
# What a look costs, in square roots of seconds: with it one generation of 60 s takes 8 looks, one of 6 min 14.
LOOK_PRICE: Final = 0.0824
SHARES: Final = (
    0.0, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0,
)  # fmt: skip
STEP: Final = 0.001
START: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
# From the end of a generation to our poll prompted by an event: Pub/Sub or a webhook, the queue, and the way.
EVENT_P50_S, EVENT_SIGMA = 0.3, 0.5
Looks = npt.NDArray[np.float64]


# --- the derivation ---


def hazard(share: float) -> float:
    """How likely it is that a generation which still runs ends now, per expected time."""
    likely, running = 0.0, 1.0 - sum(weight for weight, _ in PRIOR)
    for weight, sigma in PRIOR:
        deviations = math.log(share) / sigma
        likely += weight * NormalDist().pdf(deviations) / (sigma * share)
        running += weight * NormalDist().cdf(-deviations)
    return likely / running


def looked_by() -> tuple[tuple[float, float], ...]:
    """How many looks are worth their price until each share of the expected time, where usual is one unit.

    With looks `step` apart, a running generation costs per second

        hazard * step ** impatience / (1 + impatience)      for the seconds in which it is over and not seen,
        price / step                                        for looking,

    which is least at step = (price * (1 + impatience) / (impatience * hazard)) ** (1 / (1 + impatience)). The looks
    until some time are the integral of 1 / step. Where n seconds are usual, the hazard of a second is an n-th of that
    of a expected time, so the integral grows with n ** (impatience / (1 + impatience)).
    """
    price = LOOK_PRICE * (1 + IMPATIENCE) / IMPATIENCE
    per_unit = schedule.LOOKS_UNIT_S**schedule.LOOKS_GROW_WITH
    looks, rows = 0.0, [(0.0, 0.0)]
    for before, share in pairwise(SHARES):
        middles = (before + STEP * (n + 0.5) for n in range(round((share - before) / STEP)))
        looks += per_unit * sum(STEP * (hazard(middle) / price) ** (1 / (1 + IMPATIENCE)) for middle in middles)
        rows.append((share, round(looks, 2)))
    return tuple(rows)


# --- playing jobs ---


@dataclass(frozen=True)
class Lag:
    """Seconds from the provider's end to our look that sees it, and the looks that it took, of many jobs."""

    lag_s: Looks
    looks: Looks

    def cells(self) -> tuple[str, ...]:
        p50, p95 = np.percentile(self.lag_s, (50, 95))
        return (f"{self.lag_s.mean():.1f}", f"{p50:.1f}", f"{p95:.1f}", f"{self.looks.mean():.1f}")


def times(expected_s: float, seed: int = SEED) -> Looks:
    """When the generations end, in seconds from their start."""
    return expected_s * np.exp(SIGMA * np.random.default_rng(seed).standard_normal(JOBS))


def scheduled(expected_s: float, until_s: float, rarely: bool = False) -> Looks:
    """When the schedule looks at a job that does not end until then."""
    looks: list[float] = []
    elapsed_s = 0.0
    while elapsed_s <= until_s:
        now = START + timedelta(seconds=elapsed_s)
        elapsed_s = (schedule.next_look(START, expected_s, now, rarely) - START).total_seconds()
        looks.append(elapsed_s)
    return np.array(looks)


def every(interval_s: float, until_s: float) -> Looks:
    return np.arange(1, math.ceil(until_s / interval_s) + 2) * interval_s


def polled(ends_s: Looks, looks_s: Looks) -> Lag:
    seen = np.searchsorted(looks_s, ends_s)
    return Lag(looks_s[seen] - ends_s, seen + 1.0)


def pushed(ends_s: Looks, looks_s: Looks) -> Lag:
    """With events of which some are lost: a look when one comes, or by schedule, whichever is first."""
    rng = np.random.default_rng(SEED + 1)
    told_s = EVENT_P50_S * np.exp(EVENT_SIGMA * rng.standard_normal(JOBS))
    told_s[rng.random(JOBS) < schedule.LOST_EVENTS_SHARE] = np.inf
    alone = polled(ends_s, looks_s)
    return Lag(np.minimum(alone.lag_s, told_s), alone.looks)


# --- the tables ---

WAYS: Final[dict[str, Callable[[float, Looks], Lag]]] = {
    "the schedule": lambda expected_s, ends: polled(ends, scheduled(expected_s, ends.max())),
    "the schedule, with events": lambda expected_s, ends: pushed(ends, scheduled(expected_s, ends.max())),
    "polling rarely, with events": lambda expected_s, ends: pushed(
        ends, scheduled(expected_s, ends.max(), rarely=True)
    ),
    "every 5 s": lambda expected_s, ends: polled(ends, every(5, ends.max())),
    "every 10 s": lambda expected_s, ends: polled(ends, every(10, ends.max())),
    "every 60 s": lambda expected_s, ends: polled(ends, every(60, ends.max())),
}


def rows() -> Iterator[tuple[str, ...]]:
    """Each way of looking at each expected time of the catalog, and at 6 min."""
    usual = sorted({model.expected_s for model in MODELS.values()} | {60.0, 360.0})
    for expected_s in usual:
        for way, play in WAYS.items():
            yield (f"{expected_s:.0f} s, {way}", *play(expected_s, times(expected_s)).cells())


def wrong_rows() -> Iterator[tuple[str, ...]]:
    """The schedule where what is held to be usual is three times too much or a third of it."""
    for expected_s in (60.0, 360.0):
        for factor, said in ((3.0, "expected to take three times as long"), (1 / 3, "expected to take a third of it")):
            ends = times(expected_s)
            lag = polled(ends, scheduled(expected_s * factor, ends.max()))
            yield (f"{expected_s:.0f} s, {said}", *lag.cells())


def measure(_: Stand) -> Part:
    """The goals of docs/performance.md; everything else stands in docs/scaling.md."""
    goals = [
        *_goals("by polling alone", 60.0, "the schedule", 50, 2.0, 8.0),
        *_goals("by polling alone", 360.0, "the schedule", 50, 5.0, 14.0),
        *_goals("with events", 60.0, "polling rarely, with events", 95, 1.0, 2.0),
        *_goals("with events", 360.0, "polling rarely, with events", 95, 1.0, 2.0),
    ]
    text = f"""{JOBS:,} simulated jobs each. How the schedule is derived, and how it compares with fixed intervals,
is in [scaling.md](scaling.md)."""
    return Part(goals, text)


def _goals(how: str, expected_s: float, way: str, percent: int, lag_s: float, looks: float) -> Iterator[Goal]:
    found = WAYS[way](expected_s, times(expected_s))
    seen_s, taken = float(np.percentile(found.lag_s, percent)), float(found.looks.mean())
    job = f"a job of {expected_s:.0f} s, {how}"
    yield Goal(
        f"From the provider finishing to completed, p{percent}, {job}",
        f"{seen_s:.2f} s",
        f"at most {lag_s:g} s",
        seen_s <= lag_s,
    )
    yield Goal(f"Polls of {job}", f"{taken:.1f}", f"at most {looks:g}", taken <= looks)


HEAD: Final = ("Typical time", "lag: mean, s", "p50, s", "p95, s", "polls")


def main() -> int:
    """0 when the table in shared/core/schedule.py is what it is derived to be."""
    parser = argparse.ArgumentParser(prog="python -m bench.polling", description=__doc__.partition("\n")[0])
    parser.add_argument("--no-report", action="store_true", help="only print")
    options = parser.parse_args()
    derived = looked_by()
    text = report.table([*rows(), *wrong_rows()], HEAD)
    print(text)
    if derived != schedule.LOOKED_BY:
        print(f"LOOKED_BY in shared/core/schedule.py ought to be {derived}")
        return 1
    if not options.no_report:
        report.replace("looks", text, PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
