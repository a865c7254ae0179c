"""Re-enqueues lost tasks, and leaves late ones alone."""

from __future__ import annotations

import asyncio

import pytest

from local.memory.generator import Videos
from shared.accounts import exports
from shared.accounts.chores import Chore
from shared.core import events, lifecycle
from shared.core.documents import Job, Plan, Stage
from shared.core.errors import Unavailable
from shared.jobs import submission
from shared.jobs.transitions import apply
from shared.jobs.worker import TaskResult
from shared.maintenance import sweeper
from shared.platform import durable_tasks, passes
from shared.platform.identity import Caller
from shared.platform.provider import Running
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


async def test_lost_task_is_re_enqueued_under_a_new_name(house: House) -> None:
    (job,) = await fallen(house)
    assert await sweeper.sweep(house.services) == {"seen": 1, "restored": 1, "ended": 0, "failed": 0}
    after = await house.job(job.id)
    assert after.task.name != job.task.name
    assert await house.queue.exists(after.task)
    assert (await house.run(job)).stage is Stage.COMPLETED


async def test_existing_task_is_left_alone_however_late(house: House) -> None:
    job = await house.submit(await house.sign_up())
    house.clock.advance(5 * 3_600)
    assert await sweeper.sweep(house.services) == {"seen": 1, "restored": 0, "ended": 0, "failed": 0}
    assert await house.job(job.id) == job


async def test_thousand_late_tasks_are_left_alone_in_pages(house: House) -> None:
    job = await house.submit(await house.sign_up())
    many = [job.changed(id=f"video_{number:022d}", revision=None) for number in range(999)]
    await house.store.commit(many)
    house.clock.advance(LATE_S)
    assert await sweeper.sweep(house.services) == {"seen": 1_000, "restored": 0, "ended": 0, "failed": 0}
    assert {found.version for found in house.store.documents(Job)} == {1}


async def test_more_than_a_page_of_lost_tasks_is_re_enqueued_in_one_sweep(house: House) -> None:
    count = passes.PAGE + 20
    await fallen(house, count)
    assert await sweeper.sweep(house.services) == {"seen": count, "restored": count, "ended": 0, "failed": 0}
    assert len(house.queue.entries()) == count


async def test_slightly_late_job_is_not_checked(house: House) -> None:
    await house.submit(await house.sign_up())
    lose_tasks(house)
    house.clock.advance(lifecycle.SWEEP_AFTER_S)
    assert (await sweeper.sweep(house.services))["seen"] == 0


async def test_live_lease_is_left_alone(house: House) -> None:
    (job,) = await fallen(house)
    claimed = (await apply(house.services, job.id, events.LeaseRequested(0, "me"))).job
    house.clock.advance(lifecycle.LEASE_S - 1)
    await sweeper.sweep(house.services)
    assert await house.job(job.id) == claimed


async def test_expired_lease_becomes_an_uncertain_start(house: House) -> None:
    (job,) = await fallen(house)
    await apply(house.services, job.id, events.LeaseRequested(0, "me"))
    house.clock.advance(lifecycle.LEASE_S + LATE_S)
    assert (await sweeper.sweep(house.services))["restored"] == 1
    assert (await house.job(job.id)).stage is Stage.UNCERTAIN
    assert house.creates == 0


async def test_failed_re_enqueue_does_not_stop_the_rest(house: House) -> None:
    await fallen(house, 5)
    house.queue.let_pass("exists", 2)
    house.queue.fail("exists")
    assert await sweeper.sweep(house.services) == {"seen": 5, "restored": 4, "ended": 0, "failed": 1}


async def test_vanished_job_does_not_stop_the_rest(house: House) -> None:
    one, other = await fallen(house, 2)

    async def vanish() -> None:
        house.store.remove("jobs", one.id)

    house.queue.before("exists", vanish)
    swept = await sweeper.sweep(house.services)
    assert (swept["seen"], swept["restored"]) == (2, 1)
    assert await house.queue.exists((await house.job(other.id)).task)


