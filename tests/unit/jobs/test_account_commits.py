"""Grouped commits: one batch for all that waits for an account, and each of it judged by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from local.memory.region import REGION, DistantStore
from shared.api.videos import CreateVideo
from shared.core import events, ledger
from shared.core.documents import Job, Stage, Transaction
from shared.core.errors import ApiError, Unavailable
from shared.jobs import account_commits, submission, transitions
from shared.platform import commits as commits_of_process
from shared.platform.identity import Caller
from tests.unit.conftest import House

BODY = CreateVideo(prompt="a paper boat", model="omni-flash", seconds=3, resolution="360p")  # 30 credits
LONGER = BODY.model_copy(update={"seconds": 10})  # 100 credits


@pytest.fixture(autouse=True)
def far_away(house: House) -> None:
    """Firestore takes its time, so that others come meanwhile."""
    house.configure(active_jobs_limit=100)
    house.store._inner = DistantStore(house.store._inner, REGION, house.clock.sleep)


async def submit(house: House, caller: Caller, body: CreateVideo = BODY, key: str | None = None) -> Any:
    return await submission.submit(house.services, caller, body, key)


async def user(house: House, balance: int) -> Caller:
    caller = await house.sign_up()
    await give(house, balance - 500)
    return caller


async def give(house: House, credits_: int) -> None:
    """As another process would, by an entry that no tenant's budget has to account for."""
    account = (await house.account()).changed(change_id=house.services.ids())
    entry_id = f"{account.change_id}-signup"
    await house.store._inner.commit(ledger.post(account, entry_id, "signup", credits_, "given", house.clock()))


async def together(*calls: Any) -> list[Any]:
    """What each came to: a value, or the exception."""
    return await asyncio.gather(*calls, return_exceptions=True)


def commits(house: House) -> int:
    return int(house.store.calls["commit"])


async def test_waiting_submits_of_an_account_share_a_commit(house: House) -> None:
    """The first need not wait; those that arrive during its commit go together."""
    caller = await user(house, 500)
    before = commits(house)
    made = await together(*(submit(house, caller) for _ in range(16)))
    assert [each.job.stage for each in made] == [Stage.QUEUED] * 16
    assert commits(house) - before == 2
    sequences = [entry.sequence for entry in house.store.documents(Transaction)]
    assert sorted(sequences) == list(range(1, 19))
    house.check()


async def test_commit_holds_at_most_20(house: House) -> None:
    caller = await user(house, 2_000)
    sizes: list[int] = []
    commit = house.store._inner.commit

    async def counted(documents: Any) -> Any:
        sizes.append(sum(isinstance(each, Job) for each in documents))
        return await commit(documents)

    house.store._inner.commit = counted
    await together(*(submit(house, caller) for _ in range(50)))
    assert sizes == [1, 20, 20, 9]
    house.check()


