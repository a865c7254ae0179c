"""What canceling gives back: everything before the generation begins, and after that what the policy says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.api.videos import CreateVideo
from shared.core import cancellation, catalog
from shared.core import events as e
from shared.core.cancellation import Terms
from shared.core.documents import Job, Stage, Transaction
from shared.core.errors import ApiError
from shared.jobs import submission
from testing import invariants
from tests.unit.conftest import House
from tests.unit.life import CONFIG, NOW, Life, later

BEGUN = ("claimed", "uncertain", "generating", "storing")
BY_MODEL = CONFIG
FULL = CONFIG.model_copy(update={"cancel_refund": "full"})
NONE = CONFIG.model_copy(update={"cancel_refund": "none"})
BODY = CreateVideo(prompt="a fox", model="veo-3.1-fast", seconds=4)


@pytest.fixture
def stops_for_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose provider does not bill what it stops."""
    free = replace(catalog.MODELS["veo-3.1-fast"], bills_when_stopped=False)
    monkeypatch.setitem(catalog.MODELS, "veo-3.1-fast", free)  # type: ignore[call-overload] # a Mapping is a dict here


def terms(life: Life) -> Terms:
    return cancellation.terms(life.job, life.account, NOW, life.config)


@pytest.mark.parametrize("config", [BY_MODEL, FULL, NONE], ids=lambda config: config.cancel_refund)
@pytest.mark.parametrize("stage", [Stage.WAITING, Stage.QUEUED])
def test_cancel_before_generation_refunds_everything(config: object, stage: Stage) -> None:
    life = Life(config)  # type: ignore[arg-type]
    life.job = life.job.changed(stage=stage)
    assert terms(life) == Terms(80, "not_begun")


@pytest.mark.parametrize(
    ("stage", "reason"),
    [("claimed", "billed"), ("uncertain", "uncertain"), ("generating", "billed"), ("storing", "billed")],
)
def test_by_model_refunds_nothing_of_a_billed_generation(stage: str, reason: str) -> None:
    assert terms(getattr(Life(), stage)()) == Terms(0, reason)  # type: ignore[arg-type]


@pytest.mark.usefixtures("stops_for_free")
@pytest.mark.parametrize("stage", ["claimed", "uncertain", "generating"])
def test_by_model_refunds_everything_when_stopping_is_free(stage: str) -> None:
    assert terms(getattr(Life(), stage)()) == Terms(80, "not_billed")


@pytest.mark.usefixtures("stops_for_free")
def test_finished_generation_is_billed_even_if_the_provider_can_stop() -> None:
    assert terms(Life().storing()) == Terms(0, "billed")


@pytest.mark.parametrize("stage", BEGUN)
def test_policy_none_refunds_nothing(stage: str) -> None:
    assert terms(getattr(Life(NONE), stage)()) == Terms(0, "policy")


@pytest.mark.parametrize("stage", BEGUN)
def test_policy_full_refunds_everything_at_the_operators_cost(stage: str) -> None:
    assert terms(getattr(Life(FULL), stage)()) == Terms(80, "policy", at_our_cost=True)


@pytest.mark.parametrize("config", [BY_MODEL, NONE])
def test_safety_blocked_output_is_always_refunded(config: object) -> None:
    life = Life(config, count=2).storing(filtered=1)  # type: ignore[arg-type]
    assert terms(life).refund == 80
    life.hear(e.CancelRequested())
    assert life.amounts == [-160, 80]
    invariants.check_money(life.job, life.entries)


@pytest.mark.parametrize(("earlier", "refund"), [(0, 80), (9, 80), (10, 0), (11, 0)])
def test_account_gets_10_operator_paid_refunds_a_day(earlier: int, refund: int) -> None:
    life = Life(FULL).generating()
    life.account = life.account.changed(refunded_starts_day="2026-11-20", refunded_starts=earlier)
    life.hear(e.CancelRequested())
    assert life.job.refunded == refund
    assert life.account.refunded_starts == earlier + bool(refund)


def test_each_day_has_its_own_refund_count() -> None:
    life = Life(FULL).generating()
    life.account = life.account.changed(refunded_starts_day="2026-11-20", refunded_starts=10)
    life.hear(e.CancelRequested(), later(600))
    assert life.job.refunded == 0
    life = Life(FULL.model_copy(update={"queue_timeout_s": 86_400})).generating(later(13 * 3_600))
    life.account = life.account.changed(refunded_starts_day="2026-11-20", refunded_starts=10)
    life.hear(e.CancelRequested(), later(13 * 3_600))
    assert (life.job.refunded, life.account.refunded_starts_day, life.account.refunded_starts) == (80, "2026-11-21", 1)


