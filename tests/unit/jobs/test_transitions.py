"""The loop around every change: read, decide, commit, enqueue."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from shared.core import events
from shared.core.documents import Job, Stage
from shared.core.errors import Unavailable
from shared.jobs import transitions
from shared.platform import commits
from tests.unit.conftest import House


async def test_change_is_committed_and_its_task_created(house: House) -> None:
    job = await house.submit(await house.sign_up())
    await transitions.apply(house.services, job.id, events.LeaseRequested(0, "me"))
    outcome = await transitions.apply(house.services, job.id, events.Accepted(1, "op"))
    assert (await house.job(job.id)).stage is Stage.GENERATING
    assert await house.queue.exists(outcome.job.task)


async def test_inapplicable_event_changes_nothing_and_says_so(house: House) -> None:
    job = await house.submit(await house.sign_up())
    outcome = await transitions.apply(house.services, job.id, events.StillRunning(0))
    assert outcome.change is None
    assert await house.job(job.id) == outcome.job


async def test_missing_job_is_reported(house: House) -> None:
    with pytest.raises(transitions.JobMissing):
        await transitions.apply(house.services, "video_none", events.CancelRequested())


async def test_conflict_is_decided_again_on_current_data(house: House) -> None:
    job = await house.submit(await house.sign_up())

    async def rival() -> None:
        await transitions.apply(house.services, job.id, events.CancelRequested())

    house.store.before("commit", rival)
    outcome = await transitions.apply(house.services, job.id, events.LeaseRequested(0, "me"), job)
    assert outcome.change is None
    assert outcome.job.stage is Stage.CANCELED


async def test_stale_account_is_retried(house: House) -> None:
    caller = await house.sign_up()
    one, other = await house.submit(caller), await house.submit(caller)

    async def rival() -> None:
        account = await house.account()
        await house.store.commit([account.changed(change_id="rival", plan="gold")])

    house.store.before("commit", rival)
    await transitions.apply(house.services, one.id, events.CancelRequested())
    account = await house.account()
    assert (account.plan, account.balance, account.active_jobs) == ("gold", 470, (other.id,))
    house.check()


async def test_lost_commit_answer_is_recognized_as_our_own(house: House) -> None:
    job = await house.submit(await house.sign_up())
    house.store.lose("commit")
    outcome = await transitions.apply(house.services, job.id, events.CancelRequested())
    assert outcome.change is not None
    assert outcome.job.stage is Stage.CANCELED
    assert house.amounts(job) == [-30, 30]


async def test_lost_commit_answer_still_creates_the_task(house: House) -> None:
    job = await house.submit(await house.sign_up())
    await transitions.apply(house.services, job.id, events.LeaseRequested(0, "me"))
    house.store.lose("commit")
    outcome = await transitions.apply(house.services, job.id, events.Accepted(1, "op"))
    assert await house.queue.exists(outcome.job.task)


async def test_failed_commit_is_retried(house: House) -> None:
    job = await house.submit(await house.sign_up())
    house.store.fail("commit", times=3)
    await transitions.apply(house.services, job.id, events.CancelRequested())
    assert house.amounts(job) == [-30, 30]


async def test_endless_conflicts_are_unavailable_after_10s(house: House) -> None:
    job = await house.submit(await house.sign_up())

    async def rival() -> None:
        found = await house.job(job.id)
        await house.store._inner.commit([found.changed(change_id=house.services.ids())])

    house.store.before("commit", rival, times=10_000)
    began = house.clock()
    with pytest.raises(Unavailable):
        await transitions.apply(house.services, job.id, events.CancelRequested())
    assert timedelta(seconds=10) <= house.clock() - began < timedelta(seconds=11)
    assert house.amounts(job) == [-30]


async def test_failed_task_creation_is_reported_but_the_commit_stands(house: House) -> None:
    job = await house.submit(await house.sign_up())
    await transitions.apply(house.services, job.id, events.LeaseRequested(0, "me"))
    house.queue.fail("create")
    with pytest.raises(Unavailable):
        await transitions.apply(house.services, job.id, events.Accepted(1, "op"))
    assert (await house.job(job.id)).operation == "op"


async def test_failed_read_is_unavailable_at_once(house: House) -> None:
    job = await house.submit(await house.sign_up())
    house.store.fail("get")
    with pytest.raises(Unavailable):
        await transitions.apply(house.services, job.id, events.StillRunning(0))


async def test_every_change_has_a_new_change_id(house: House) -> None:
    job = await house.submit(await house.sign_up())
    seen = {job.change_id}
    for event in (
        events.LeaseRequested(0, "me"),
        events.Accepted(1, "op"),
        events.StillRunning(1),
        events.CancelRequested(),
    ):
        seen.add((await transitions.apply(house.services, job.id, event)).job.change_id)
    assert len(seen) == 5
    assert (await house.account()).change_id == (await house.job(job.id)).change_id


async def test_concurrent_cancels_refund_once(house: House) -> None:
    job = await house.submit(await house.sign_up())
    outcomes = await asyncio.gather(
        *(transitions.apply(house.services, job.id, events.CancelRequested(), job) for _ in range(20))
    )
    assert sum(outcome.change is not None for outcome in outcomes) == 1
    house.check()


async def test_writers_of_one_account_take_turns(house: House) -> None:
    caller = await house.sign_up()
    created = [await house.submit(caller) for _ in range(3)]
    before = house.store.calls["commit"]
    await asyncio.gather(*(transitions.apply(house.services, job.id, events.CancelRequested()) for job in created))
    assert house.store.calls["commit"] - before == 3


async def test_waiting_for_an_accounts_turn_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Firestore does not answer, holders of the lock wait for it; later callers are still answered."""
    monkeypatch.setattr(commits, "TRY_FOR", timedelta(milliseconds=20))
    job = await house.submit(await house.sign_up())
    async with commits.account_lock(job.account):
        await transitions.apply(house.services, job.id, events.CancelRequested())
    assert (await house.job(job.id)).stage is Stage.CANCELED
    house.check()


