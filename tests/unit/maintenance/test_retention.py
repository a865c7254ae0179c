"""Videos not viewed within the retention time are removed."""

from __future__ import annotations

import pytest

from shared.core.documents import Job, Stage
from shared.core.errors import Unavailable
from shared.jobs import queries
from shared.maintenance import retention
from shared.platform import passes
from tests.unit.conftest import House

DAY_S = 86_400


async def old(house: House, count: int = 1) -> list[Job]:
    """Completed jobs whose time is over."""
    caller = await house.sign_up(balance=1_000_000)
    jobs = [await house.run(await house.submit(caller)) for _ in range(count)]
    house.clock.advance(366 * DAY_S)
    return jobs


async def test_expired_video_loses_its_files_and_keeps_its_ledger(house: House) -> None:
    (job,) = await old(house)
    assert await retention.apply_retention(house.services) == {"expired": 1, "failed": 0, "inputs_swept": 0}
    after = await house.run(job)
    assert after.stage is Stage.COMPLETED
    assert after.files_removed_at is not None
    assert await house.files() == []
    assert house.amounts(job) == [-30]


async def test_unexpired_video_is_kept(house: House) -> None:
    job = await house.run(await house.submit(await house.sign_up()))
    house.clock.advance(364 * DAY_S)
    assert (await retention.apply_retention(house.services))["expired"] == 0
    assert await house.job(job.id) == job


async def test_view_restarts_the_retention_time(house: House) -> None:
    job = await house.run(await house.submit(await house.sign_up()))
    house.clock.advance(300 * DAY_S)
    await queries.note_view(house.services, job)
    house.clock.advance(300 * DAY_S)
    assert (await retention.apply_retention(house.services))["expired"] == 0
    house.clock.advance(70 * DAY_S)
    assert (await retention.apply_retention(house.services))["expired"] == 1


async def test_hundred_views_a_day_are_one_write(house: House) -> None:
    job = await house.run(await house.submit(await house.sign_up()))
    house.clock.advance(2 * DAY_S)
    before = house.store.calls["commit"]
    for _ in range(100):
        await queries.note_view(house.services, await house.job(job.id))
    assert house.store.calls["commit"] == before + 1


async def test_view_succeeds_when_it_cannot_be_recorded(house: House) -> None:
    job = await house.run(await house.submit(await house.sign_up()))
    house.clock.advance(2 * DAY_S)
    house.store.fail("commit", times=10_000)
    await queries.note_view(house.services, job)


async def test_expiring_twice_changes_nothing_more(house: House) -> None:
    (job,) = await old(house)
    await retention.apply_retention(house.services)
    after = await house.run(job)
    assert await retention.apply_retention(house.services) == {"expired": 0, "failed": 0, "inputs_swept": 0}
    assert await house.job(job.id) == after


async def test_more_than_a_page_expires_in_one_pass(house: House) -> None:
    (job,) = await old(house)
    count = passes.PAGE + 5
    await house.store.commit([job.changed(id=f"video_{number:022d}", revision=None) for number in range(count - 1)])
    assert await retention.apply_retention(house.services) == {"expired": count, "failed": 0, "inputs_swept": 0}


async def test_unchangeable_job_does_not_stop_the_rest(house: House) -> None:
    await old(house, 3)
    house.queue.fail("create")
    assert await retention.apply_retention(house.services) == {"expired": 2, "failed": 1, "inputs_swept": 0}


async def test_pass_ends_when_nothing_can_be_changed(house: House) -> None:
    (job,) = await old(house)
    await house.store.commit([job.changed(id=f"video_{number:022d}", revision=None) for number in range(passes.PAGE)])
    house.store.remove(Job.collection, job.id)
    house.queue.fail("create", times=1_000_000)
    assert await retention.apply_retention(house.services) == {"expired": 0, "failed": passes.PAGE, "inputs_swept": 0}


async def test_unchangeable_page_does_not_stop_later_pages(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "PAGE", 2)
    await old(house, 4)
    house.queue.fail("create", times=2)
    assert await retention.apply_retention(house.services) == {"expired": 2, "failed": 2, "inputs_swept": 0}


async def test_pass_ends_on_time_and_the_next_does_the_rest(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "PAGE", 2)
    await old(house, 5)

    async def slow() -> None:
        house.clock.advance(passes.PASS_FOR.total_seconds() / 2)

    house.store.before("commit", slow, times=2)
    assert (await retention.apply_retention(house.services))["expired"] == 2
    assert (await retention.apply_retention(house.services))["expired"] == 3


async def test_database_outage_fails_the_pass(house: House) -> None:
    house.store.fail("expired_jobs")
    with pytest.raises(Unavailable):
        await retention.apply_retention(house.services)


async def test_retention_is_fixed_on_the_day_of_completion(house: House) -> None:
    house.configure(retention_days=1)
    job = await house.run(await house.submit(await house.sign_up()))
    house.configure(retention_days=100)
    house.clock.advance(DAY_S + 1)
    assert (await retention.apply_retention(house.services))["expired"] == 1
    assert (await house.job(job.id)).expires_at is None
