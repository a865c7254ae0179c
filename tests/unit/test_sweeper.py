"""Puts back what fell, and leaves alone what is only late."""

from __future__ import annotations

import asyncio

import pytest

from local.memory.generator import Videos
from shared import errands, events, exports, lifecycle, submission, sweeper
from shared.chores import Chore
from shared.errors import Unavailable
from shared.generators import Running
from shared.jobs import advance
from shared.models import Job, Stage
from tests.unit.conftest import House

LATE_S = lifecycle.SWEEP_AFTER_S + 1


def lose_tasks(house: House) -> None:
    """All tasks are gone, as if they had never been created; the sweeper minds no tombstones."""
    house.queue.purge()


async def fallen(house: House, count: int = 1) -> list[Job]:
    """Queued jobs without a task, due long ago."""
    house.configure(active_jobs_limit=500)
    caller = await house.sign_up(balance=1_000_000)
    jobs = [await house.submit(caller) for _ in range(count)]
    lose_tasks(house)
    house.clock.advance(LATE_S)
    return jobs


async def test_a_lost_task_is_put_back_under_a_new_name(house: House) -> None:
    (job,) = await fallen(house)
    assert await sweeper.sweep(house.services) == {"seen": 1, "restored": 1, "failed": 0}
    after = await house.job(job.id)
    assert after.task.name != job.task.name
    assert await house.queue.exists(after.task)
    assert (await house.run(job)).stage is Stage.COMPLETED


async def test_a_task_that_is_there_is_left_alone_however_late(house: House) -> None:
    job = await house.submit(await house.sign_up())
    house.clock.advance(20 * 3_600)
    assert await sweeper.sweep(house.services) == {"seen": 1, "restored": 0, "failed": 0}
    assert await house.job(job.id) == job


async def test_a_thousand_late_tasks_are_left_alone_page_by_page(house: House) -> None:
    job = await house.submit(await house.sign_up())
    many = [job.changed(id=f"video_{number:022d}", revision=None) for number in range(999)]
    await house.store.commit(many)
    house.clock.advance(LATE_S)
    assert await sweeper.sweep(house.services) == {"seen": 1_000, "restored": 0, "failed": 0}
    assert house.store.calls["due_jobs"] == 1_000 // sweeper.PAGE + 1
    assert {found.version for found in house.store.documents(Job)} == {1}


async def test_more_than_a_page_of_lost_tasks_is_put_back_in_one_sweep(house: House) -> None:
    count = sweeper.PAGE + 20
    await fallen(house, count)
    assert await sweeper.sweep(house.services) == {"seen": count, "restored": count, "failed": 0}
    assert len(house.queue.entries()) == count


async def test_a_job_that_is_hardly_late_is_not_looked_at(house: House) -> None:
    await house.submit(await house.sign_up())
    lose_tasks(house)
    house.clock.advance(lifecycle.SWEEP_AFTER_S)
    assert (await sweeper.sweep(house.services))["seen"] == 0


async def test_a_live_lease_is_never_touched(house: House) -> None:
    (job,) = await fallen(house)
    claimed = (await advance(house.services, job.id, events.Claim(0, "me"))).job
    house.clock.advance(lifecycle.LEASE_S - 1)
    await sweeper.sweep(house.services)
    assert await house.job(job.id) == claimed


async def test_a_dead_lease_gets_a_task_that_finds_the_attempt(house: House) -> None:
    (job,) = await fallen(house)
    await advance(house.services, job.id, events.Claim(0, "me"))
    house.clock.advance(lifecycle.LEASE_S + LATE_S)
    assert (await sweeper.sweep(house.services))["restored"] == 1
    await house.deliver_next()
    assert (await house.job(job.id)).stage is Stage.UNCERTAIN
    assert house.creates == 0


