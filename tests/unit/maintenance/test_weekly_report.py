"""The week's figures: of the full days that are over, from the jobs themselves, once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.core.documents import STATUS_OF, Job, JobError, Stage, TaskRef, VideoRequest
from shared.core.errors import Unavailable
from shared.maintenance import weekly_report
from shared.platform import passes
from tests.unit.conftest import House

# A Monday morning; the week is that of Monday the 16th to Sunday the 22nd.
MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)


def a_job(number: int, stage: Stage = Stage.COMPLETED, took_s: float = 60, **changes: Any) -> Job:
    """A job that ended on Sunday, of the account that its number's parity names."""
    request = VideoRequest(
        prompt="a boat",
        model="omni-flash",
        seconds=3,
        aspect_ratio="16:9",
        resolution="360p",
        generate_audio=True,
    )
    began = SUNDAY - timedelta(seconds=took_s)
    job = Job(
        id=f"video_{number:022d}",
        tenant="default",
        account="even" if number % 2 == 0 else "odd",
        request=request,
        provider="gemini" if request.model == "omni-flash" else "vertex",
        fingerprint="f",
        status=STATUS_OF[stage],
        stage=stage,
        task=TaskRef(name=f"{number}-0", queue="poll"),
        due_at=None,
        expected_s=60.0,
        cost=30,
        attempt_started_at=began,
        storing_started_at=SUNDAY,
        completed_at=SUNDAY,
        created_at=began,
        updated_at=SUNDAY,
    )
    return job.changed(**changes)


async def figures(house: House, *jobs: Job) -> dict[str, Any]:
    house.clock.now = MONDAY
    if jobs:
        await house.store.commit(jobs)
    return await weekly_report.report_last_week(house.services)


async def test_week_is_summarized_and_logged(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    late = JobError(code="GENERATION_TIMEOUT", message="m")
    told = await figures(
        house,
        a_job(0, took_s=10),
        a_job(1, took_s=20),
        a_job(2, took_s=30),
        a_job(3, Stage.FAILED, refunded=30, error=late),
        a_job(4, Stage.CANCELED, refunded=30, took_s=999),
    )
    assert told == {
        "week": "2026-11-16 to 2026-11-22",
        "completed": 3,
        "failed": 1,
        "canceled": 1,
        "success_percent": 75.0,
        "generation_p50_s": 20.0,
        "generation_p95_s": 29.0,
        "credits_charged": 150,
        "credits_refunded": 60,
        "accounts": 2,
        "top_accounts": {"even": 90, "odd": 60},
        "failures": {"GENERATION_TIMEOUT": 1},
    }
    entry = json.loads(capsys.readouterr().out)
    assert entry["message"] == "digest"
    assert {name: entry[name] for name in told} == told


async def test_only_full_days_of_the_last_seven_count(house: House) -> None:
    first = datetime(2026, 11, 16, tzinfo=UTC)
    outside = [first - timedelta(microseconds=1), MONDAY.replace(hour=0), MONDAY]
    jobs = [a_job(number, completed_at=at, cost=10**number) for number, at in enumerate([first, SUNDAY, *outside])]
    told = await figures(house, *jobs, a_job(9, Stage.GENERATING, completed_at=None))
    assert (told["completed"], told["credits_charged"]) == (2, 11)


async def test_repeat_on_the_same_day_gives_the_same(house: House) -> None:
    told = await figures(house, a_job(1))
    house.clock.advance(3_600)
    assert await weekly_report.report_last_week(house.services) == told


async def test_week_without_jobs_has_no_rates(house: House) -> None:
    told = await figures(house)
    assert (told["completed"], told["credits_charged"], told["accounts"]) == (0, 0, 0)
    assert (told["success_percent"], told["generation_p50_s"], told["generation_p95_s"]) == (None, None, None)


async def test_one_job_is_its_own_percentiles(house: House) -> None:
    told = await figures(house, a_job(1, took_s=12))
    assert (told["generation_p50_s"], told["generation_p95_s"]) == (12.0, 12.0)


async def test_more_than_a_page_is_counted_fully(house: House) -> None:
    told = await figures(house, *(a_job(number) for number in range(passes.PAGE + 1)))
    assert told["completed"] == passes.PAGE + 1


async def test_only_the_top_spending_accounts_are_named(house: House) -> None:
    jobs = [a_job(number, account=f"account-{number}", cost=number) for number in range(weekly_report.TOP_ACCOUNTS + 3)]
    told = await figures(house, *jobs)
    assert told["accounts"] == len(jobs)
    assert list(told["top_accounts"].values()) == [7, 6, 5, 4, 3]


async def test_deleted_failed_job_is_counted_without_its_reason(house: House) -> None:
    assert (await figures(house, a_job(1, Stage.FAILED)))["failures"] == {"deleted": 1}


async def test_database_outage_fails_the_report_for_the_scheduler_to_retry(house: House) -> None:
    house.store.fail("ended_jobs")
    with pytest.raises(Unavailable):
        await figures(house)
