"""What keeps spending and activity within bounds: waiting for a slot, daily caps, and the outcome of a key."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.api.videos import CreateVideo
from shared.core.documents import Account, Job, Plan, Stage
from shared.core.errors import ApiError
from shared.jobs import submission
from shared.platform.identity import Caller
from tests.unit.conftest import House

FOUR_SECONDS = {"prompt": "a boat", "seconds": 4}  # 40 credits


async def create(house: House, caller: Caller, key: str | None = None, **body: object) -> Job:
    asked = CreateVideo.model_validate({**FOUR_SECONDS, **body})
    return (await submission.submit(house.services, caller, asked, key)).job


async def test_job_over_the_limit_waits_if_the_plan_allows_it(house: House) -> None:
    house.configure(active_jobs_limit=1, plans={"default": Plan(may_wait=True)})
    caller = await house.sign_up()
    await create(house, caller)
    waiting = await create(house, caller, on_limit="wait")
    assert (waiting.stage, waiting.task.queue) == (Stage.WAITING, "poll")
    assert waiting.due_at == house.clock() + timedelta(seconds=30)
    account = await house.store.get(Account, caller.account)
    assert len(account.active_jobs) == 1
    assert account.balance == 420
    house.check()


async def test_waiting_job_starts_when_a_slot_is_free(house: House) -> None:
    house.configure(active_jobs_limit=1, plans={"default": Plan(may_wait=True)})
    caller = await house.sign_up()
    first = await create(house, caller, seconds=4, model="veo-3.1-fast")
    waiting = await create(house, caller, on_limit="wait", model="veo-3.1-fast")
    await house.deliver(waiting)
    assert (await house.job(waiting.id)).stage is Stage.WAITING
    await submission.cancel(house.services, caller, first.id)
    await house.deliver(await house.job(waiting.id))
    entered = await house.job(waiting.id)
    assert (entered.stage, entered.task.queue) == (Stage.QUEUED, "generate-veo-3-1-fast")
    house.check()


async def test_waiting_is_refused_if_the_plan_forbids_it(house: House) -> None:
    house.configure(active_jobs_limit=1)
    caller = await house.sign_up()
    await create(house, caller)
    with pytest.raises(ApiError, match="TOO_MANY_ACTIVE_JOBS"):
        await create(house, caller, on_limit="wait")


async def test_canceling_a_waiting_job_refunds_everything(house: House) -> None:
    house.configure(active_jobs_limit=0, cancel_refund="none", plans={"default": Plan(may_wait=True)})
    caller = await house.sign_up()
    waiting = await create(house, caller, on_limit="wait")
    assert (await submission.cancel(house.services, caller, waiting.id)).refunded == 40
    house.check()


async def test_plan_can_set_its_own_active_job_limit(house: House) -> None:
    house.configure(active_jobs_limit=1, plans={"pro": Plan(active_jobs_limit=2)})
    caller = await house.sign_up(plan="pro")
    await create(house, caller)
    await create(house, caller)
    with pytest.raises(ApiError, match="TOO_MANY_ACTIVE_JOBS"):
        await create(house, caller)


async def test_account_cap_holds_and_says_what_is_left(house: House) -> None:
    house.configure(daily_credits=100)
    caller = await house.sign_up()
    await create(house, caller)
    await create(house, caller)
    with pytest.raises(ApiError) as refused:
        await create(house, caller)
    assert refused.value.code == "DAILY_LIMIT"
    assert refused.value.details == {"limit_of": "account", "daily_credits": 100, "spent": 80, "required": 40}
    assert refused.value.retry_after_s == 12 * 3_600


async def test_new_day_resets_the_cap(house: House) -> None:
    house.configure(daily_credits=40)
    caller = await house.sign_up()
    await create(house, caller)
    house.clock.advance(12 * 3_600)
    await create(house, caller)


async def test_refund_does_not_restore_the_cap(house: House) -> None:
    house.configure(daily_credits=40)
    caller = await house.sign_up()
    job = await create(house, caller)
    await submission.cancel(house.services, caller, job.id)
    with pytest.raises(ApiError, match="DAILY_LIMIT"):
        await create(house, caller)


async def test_tenant_cap_counts_all_accounts(house: House) -> None:
    house.configure(tenant_daily_credits={"default": 80})
    for name in ("alice", "bob"):
        await create(house, await house.sign_up(name))
    carol = await house.sign_up("carol")
    with pytest.raises(ApiError) as refused:
        await create(house, carol)
    assert refused.value.details["limit_of"] == "tenant"
    house.check()


async def test_tenant_cap_holds_against_concurrent_submissions(house: House) -> None:
    house.configure(tenant_daily_credits={"default": 40})
    alice, bob = await house.sign_up("alice"), await house.sign_up("bob")

    async def rival() -> None:
        await create(house, bob)

    house.store.before("commit", rival)
    with pytest.raises(ApiError, match="DAILY_LIMIT"):
        await create(house, alice)
    house.check()


async def test_estimate_says_that_the_cap_would_refuse(house: House) -> None:
    house.configure(daily_credits=30)
    caller = await house.sign_up()
    told = await submission.estimate(house.services, caller, CreateVideo.model_validate(FOUR_SECONDS))
    assert (told.accepted, told.refusal) == (False, "DAILY_LIMIT")


async def test_receipt_shows_the_outcome_of_a_key(house: House) -> None:
    caller, other = await house.sign_up("alice"), await house.sign_up("bob")
    job = await create(house, caller, key="mine")
    receipt = await submission.receipt(house.services, caller, "mine")
    assert (receipt.video, receipt.status, receipt.deleted) == (job.id, "queued", False)
    for stranger, key in ((caller, "unused"), (other, "mine")):
        with pytest.raises(ApiError, match="NOT_FOUND"):
            await submission.receipt(house.services, stranger, key)