async def test_next_sweep_repairs_what_failed(house: House) -> None:
    (job,) = await fallen(house)
    house.queue.fail("create")
    assert (await sweeper.sweep(house.services))["failed"] == 1
    house.clock.advance(LATE_S)
    assert (await sweeper.sweep(house.services))["restored"] == 1
    assert await house.queue.exists((await house.job(job.id)).task)


async def test_concurrent_sweeps_re_enqueue_once(house: House) -> None:
    (job,) = await fallen(house)
    results = await asyncio.gather(sweeper.sweep(house.services), sweeper.sweep(house.services))
    assert sum(result["restored"] for result in results) == 1
    assert (await house.job(job.id)).step == 1
    assert len(house.queue.entries()) == 1


async def test_ended_job_with_cleanup_left_is_re_enqueued(house: House) -> None:
    caller = await house.sign_up()
    job = await house.until(await house.submit(caller), "generating")
    house.queue.fail("create")
    await submission.cancel(house.services, caller, job.id)
    house.queue.purge()
    house.clock.advance(LATE_S)
    assert (await sweeper.sweep(house.services))["restored"] == 1
    await house.run(job)


async def test_ended_jobs_are_skipped(house: House) -> None:
    await house.run(await house.submit(await house.sign_up()))
    house.clock.advance(30 * 86_400)
    assert (await sweeper.sweep(house.services))["seen"] == 0


async def test_database_outage_fails_the_sweep_for_the_scheduler_to_retry(house: House) -> None:
    house.store.fail("due")
    with pytest.raises(Unavailable):
        await sweeper.sweep(house.services)


async def test_unreadable_job_does_not_stop_the_rest(house: House) -> None:
    broken, _ = await fallen(house, 2)
    house.store.edit("jobs", broken.id, {"step": "seven"})
    assert (await sweeper.sweep(house.services))["restored"] == 1


async def test_one_sweep_recovers_a_restore_despite_blocked_task_names(house: House) -> None:
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


async def test_one_sweep_recovers_an_export_after_a_restore(house: House) -> None:
    caller = await house.sign_up()
    started = await exports.start(house.services, caller)
    await house.deliver_next()
    backup = house.store.snapshot()
    for _ in exports.PHASES:
        await house.deliver_next()
    house.store.load(backup)
    house.queue.purge()
    house.clock.advance(LATE_S)
    assert (await durable_tasks.sweep(house.services, Chore))["restored"] == 1
    for _ in exports.PHASES[1:]:
        await house.deliver_next()
    assert (await exports.get(house.services, caller, started.id)).status == "completed"


# --- deadlines ---


async def test_overdue_queued_job_is_ended_despite_its_task(house: House) -> None:
    """As in a paused queue: nothing is ever delivered from it."""
    house.configure(queue_timeout_s=600)
    job = await house.submit_veo(await house.sign_up())
    house.clock.advance(599)
    assert (await sweeper.sweep(house.services))["ended"] == 0
    house.clock.advance(LATE_S)
    assert await sweeper.sweep(house.services) == {"seen": 1, "restored": 0, "ended": 1, "failed": 0}
    ended = await house.job(job.id)
    assert (ended.stage, ended.error and ended.error.code) == (Stage.FAILED, "QUEUE_TIMEOUT")
    assert house.amounts(job) == [-40, 40]
    assert (await house.account()).active_jobs == ()
    assert not await house.queue.exists(job.task)
    assert await house.deliver(job, step=0) is TaskResult.ACK
    house.check()


async def test_overdue_waiting_job_is_ended_despite_its_task(house: House) -> None:
    house.configure(active_jobs_limit=0, queue_timeout_s=600, plans={"default": Plan(may_wait=True)})
    job = await house.submit(await house.sign_up(), on_limit="wait")
    house.clock.advance(600 + LATE_S)
    assert (await sweeper.sweep(house.services))["ended"] == 1
    assert (await house.job(job.id)).stage is Stage.FAILED
    assert house.amounts(job) == [-30, 30]


