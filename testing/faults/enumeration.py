"""All schedules with one fault, and with two: from a run without faults, every point and all that can go wrong."""

from __future__ import annotations

from collections.abc import Iterator

from testing.faults.effects import Effect
from testing.faults.provider import OK, fates_of
from testing.faults.schedule import STOPPED, Deliveries, Schedule, cycles, play

MODELS = ("veo-3.1-fast", "omni-flash")


def calm() -> Iterator[Schedule]:
    """Every fate, provider and way of delivery, with nothing going wrong."""
    for model in MODELS:
        for fate in fates_of(model):
            for deliveries in Deliveries:
                yield Schedule({}, fate, model, deliveries)
        yield Schedule({}, OK, model, config={"uncertain_policy": "restart_once"})
        yield Schedule({}, OK, model, config=STOPPED)
        yield Schedule({}, OK, model, webhook=True)
        yield Schedule({}, OK, model, waits=True)


def with_one_fault(schedule: Schedule) -> Iterator[Schedule]:
    """Every fault at every effect that comes in the schedule without it."""
    for effect in cycles(play(schedule).trace):
        yield from _faults(schedule, effect)


def with_one_more(schedule: Schedule) -> Iterator[Schedule]:
    """Every fault at every effect that comes after the schedule's last one, in the course that things then take."""
    trace = play(schedule).trace
    after = max(index for index, effect in enumerate(trace) if effect.point in schedule.plan) + 1
    for effect in cycles(trace[after:]):
        yield from _faults(schedule, effect)


def _faults(schedule: Schedule, effect: Effect) -> Iterator[Schedule]:
    for fault in effect.faults:
        yield schedule.with_fault(effect.point, fault)