async def test_waiting_for_a_turn_does_not_count_as_an_attempt(house: House) -> None:
    job = await house.submit(await house.sign_up())
    async with commits.account_lock(job.account):
        canceling = asyncio.ensure_future(transitions.apply(house.services, job.id, events.CancelRequested()))
        await asyncio.sleep(0)
        house.clock.advance(2 * commits.TRY_FOR.total_seconds())
    house.store.fail("commit")
    assert (await canceling).job.stage is Stage.CANCELED


async def test_finished_job_is_logged_once_without_its_prompt(house: House, capsys: Any) -> None:
    job = await house.submit(await house.sign_up(), prompt="a secret boat")
    await transitions.apply(house.services, job.id, events.CancelRequested())
    await transitions.apply(house.services, job.id, events.CancelRequested())
    logged = capsys.readouterr().out
    assert logged.count('"job_ended"') == 1
    assert "secret" not in logged


async def test_just_read_job_is_not_read_again(house: House) -> None:
    job = await house.submit(await house.sign_up())
    before = house.store.calls["get"]
    await transitions.apply(house.services, job.id, events.LeaseRequested(0, "me"), job)
    assert house.store.calls["get"] == before


async def test_stale_known_job_is_read_again(house: House) -> None:
    job = await house.submit(await house.sign_up())
    await transitions.apply(house.services, job.id, events.LeaseRequested(0, "me"))
    outcome = await transitions.apply(house.services, job.id, events.LeaseRequested(0, "other"), job)
    assert outcome.change is None
    assert outcome.job.lease is not None
    assert outcome.job.lease.holder == "me"


async def test_short_database_outage_is_survived(house: House) -> None:
    job = await house.submit(await house.sign_up())
    house.store.fail("commit")
    house.store.lose("commit")
    house.store.fail("commit")
    outcome = await transitions.apply(house.services, job.id, events.CancelRequested())
    assert isinstance(outcome.job, Job)
    house.check()


async def test_late_effect_of_an_abandoned_commit_is_recognized(house: House) -> None:
    job = await house.submit(await house.sign_up())
    given_up: list[Any] = []

    async def late(documents: Any) -> Any:
        given_up.append(documents)
        raise Unavailable("no answer")

    async def arrive() -> None:
        house.store._inner.commit = commit
        await commit(given_up[0])

    house.store.let_pass("get_all")
    house.store.before("get_all", arrive)
    commit, house.store._inner.commit = house.store._inner.commit, late
    outcome = await transitions.apply(house.services, job.id, events.CancelRequested(), job)
    assert outcome.change is not None
    assert house.amounts(job) == [-30, 30]
    house.check()