async def uncertain(house: House) -> Job:
    """A job with an unknown start outcome, whose task is never delivered again."""
    house.script(creates=[ConnectionError("cut")])
    job = await house.until(await house.submit_veo(await house.sign_up()), "uncertain")
    house.clock.advance(360 + LATE_S)
    return job


async def test_overdue_uncertain_job_is_ended_despite_its_task(house: House) -> None:
    job = await uncertain(house)
    assert (await sweeper.sweep(house.services))["ended"] == 1
    ended = await house.job(job.id)
    assert (ended.stage, ended.error and ended.error.code) == (Stage.FAILED, "START_UNCERTAIN")
    assert house.amounts(job) == [-40, 40]


async def test_uncertain_job_is_restarted_if_the_policy_says_so(house: House) -> None:
    house.configure(uncertain_policy="restart_once")
    job = await uncertain(house)
    assert (await sweeper.sweep(house.services))["restored"] == 1
    assert (await house.job(job.id)).stage is Stage.QUEUED
    assert (await house.run(job)).stage is Stage.COMPLETED


@pytest.mark.parametrize("has_task", [True, False])
async def test_uncertain_job_with_a_video_in_the_bucket_is_left_to_a_delivery(
    house: House, veo_video: bytes, has_task: bool
) -> None:
    job = await uncertain(house)
    await house.media.write(f"{job.prefix}1/sample_0.mp4", lambda file: file.write(veo_video), "video/mp4")
    if not has_task:
        house.queue.purge()
    assert await sweeper.sweep(house.services) == {"seen": 1, "restored": int(not has_task), "ended": 0, "failed": 0}
    assert (await house.run(job)).stage is Stage.COMPLETED


async def test_uncertain_job_during_a_bucket_outage_waits_for_the_next_sweep(house: House) -> None:
    job = await uncertain(house)
    house.media.fail("list")
    assert (await sweeper.sweep(house.services))["failed"] == 1
    assert await house.job(job.id) == job


@pytest.mark.parametrize("stage", ["generating", "storing"])
async def test_billed_generation_keeps_its_last_attempt(house: House, stage: str) -> None:
    """A delivery polls or stores once more; the sweep only ensures that there is one."""
    job = await house.until(await house.submit_veo(await house.sign_up()), "generating")
    if stage == "storing":
        await apply(house.services, job.id, events.GenerationFinished(job.step, "died", ("gs://videos/x.mp4",)))
    house.clock.advance(10 * 3_600)
    house.queue.purge()
    assert await sweeper.sweep(house.services) == {"seen": 1, "restored": 1, "ended": 0, "failed": 0}
    assert (await house.job(job.id)).stage == stage


async def test_overdue_backlog_takes_no_paced_starts_from_live_jobs(house: House) -> None:
    house.configure(active_jobs_limit=500, queue_timeout_s=600)
    caller = await house.sign_up(balance=1_000_000)
    for _ in range(100):
        await house.submit_veo(caller)
    house.clock.advance(600 + LATE_S)
    fresh = await house.submit_veo(caller)
    assert (await sweeper.sweep(house.services))["ended"] == 100
    assert [entry.task.body["job"] for entry in house.queue.take()] == [fresh.id]


async def test_canceled_job_takes_no_paced_start(house: House) -> None:
    caller = await house.sign_up()
    canceled, other = await house.submit_veo(caller), await house.submit_veo(caller)
    await submission.cancel(house.services, caller, canceled.id)
    assert [entry.task.body["job"] for entry in house.queue.take()] == [other.id]


async def test_undeletable_task_finds_nothing_to_do(house: House) -> None:
    house.configure(queue_timeout_s=600)
    job = await house.submit_veo(await house.sign_up())
    house.clock.advance(600 + LATE_S)
    house.queue.fail("delete")
    assert (await sweeper.sweep(house.services))["ended"] == 1
    assert await house.queue.exists(job.task)
    await house.deliver_next()
    assert not await house.queue.exists(job.task)
    assert house.creates == 0


