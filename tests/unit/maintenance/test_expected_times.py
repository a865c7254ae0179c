"""How long generations usually take, learned from those that ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared.core.documents import Job, Stage
from shared.core.errors import Conflict, Unavailable
from shared.gateways.live_settings import StoredLiveSettings
from shared.maintenance.expected_times import ENOUGH_JOBS, LEAST_JOBS, learn
from shared.platform import passes
from tests.unit.conftest import SETTINGS, House
from tests.unit.maintenance.test_weekly_report import a_job

FEW = range(LEAST_JOBS)


def ended(house: House, number: int, took_s: float, ago: timedelta = timedelta(hours=1), **changes: Any) -> Job:
    """A job that was completed that long ago."""
    at = house.clock() - ago
    times = {"completed_at": at, "storing_started_at": at, "attempt_started_at": at - timedelta(seconds=took_s)}
    return a_job(number, **{**times, **changes})


async def in_force(house: House) -> dict[str, float]:
    return (await StoredLiveSettings(SETTINGS, house.store, house.clock).get()).expected_times


async def test_expected_time_is_the_median_of_recent_generations(house: House) -> None:
    await house.store.commit([ended(house, number, 30.0 + number) for number in range(21)])
    assert await learn(house.services) == {"omni-flash": 40.0, "omni-flash-3s": 40.0}
    assert await in_force(house) == {"omni-flash": 40.0, "omni-flash-3s": 40.0}


async def test_lengths_are_learned_separately(house: House) -> None:
    short = [ended(house, number, 20.0) for number in FEW]
    asked = short[0].request.model_copy(update={"seconds": 15})
    await house.store.commit([*short, *(ended(house, 100 + number, 90.0, request=asked) for number in FEW)])
    assert await learn(house.services) == {"omni-flash": 55.0, "omni-flash-3s": 20.0, "omni-flash-15s": 90.0}


async def test_too_few_samples_teach_nothing(house: House) -> None:
    await house.store.commit([ended(house, number, 20.0) for number in FEW[1:]])
    assert await learn(house.services) == {}
    assert await in_force(house) == {}


async def test_only_completed_jobs_count(house: House) -> None:
    failed = [ended(house, 100 + number, 900.0, stage=Stage.FAILED) for number in FEW]
    await house.store.commit([*failed, *(ended(house, number, 20.0) for number in FEW)])
    assert (await learn(house.services))["omni-flash"] == 20.0


async def test_jobs_older_than_a_week_do_not_count(house: House) -> None:
    await house.store.commit([ended(house, number, 20.0, timedelta(days=8)) for number in FEW])
    assert await learn(house.services) == {}


async def test_only_the_newest_samples_are_read(house: House) -> None:
    old = [ended(house, 10_000 + number, 99.0, timedelta(days=2)) for number in range(ENOUGH_JOBS)]
    new = [ended(house, number, 20.0) for number in range(ENOUGH_JOBS)]
    await house.store.commit([*old, *new])
    assert (await learn(house.services))["omni-flash"] == 20.0
    assert house.store.calls["ended_jobs"] == ENOUGH_JOBS // passes.PAGE


async def test_earlier_values_of_other_models_stay(house: House) -> None:
    house.store.edit_config("expected_times", {"learned": {"veo-3.1": 70.0, "omni-flash": 99.0}})
    await house.store.commit([ended(house, number, 20.0) for number in FEW])
    await learn(house.services)
    assert await in_force(house) == {"veo-3.1": 70.0, "omni-flash": 20.0, "omni-flash-3s": 20.0}


async def test_administrators_value_overrides_learning(house: House) -> None:
    said = {"omni-flash": 45.0}
    house.store.edit_config("expected_times", said)
    await house.store.commit([ended(house, number, 20.0) for number in FEW])
    await learn(house.services)
    assert await in_force(house) == said
    stored = await house.store.read_config("expected_times")
    assert {name: value for name, value in stored.items() if name != "learned"} == said


async def test_value_for_one_length_leaves_the_others(house: House) -> None:
    learned = {"veo-3.1": 70.0, "veo-3.1-4s": 50.0, "veo-3.1-fast": 30.0, "veo-3.1-fast-8s": 31.0}
    house.store.edit_config("expected_times", {"veo-3.1-4s": 60.0, "learned": learned})
    assert await in_force(house) == {**learned, "veo-3.1-4s": 60.0}
    house.store.edit_config("expected_times", {"veo-3.1": 60.0, "learned": learned})
    assert await in_force(house) == {"veo-3.1": 60.0, "veo-3.1-fast": 30.0, "veo-3.1-fast-8s": 31.0}


async def test_concurrent_edit_is_not_lost(house: House) -> None:
    house.store.edit_config("expected_times", {})
    await house.store.commit([ended(house, number, 20.0) for number in FEW])
    edits = iter([{"omni-flash": 45.0}])

    async def edit() -> None:
        for fields in edits:
            house.store.edit_config("expected_times", fields)

    house.store.before("commit", edit)
    await learn(house.services)
    assert await in_force(house) == {"omni-flash": 45.0}


@pytest.mark.parametrize("spoiled", ["soon", ["x"], {"omni-flash": -1}])
async def test_invalid_value_is_reported_until_relearned(
    house: House, capsys: pytest.CaptureFixture[str], spoiled: object
) -> None:
    house.store.edit_config("expected_times", {"learned": spoiled})
    assert await in_force(house) == {}
    assert '"config_not_valid"' in capsys.readouterr().out
    await house.store.commit([ended(house, number, 20.0) for number in FEW])
    await learn(house.services)
    assert (await in_force(house))["omni-flash"] == 20.0


async def test_persistent_conflict_is_reported(house: House) -> None:
    await house.store.commit([ended(house, number, 20.0) for number in FEW])
    house.store.fail("commit", 1_000, Conflict)
    with pytest.raises(Unavailable):
        await learn(house.services)
