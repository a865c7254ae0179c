"""The scoreboard: what was done to lose a job, a credit or a video, and the results.

`python -m bench.scoreboard --minutes 20` plays all single faults, at least ten thousand random schedules, and as much
else as its time allows; it prints one table, and writes it into docs/reliability.md. Everything runs on virtual time
from fixed seeds, so a figure is not a matter of the machine; only how much was played beyond the least is.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from bench import report
from testing.faults import parallel
from testing.faults.effects import Fault, Point
from testing.faults.enumeration import MODELS, calm, with_one_fault, with_one_more
from testing.faults.provider import OK
from testing.faults.schedule import Broken, Deliveries, Played, Schedule, play
from testing.simulation.machines import Counted, JobMachine, LedgerMachine
from testing.simulation.simulation import Failed, Seen, simulate

SEEDS_AT_ONCE = 20
MACHINE_EXAMPLES = 2_000
MACHINE_STEPS = 60
# How the time is shared that is left by what is always played: the single faults, and the least number of seeds.
PAIRS_SHARE, SAMPLE_SHARE = 0.7, 0.3
# The gap that no queue closes: the provider has accepted, and its operation name is not yet stored.
ONE_POINT = {
    "provider.create": (Fault.DIES_AFTER, Fault.ANSWER_LOST, Fault.FROZEN, Fault.DELAYED),
    "accepted.commit": (Fault.DIES_BEFORE, Fault.DIES_AFTER, Fault.FROZEN),
}
# What a broken schedule says, and what that means for users.
LOSSES = {
    "Lost jobs": ("has not ended", "it ended in", "not ended", "is not there", "unfinished and never due"),
    "Double charges": (": charges [",),
    "Double refunds": (": refunds [", "refunded more", "gives back"),
    "Unbalanced commits": ("sums to", "a gap", "below zero", "not the last entry", "the sum is"),
}


@dataclass
class Tally:
    """What a kind of schedule came to."""

    points: set[str] = field(default_factory=set)
    played: int = 0
    commits: int = 0
    disorderly: int = 0
    deliveries: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def passed(self) -> int:
        return self.played - len(self.broken)

    def add(self, schedule: Schedule, outcome: Played | str) -> None:
        self.played += 1
        self.points.update(f"{schedule.model} {point}" for point in schedule.plan)
        if isinstance(outcome, str):
            self.broken.append(outcome)
            return
        self.commits += outcome.commits
        self.deliveries += outcome.deliveries
        self.disorderly += outcome.disorderly
        if outcome.recovery_s is not None:
            self.recoveries_s.append(outcome.recovery_s)

    def merge(self, other: Tally) -> None:
        self.points |= other.points
        self.played += other.played
        self.commits += other.commits
        self.disorderly += other.disorderly
        self.deliveries += other.deliveries
        self.recoveries_s += other.recoveries_s
        self.broken += other.broken


# --- what is played ---


def outcome(schedule: Schedule) -> Played | str:
    try:
        return play(schedule)
    except Broken as error:
        return str(error)


def singles(schedule: Schedule) -> Tally:
    """All schedules with one fault more than this one."""
    tally = Tally()
    for each in with_one_fault(schedule):
        tally.add(each, outcome(each))
    return tally


def pairs(first: Schedule) -> Tally:
    """All schedules with one fault after the first one's."""
    tally = Tally()
    try:
        for each in with_one_more(first):
            tally.add(each, outcome(each))
    except Broken as error:
        tally.broken.append(str(error))
    return tally


def seeds(some: range) -> list[Seen | str]:
    found: list[Seen | str] = []
    for seed in some:
        try:
            found.append(simulate(seed))
        except Failed as error:
            found.append(str(error))
    return found


def gathered(work: Callable[[Schedule], Tally], schedules: Iterable[Schedule], until: Callable[[], bool]) -> Tally:
    total = Tally()
    for tally in parallel.each(work, schedules, until):
        total.merge(tally)
    return total


def firsts(fate_is_ok: bool) -> list[Schedule]:
    """All schedules with one fault, in a fixed random order, so that a part of them is a fair sample."""
    chosen = [
        first
        for schedule in calm()
        if (schedule.fate is OK and not schedule.config and schedule.deliveries is Deliveries.ONCE) == fate_is_ok
        for first in with_one_fault(schedule)
    ]
    random.Random(1).shuffle(chosen)
    return chosen


# --- the one point ---


@dataclass(frozen=True)
class OnePoint:
    """Crashes at the one point that no queue closes, and what was paid for twice."""

    crashes: int
    extra_starts: int


def one_point(policy: str) -> OnePoint:
    crashes = extra = 0
    for model in MODELS:
        for name, faults in ONE_POINT.items():
            for fault in faults:
                for deliveries in Deliveries:
                    plan = {Point(name, 1): fault}
                    schedule = Schedule(plan, model=model, deliveries=deliveries, config={"uncertain_policy": policy})
                    crashes += 1
                    extra += play(schedule).restarts
    return OnePoint(crashes, extra)


# --- the table ---