async def test_commit_holds_at_most_9_mib(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = await user(house, 500)
    one = len((await submit(house, caller)).job.model_dump_json())
    monkeypatch.setattr(account_commits, "MOST_BYTES", 3 * one)
    before = commits(house)
    made = await together(*(submit(house, caller) for _ in range(9)))
    assert all(each.job.stage is Stage.QUEUED for each in made)
    assert commits(house) - before >= 3
    house.check()


async def test_refusal_is_individual_and_shows_the_committed_account(house: House) -> None:
    """Of 130 credits the longer one finds 70 when its turn comes; 10 are what is left in the end."""
    caller = await user(house, 130)
    bodies = (BODY, BODY, LONGER, BODY, BODY)
    made = await together(*(submit(house, caller, body) for body in bodies))
    assert [type(each) for each in made] == [submission.Submitted] * 2 + [ApiError] + [submission.Submitted] * 2
    assert made[2].details == {"required": 100, "available": 10, "deficit": 90}
    assert (await house.account()).balance == 10
    house.check()


async def test_refunded_credits_are_available_to_submits_in_the_same_commit(house: House) -> None:
    caller = await user(house, 60)
    first = (await submit(house, caller)).job
    cancel = transitions.apply(house.services, first.id, events.CancelRequested())
    made = await together(submit(house, caller), submit(house, caller), cancel)
    assert [type(each) for each in made] == [submission.Submitted, submission.Submitted, transitions.Outcome]
    house.check()


async def test_finished_jobs_of_an_account_share_a_commit(house: House) -> None:
    caller = await user(house, 500)
    made = [(await submit(house, caller)).job for _ in range(10)]
    before = commits(house)
    ended = await together(*(transitions.apply(house.services, job.id, events.CancelRequested()) for job in made))
    assert all(each.change is not None and each.job.stage is Stage.CANCELED for each in ended)
    assert commits(house) - before < 10
    assert (await house.account()).active_jobs == ()
    house.check()


async def test_repeated_key_among_others_creates_one_job(house: House) -> None:
    caller = await user(house, 500)
    made = await together(*(submit(house, caller, key=key) for key in ("a", "b", "a", "c", "a", "b")))
    assert len({each.job.id for each in made}) == 3
    assert sum(not each.replayed for each in made) == 3
    house.check()


@pytest.mark.parametrize("spoil", ["lose", "fail"])
async def test_commit_without_an_answer_is_resolved_for_each(house: House, spoil: str) -> None:
    caller = await user(house, 500)
    getattr(house.store, spoil)("commit")
    made = await together(*(submit(house, caller, key=str(number)) for number in range(5)))
    assert [each.replayed for each in made] == [False] * 5
    assert len(house.store.documents(Job)) == 5
    house.check()


async def test_refusal_waits_for_the_commit_it_depends_on(house: House) -> None:
    """Another process gives credits just before: what was refused during that commit is decided again."""
    caller = await user(house, 70)

    house.store.let_pass("commit")
    house.store.before("commit", lambda: give(house, 100))
    made = await together(submit(house, caller), submit(house, caller), submit(house, caller, LONGER))
    assert [type(each) for each in made] == [submission.Submitted] * 3
    house.check()


async def test_disconnected_client_withdraws_only_its_own_submission(house: House) -> None:
    caller = await user(house, 500)
    started, go_on = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        started.set()
        await go_on.wait()

    house.store.before("commit", hang)
    leader = asyncio.ensure_future(submit(house, caller))
    followers = [asyncio.ensure_future(submit(house, caller)) for _ in range(4)]
    await started.wait()
    leader.cancel()
    followers[1].cancel()
    made = await together(*followers)
    assert [type(each) for each in made] == [
        submission.Submitted, asyncio.CancelledError, submission.Submitted, submission.Submitted
    ]  # fmt: skip
    house.check()


async def test_timeout_on_an_own_commit_is_never_a_refusal(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit in progress may be what spends the credits: its outcome is unknown, which is no refusal."""
    caller = await user(house, 60)
    hanging, go_on, given_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        hanging.set()
        await go_on.wait()

    async def acquired(lock: asyncio.Lock) -> bool:
        acquiring = asyncio.ensure_future(lock.acquire())
        giving_up = asyncio.ensure_future(given_up.wait())
        await asyncio.wait((acquiring, giving_up), return_when=asyncio.FIRST_COMPLETED)
        giving_up.cancel()
        if not acquiring.done():
            acquiring.cancel()
        return acquiring.done()

    monkeypatch.setattr(commits_of_process, "_acquired", acquired)
    house.store.before("commit", hang)
    calls = [asyncio.ensure_future(submit(house, caller)) for _ in range(3)]
    await hanging.wait()
    given_up.set()
    # The first leads; the second is in its commit; for the third no credits are left, if that comes to be.
    late = await together(*calls[1:])
    assert [each.code for each in late] == ["UNAVAILABLE"] * 2
    go_on.set()
    assert isinstance((await calls[0]), submission.Submitted)
    assert (await house.job(late[0].details["video"])).stage is Stage.QUEUED
    assert await house.store.get(Job, late[1].details["video"]) is None
    house.check()


async def test_unstorable_submission_fails_alone(house: House) -> None:
    caller = await user(house, 500)
    commit = house.store._inner.commit

    async def picky(documents: Any) -> Any:
        if any(isinstance(each, Job) and each.request.seconds == 10 for each in documents):
            raise ValueError("not a value of Firestore's")
        return await commit(documents)

    house.store._inner.commit = picky
    made = await together(*(submit(house, caller, body) for body in (BODY, BODY, LONGER, BODY)))
    assert [type(each) for each in made] == [
        submission.Submitted, submission.Submitted, ValueError, submission.Submitted
    ]  # fmt: skip
    house.check()


async def test_failed_read_is_unavailable_for_all_waiters(house: House) -> None:
    caller = await user(house, 500)
    house.store.let_pass("get_all")
    house.store.fail("get_all")
    made = await together(*(submit(house, caller) for _ in range(4)))
    assert [type(each) for each in made] == [submission.Submitted] + [ApiError] * 3
    assert {each.code for each in made[1:]} == {"UNAVAILABLE"}
    house.check()


async def test_unresolved_outcome_is_reported_as_unknown(house: House) -> None:
    caller = await user(house, 500)
    job = (await submit(house, caller)).job
    house.store.fail("commit", times=10_000)
    made = await together(
        transitions.apply(house.services, job.id, events.CancelRequested()),
        transitions.apply(house.services, job.id, events.CancelRequested()),
    )
    assert {type(each) for each in made} == {Unavailable}