@pytest.mark.usefixtures("stops_for_free")
def test_free_refunds_are_not_counted() -> None:
    for life in (Life(FULL).generating(), Life(FULL), Life(BY_MODEL).generating()):
        life.hear(e.CancelRequested())
        assert (life.job.refunded, life.account.refunded_starts) == (80, 0)


def test_cancel_below_the_agreed_refund_is_rejected() -> None:
    """The generation began between the question and the answer."""
    life = Life().generating()
    with pytest.raises(ApiError) as caught:
        life.hear(e.CancelRequested(min_refund=80))
    assert caught.value.code == "REFUND_CHANGED"
    assert caught.value.details == {"cancel_returns": 0, "min_refund": 80, "reason": "billed"}
    assert life.job.stage is Stage.GENERATING


# --- through submission ---


@pytest.mark.parametrize("policy", ["by_model", "full", "none"])
async def test_starts_are_never_free(house: House, policy: str) -> None:
    """Submit, wait until it generates, cancel, again and again: ten starts a day at most are on the operator."""
    caller = await house.sign_up(balance=500)
    house.configure(cancel_refund=policy)
    for _ in range(12):
        job = (await submission.submit(house.services, caller, BODY, None)).job
        await house.until(job, "generating")
        await submission.cancel(house.services, caller, job.id)
    entries = house.store.documents(Transaction)
    paid_back = [entry for entry in entries if entry.type == "refund"]
    assert len(paid_back) == (10 if policy == "full" else 0)
    assert (await house.account()).balance == 500 - 12 * 40 + sum(entry.amount for entry in paid_back)
    house.check()


@pytest.mark.parametrize(("policy", "returns"), [("by_model", 0), ("full", 40), ("none", 0)])
async def test_announced_refund_is_the_actual_refund(house: House, policy: str, returns: int) -> None:
    caller = await house.sign_up()
    house.configure(cancel_refund=policy)
    assert (await submission.estimate(house.services, caller, BODY)).cancel_returns == returns
    job = (await submission.submit(house.services, caller, BODY, None)).job
    before = await submission.estimate_cancel(house.services, caller, job.id)
    assert (before.cancel_returns, before.kept, before.reason) == (40, 0, "not_begun")
    await house.until(job, "generating")
    stated = await submission.estimate_cancel(house.services, caller, job.id)
    assert (stated.cancel_returns, stated.kept) == (returns, 40 - returns)
    canceled = await submission.cancel(house.services, caller, job.id, min_refund=stated.cancel_returns)
    assert canceled.refunded == returns
    with pytest.raises(ApiError, match="NOT_CANCELABLE"):
        await submission.estimate_cancel(house.services, caller, job.id)


async def test_estimate_knows_that_the_days_refunds_are_used_up(house: House) -> None:
    caller = await house.sign_up(refunded_starts_day="2026-11-20", refunded_starts=10)
    house.configure(cancel_refund="full")
    assert (await submission.estimate(house.services, caller, BODY)).cancel_returns == 0
    house.clock.now += timedelta(days=1)
    assert (await submission.estimate(house.services, caller, BODY)).cancel_returns == 40


async def test_concurrent_tenth_and_eleventh_cancel_refund_one(house: House) -> None:
    """Counted in the commit that refunds: the second committer decides again."""
    caller = await house.sign_up(refunded_starts_day="2026-11-20", refunded_starts=9)
    house.configure(cancel_refund="full")
    made = [(await submission.submit(house.services, caller, BODY, None)).job for _ in range(2)]
    for job in made:
        await house.until(job, "generating")

    async def other_process() -> None:
        await submission.cancel(house.services, caller, made[1].id)

    house.store.before("commit", other_process)
    await submission.cancel(house.services, caller, made[0].id)
    jobs = house.store.documents(Job)
    assert sorted(job.refunded for job in jobs) == [0, 40]
    assert (await house.account()).refunded_starts == 10
    house.check()


async def test_another_users_cancellation_is_not_found(house: House) -> None:
    job = (await submission.submit(house.services, await house.sign_up("bob"), BODY, None)).job
    with pytest.raises(ApiError, match="NOT_FOUND"):
        await submission.estimate_cancel(house.services, await house.sign_up(), job.id)