@dataclass
class Board:
    """All figures."""

    single: Tally
    pair: Tally
    pair_firsts: tuple[int, int]
    sample: Tally
    seen: list[Seen]
    failed_seeds: list[str]
    machines: dict[str, tuple[int, int]]
    points: dict[str, OnePoint]

    @property
    def broken(self) -> list[str]:
        return [*self.single.broken, *self.pair.broken, *self.sample.broken, *self.failed_seeds]

    def rows(self) -> Iterator[tuple[str, str]]:
        reached = sum((each.reached for each in self.seen), Counter())
        jobs = sum(each.jobs for each in self.seen)
        tallies = (self.single, self.pair, self.sample)
        duplicates = sum(tally.disorderly for tally in tallies)
        yield "Points of failure (calls in a job's life, both kinds of provider)", _number(len(self.single.points))
        yield "Schedules with one fault: played / passed", _played(self.single)
        played, possible = self.pair_firsts
        whole = "all" if played == possible else f"of {_number(played)} of {_number(possible)} first faults"
        yield f"Schedules with two faults, successful jobs ({whole}): played / passed", _played(self.pair)
        yield "Schedules with two faults, all other outcomes (a fixed sample): played / passed", _played(self.sample)
        simulated = len(self.seen) + len(self.failed_seeds)
        yield (
            "Random schedules of 20 jobs and 5 users: played / passed",
            f"{_number(simulated)} / {_number(len(self.seen))}",
        )
        yield "Jobs in the random schedules", _number(jobs)
        yield "Crashes, freezes, lost and late responses in them", _number(sum(reached[fault.value] for fault in Fault))
        injected = duplicates + reached["delivered twice at once"] + reached["delivered again later"]
        yield "Duplicate deliveries injected", _number(injected)
        yield "Deliveries out of order", _number(reached["delivered late"] + reached["stale step"])
        commits = sum(tally.commits for tally in tallies) + sum(each.commits for each in self.seen)
        yield "Commits whose ledger was checked", _number(commits)
        for name, words in LOSSES.items():
            yield f"**{name}**", f"**{sum(any(word in told for word in words) for told in self.broken)}**"
        yield (
            "Other broken promises",
            _number(sum(not any(word in told for words in LOSSES.values() for word in words) for told in self.broken)),
        )
        for policy, found in self.points.items():
            yield (
                f"Extra paid starts per crash during a create, `{policy}`",
                f"{found.extra_starts / found.crashes:.2f} ({found.extra_starts} of {found.crashes})",
            )
        recoveries = [*self.single.recoveries_s, *(s for each in self.seen for s in each.recoveries_s)]
        yield (
            "From a crash to the final state, virtual time: p50 / p99",
            f"{_at(recoveries, 50)} / {_at(recoveries, 99)}",
        )
        for machine, (examples, steps) in self.machines.items():
            yield f"{machine} as a state machine: examples / steps", f"{_number(examples)} / {_number(steps)}"


def _played(tally: Tally) -> str:
    return f"{_number(tally.played)} / {_number(tally.passed)}"


def _number(value: int) -> str:
    return f"{value:,}"


def _at(values: Sequence[float], percent: int) -> str:
    if not values:
        return "-"
    return f"{sorted(values)[min(len(values) * percent // 100, len(values) - 1)]:,.0f} s"


# --- the whole ---


def run_machines(examples: int) -> dict[str, tuple[int, int]]:
    """Drive both machines; raises AssertionError with the steps that break one."""
    chosen = settings(
        max_examples=examples,
        stateful_step_count=MACHINE_STEPS,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    machines: dict[str, type[Counted]] = {"The ledger": LedgerMachine, "A job": JobMachine}
    for machine in machines.values():
        machine.examples = machine.steps = 0
        run_state_machine_as_test(machine, settings=chosen)
    return {name: (machine.examples, machine.steps) for name, machine in machines.items()}


def play_all(minutes: float, least_seeds: int) -> Board:
    """Everything that fits into the time; the single faults and so many random schedules in any case."""
    began = time.monotonic()
    end = began + 60 * minutes

    def spent(share: float) -> Callable[[], bool]:
        until = time.monotonic() + share * max(0.0, end - time.monotonic())
        return lambda: time.monotonic() >= until

    _say("the one point")
    points = {policy: one_point(policy) for policy in ("at_most_once", "restart_once")}
    _say("state machines")
    machines = run_machines(MACHINE_EXAMPLES if minutes >= 5 else MACHINE_EXAMPLES // 10)
    _say("one fault")
    single = gathered(singles, calm(), lambda: False)
    _say("random schedules")
    seen: list[Seen] = []
    failed: list[str] = []
    chunks = (range(first, first + SEEDS_AT_ONCE) for first in range(0, least_seeds, SEEDS_AT_ONCE))
    for found in parallel.each(seeds, chunks):
        seen += [each for each in found if not isinstance(each, str)]
        failed += [each for each in found if isinstance(each, str)]
    _say("two faults, a job that succeeds")
    ok = firsts(fate_is_ok=True)
    counted = _Counted(ok)
    pair = gathered(pairs, counted, spent(PAIRS_SHARE))
    _say("two faults, other fates")
    sample = gathered(pairs, firsts(fate_is_ok=False), spent(SAMPLE_SHARE / (1 - PAIRS_SHARE)))
    return Board(single, pair, (counted.given, len(ok)), sample, seen, failed, machines, points)


class _Counted:
    """Counts how many of its items were taken."""

    def __init__(self, items: Sequence[Schedule]) -> None:
        self._items = items
        self.given = 0

    def __iter__(self) -> Iterator[Schedule]:
        for item in self._items:
            self.given += 1
            yield item


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


def main() -> int:
    """0 when every schedule kept every promise."""
    parser = argparse.ArgumentParser(prog="python -m bench.scoreboard", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="how long to play, about")
    parser.add_argument("--seeds", type=int, default=10_000, help="so many random schedules")
    parser.add_argument("--no-report", action="store_true", help="only print")
    options = parser.parse_args()
    board = play_all(options.minutes, options.seeds)
    table = report.table(board.rows())
    print(table)
    for told in board.broken[:20]:
        print(told)
    if not options.no_report:
        report.replace("scoreboard", table)
    return 1 if board.broken else 0


if __name__ == "__main__":
    sys.exit(main())
