"""Crashes at any point: every effect of a job's life, with every fault possible at it.

A schedule that breaks a promise is printed in words that replay it: schedule.play() takes them. Here are all of the
usual life, and a fixed sample of the others; the long form plays all single faults, `make scoreboard` also as many
pairs as its time allows.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from shared.core.documents import Stage
from testing.faults import parallel
from testing.faults.effects import Fault, Point
from testing.faults.enumeration import MODELS, calm, with_one_fault, with_one_more
from testing.faults.provider import FATES, OK, fates_of
from testing.faults.schedule import Broken, Deliveries, Schedule, play

SAMPLED_SHARE = 0.05
SAMPLED_PAIRS = 500
PAIRS_OF_THE_LONG_FORM = 10_000
PAIRS_OF_ONE = 50
# Thousands of schedules, alongside other suites and on any machine; each of them ends by itself.
pytestmark = pytest.mark.timeout(1_800)
SHOWN = 5


def broken_by(schedules: list[Schedule]) -> list[str]:
    """What the schedules that broke a promise say."""
    found = []
    for schedule in schedules:
        try:
            play(schedule)
        except Broken as error:
            found.append(str(error))
    return found


def all_hold(schedules: Iterable[Schedule]) -> int:
    """Play them all; how many there were."""
    listed = list(schedules)
    size = 50
    chunks = [listed[start : start + size] for start in range(0, len(listed), size)]
    broken = [message for found in parallel.each(broken_by, chunks) for message in found]
    assert not broken, f"{len(broken)} of {len(listed)} schedules:\n" + "\n".join(broken[:SHOWN])
    return len(listed)


@pytest.mark.parametrize("deliveries", Deliveries, ids=lambda each: each.value)
@pytest.mark.parametrize("model", MODELS)
def test_every_scenario_ends_as_expected_however_tasks_are_delivered(model: str, deliveries: Deliveries) -> None:
    for fate in fates_of(model):
        play(Schedule(fate=fate, model=model, deliveries=deliveries))


def test_typical_job_has_the_documented_effects() -> None:
    names = {effect.point.name for effect in play(Schedule()).trace}
    assert names >= {
        "submit/submitted.commit",
        "submit/task.create",
        "claim.commit",
        "provider.create",
        "accepted.commit",
        "task.create",
        "provider.poll",
        "running.commit",
        "finished.commit",
        "video.use",
        "poster.write",
        "completed.commit",
    }


@pytest.mark.parametrize("model", MODELS)
def test_successful_job_survives_every_failure_at_every_point(model: str) -> None:
    calms = [Schedule(model=model, deliveries=each) for each in Deliveries]
    played = all_hold(schedule for each in calms for schedule in with_one_fault(each))
    assert played > 500, "the enumeration has become too small to mean anything"


def test_every_scenario_survives_every_failure_at_every_point(long: bool) -> None:
    """A fixed sample of all fates, providers and ways of delivery, or all of them."""
    chosen, share = random.Random(1), 1.0 if long else SAMPLED_SHARE
    others = [each for each in calm() if each.fate is not OK or each.config or each.webhook or each.waits]
    schedules = (schedule for each in others for schedule in with_one_fault(each))
    played = all_hold(schedule for schedule in schedules if chosen.random() < share)
    assert played > 1_000, "the sample has become too small to mean anything"


def test_job_survives_two_failures_in_a_row(long: bool) -> None:
    """A fixed sample of the pairs."""
    chosen, wanted = random.Random(2), PAIRS_OF_THE_LONG_FORM if long else SAMPLED_PAIRS
    pairs: list[Schedule] = []
    while len(pairs) < wanted:
        first = chosen.choice(list(with_one_fault(Schedule(model=chosen.choice(MODELS)))))
        following = list(with_one_more(first))
        pairs += chosen.sample(following, min(PAIRS_OF_ONE, len(following)))
    all_hold(pairs)


def test_waiting_job_is_charged_first_and_gets_its_slot() -> None:
    for model in MODELS:
        played = play(Schedule(model=model, waits=True))
        assert played.job.stage is Stage.COMPLETED
        assert "waits.commit" in {effect.point.name for effect in played.trace}


def test_crash_after_the_create_costs_at_most_one_restart_and_only_by_policy() -> None:
    for policy, most in (("at_most_once", 0), ("restart_once", 1)):
        for model in MODELS:
            for fault in (Fault.DIES_AFTER, Fault.ANSWER_LOST, Fault.FROZEN, Fault.DELAYED):
                plan = {Point("provider.create", 1): fault}
                played = play(Schedule(plan, model=model, config={"uncertain_policy": policy}))
                assert played.restarts <= most, f"{policy}: {played.restarts} extra starts of {model}"


def test_billed_video_with_a_lost_name_is_adopted() -> None:
    plan = {Point("provider.create", 1): Fault.DIES_AFTER}
    assert play(Schedule(plan)).job.stage is Stage.COMPLETED


def test_ten_minute_outage_fails_no_job_before_its_deadline() -> None:
    for model in MODELS:
        for effect in play(Schedule(model=model)).trace:
            played = play(Schedule({effect.point: Fault.OUTAGE}, model=model))
            assert played.job.error is None or played.job.error.code == "START_UNCERTAIN", f"{effect.point}"


def test_scenarios_are_distinct() -> None:
    assert len({fate.name for fate in FATES}) == len(FATES)