async def test_a_job_that_cannot_be_put_back_does_not_stop_the_others(house: House) -> None:
    await fallen(house, 5)
    house.queue.let_pass("exists", 2)
    house.queue.fail("exists")
    assert await sweeper.sweep(house.services) == {"seen": 5, "restored": 4, "failed": 1}


async def test_a_job_that_vanished_meanwhile_does_not_stop_the_others(house: House) -> None:
    one, other = await fallen(house, 2)

    async def vanish() -> None:
        house.store.remove("jobs", one.id)

    house.queue.before("exists", vanish)
    swept = await sweeper.sweep(house.services)
    assert (swept["seen"], swept["restored"]) == (2, 1)
    assert await house.queue.exists((await house.job(other.id)).task)


async def test_the_next_sweep_mends_what_this_one_could_not(house: House) -> None:
    (job,) = await fallen(house)
    house.queue.fail("create")
    assert (await sweeper.sweep(house.services))["failed"] == 1
    house.clock.advance(LATE_S)
    assert (await sweeper.sweep(house.services))["restored"] == 1
    assert await house.queue.exists((await house.job(job.id)).task)


async def test_two_sweeps_at_once_put_a_job_back_once(house: House) -> None:
    (job,) = await fallen(house)
    results = await asyncio.gather(sweeper.sweep(house.services), sweeper.sweep(house.services))
    assert sum(result["restored"] for result in results) == 1
    assert (await house.job(job.id)).step == 1
    assert len(house.queue.entries()) == 1


async def test_an_ended_job_that_is_still_to_be_tidied_is_put_back_as_well(house: House) -> None:
    caller = await house.sign_up()
    job = await house.until(await house.submit(caller), "generating")
    house.queue.fail("create")
    await submission.cancel(house.services, caller, job.id)
    house.queue.purge()
    house.clock.advance(LATE_S)
    assert (await sweeper.sweep(house.services))["restored"] == 1
    await house.run(job)


async def test_ended_jobs_are_not_seen(house: House) -> None:
    await house.run(await house.submit(await house.sign_up()))
    house.clock.advance(30 * 86_400)
    assert (await sweeper.sweep(house.services))["seen"] == 0


async def test_a_store_that_is_down_fails_the_sweep_so_that_the_scheduler_repeats_it(house: House) -> None:
    house.store.fail("due_jobs")
    with pytest.raises(Unavailable):
        await sweeper.sweep(house.services)


async def test_a_job_document_that_cannot_be_read_does_not_stop_the_others(house: House) -> None:
    broken, _ = await fallen(house, 2)
    house.store.edit("jobs", broken.id, {"step": "seven"})
    assert (await sweeper.sweep(house.services))["restored"] == 1


async def test_after_a_restore_one_sweep_is_enough_though_the_queue_remembers_the_lost_steps(house: House) -> None:
    """Cloud Tasks blocks the names of the steps that the restored database will reach once more."""
    job = await house.submit_veo(await house.sign_up())
    house.script(looks=[Running(), Running(), Running(), Videos()])
    generating = await house.until(job, "generating")
    backup = house.store.snapshot()
    lost = await house.run(job)
    assert lost.step > generating.step + 1
    house.store.load(backup)
    house.queue.purge()
    house.clock.advance(LATE_S)
    assert (await sweeper.sweep(house.services))["restored"] == 1
    assert (await house.run(job)).stage is Stage.COMPLETED
    house.check()


async def test_after_a_restore_an_export_needs_one_sweep_too(house: House) -> None:
    caller = await house.sign_up()
    started = await exports.start(house.services, caller)
    await house.deliver_next()
    backup = house.store.snapshot()
    for _ in exports.PHASES:
        await house.deliver_next()
    house.store.load(backup)
    house.queue.purge()
    house.clock.advance(LATE_S)
    assert (await errands.sweep(house.services, Chore))["restored"] == 1
    for _ in exports.PHASES[1:]:
        await house.deliver_next()
    assert (await exports.get(house.services, caller, started.id)).status == "completed"