async def test_job_that_cannot_be_handled_does_not_stop_the_rest(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = await fallen(house, 3)
    house.queue.fail("exists", error=ZeroDivisionError)
    assert await sweeper.sweep(house.services) == {"seen": 3, "restored": 2, "ended": 0, "failed": 1}
    assert '"document_not_swept"' in capsys.readouterr().out
    assert sorted([(await house.job(job.id)).step for job in jobs]) == [0, 1, 1]


# --- a backlog longer than a page ---


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "PAGE", 5)
    monkeypatch.setattr(passes, "NEW_PER_SWEEP", 20)
    monkeypatch.setattr(passes, "AGAIN_PER_SWEEP", 10)


async def backlog(house: House, count: int) -> list[Job]:
    """Jobs that wait in a paced queue, one due each second, all of them late."""
    house.configure(active_jobs_limit=500)
    caller = await house.sign_up(balance=1_000_000)
    jobs = []
    for _ in range(count):
        jobs.append(await house.submit_veo(caller))
        house.clock.advance(1)
    house.clock.advance(LATE_S)
    return jobs


@pytest.mark.usefixtures("small_pages")
async def test_sweep_of_a_long_backlog_is_bounded_and_covers_it_in_turn(house: House) -> None:
    jobs = await backlog(house, 50)
    seen = [(await sweeper.sweep(house.services))["seen"] for _ in range(3)]
    assert seen == [20, 30, 20]
    looked_up = house.queue.calls["exists"]
    for _ in range(4):
        assert (await sweeper.sweep(house.services))["seen"] == 10
    assert house.queue.calls["exists"] == looked_up + 40
    for job in (jobs[0], jobs[24], jobs[49]):
        house.queue.drop(job.task)
    restored = 0
    for _ in range(6):
        restored += (await sweeper.sweep(house.services))["restored"]
    assert restored == 3
    assert {found.step for found in house.store.documents(Job)} == {0, 1}


@pytest.mark.usefixtures("small_pages")
async def test_lost_job_behind_a_long_backlog_is_found_by_the_next_sweep(house: House) -> None:
    jobs = await backlog(house, 40)
    for _ in range(5):
        await sweeper.sweep(house.services)
    house.queue.fail("create")
    lost = await house.submit_veo(Caller("alice", "default", "user", "default", None))
    house.clock.advance(LATE_S)
    assert (await sweeper.sweep(house.services))["restored"] == 1
    assert await house.queue.exists((await house.job(lost.id)).task)
    assert (await house.job(jobs[0].id)).step == 0


@pytest.mark.usefixtures("small_pages")
async def test_overdue_jobs_are_ended_first_despite_a_backlog(house: House) -> None:
    jobs = await backlog(house, 40)
    for _ in range(5):
        await sweeper.sweep(house.services)
    house.configure(queue_timeout_s=96)
    assert (await sweeper.sweep(house.services))["ended"] >= 5
    assert (await house.job(jobs[0].id)).stage is Stage.FAILED
    assert (await house.job(jobs[39].id)).stage is Stage.QUEUED


@pytest.mark.usefixtures("small_pages")
async def test_purged_queue_is_re_enqueued_at_full_speed(house: House) -> None:
    await backlog(house, 40)
    for _ in range(5):
        await sweeper.sweep(house.services)
    house.queue.purge()
    assert (await sweeper.sweep(house.services))["restored"] == 20


@pytest.mark.usefixtures("small_pages")
async def test_queue_outage_leaves_no_gap_in_a_long_backlog(house: House) -> None:
    jobs = await backlog(house, 15)
    house.queue.purge()
    house.queue.fail("exists", times=10)
    while (await sweeper.sweep(house.services))["failed"]:
        pass
    for _ in range(3):
        await sweeper.sweep(house.services)
    assert {(await house.job(job.id)).step for job in jobs} == {1}


@pytest.mark.usefixtures("small_pages")
async def test_unwritable_cursor_costs_only_work(house: House) -> None:
    await backlog(house, 15)
    house.queue.purge()
    house.store.let_pass("commit", 15)
    house.store.fail("commit")
    assert (await sweeper.sweep(house.services))["restored"] == 15
    assert (await sweeper.sweep(house.services))["failed"] == 0
