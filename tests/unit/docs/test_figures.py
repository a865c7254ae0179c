"""The figures in the log that the dashboard and the alerts are made from."""

from __future__ import annotations

import json

import pytest

from shared.core import events
from shared.core.errors import Unavailable
from shared.jobs import transitions
from shared.maintenance import sweeper
from tests.unit.conftest import House

Capsys = pytest.CaptureFixture[str]


def entries(capsys: Capsys, message: str) -> list[dict[str, object]]:
    """What was logged under that message since it was last asked for."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if line["message"] == message]


async def test_submit_logs_its_cost(house: House, capsys: Capsys) -> None:
    job = await house.submit(await house.sign_up())
    (entry,) = entries(capsys, "video_submitted")
    assert (entry["cost"], entry["model"]) == (job.cost, "omni-flash")


async def test_finished_job_logs_its_generation_time(house: House, capsys: Capsys) -> None:
    # Storing takes a second more, which is not generation.
    house.script(fetches=[ConnectionError("cut")])
    job = await house.until(await house.submit(await house.sign_up()), "generating")
    began = house.clock()
    house.clock.advance(90)
    job = await house.run(job)
    (entry,) = entries(capsys, "job_ended")
    assert job.storing_started_at is not None
    assert entry["generation_seconds"] == (job.storing_started_at - began).total_seconds() >= 90
    assert (entry["status"], entry["refunded"]) == ("completed", 0)


async def test_job_that_never_generated_logs_no_time(house: House, capsys: Capsys) -> None:
    job = await house.submit(await house.sign_up())
    await transitions.apply(house.services, job.id, events.CancelRequested())
    (entry,) = entries(capsys, "job_ended")
    assert entry["generation_seconds"] is None
    assert entry["refunded"] == job.cost


async def test_lag_of_a_downloaded_video_starts_when_we_learn_of_it(house: House, capsys: Capsys) -> None:
    house.script(fetches=[ConnectionError("cut")])
    await house.run(await house.submit(await house.sign_up()))
    (entry,) = entries(capsys, "video_stored")
    assert (entry["lag_seconds"], entry["model"], entry["tries"]) == (1.0, "omni-flash", 1)


async def test_lag_of_a_provider_written_video_starts_when_it_is_written(house: House, capsys: Capsys) -> None:
    job = await house.until(await house.submit_veo(await house.sign_up()), "generating")
    # The provider is done and has written; that is noticed only at the next poll.
    await house.veo.poll(job.operation or "")
    written_at = house.clock()
    house.clock.advance(40)
    job = await house.run(job)
    (entry,) = entries(capsys, "video_stored")
    assert job.completed_at is not None
    assert entry["lag_seconds"] == (job.completed_at - written_at).total_seconds() >= 40


async def test_failed_store_logs_its_reason_and_no_lag(house: House, capsys: Capsys) -> None:
    house.script(fetches=[ConnectionError("cut")] * 4)
    job = await house.until(await house.submit(await house.sign_up()), "generating")
    await house.deliver(job)
    out = capsys.readouterr().out
    assert '"storing_failed"' in out
    assert '"STORING_FAILED"' in out
    assert '"video_stored"' not in out


async def test_unfinished_jobs_are_counted_by_status(house: House, capsys: Capsys) -> None:
    caller = await house.sign_up()
    started = [await house.submit(caller) for _ in range(3)]
    await house.until(started[0], "generating")
    await transitions.apply(house.services, started[2].id, events.CancelRequested())
    counts = await sweeper.count_unfinished(house.services)
    logged = {entry["status"]: entry["jobs"] for entry in entries(capsys, "jobs_unfinished")}
    assert logged == counts
    assert sum(counts.values()) == 2
    assert counts["in_progress"] >= 1


async def test_failed_count_is_reported_to_the_scheduler(house: House) -> None:
    house.store.fail("count_jobs")
    with pytest.raises(Unavailable):
        await sweeper.count_unfinished(house.services)
