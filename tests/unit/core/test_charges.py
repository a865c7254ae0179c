"""What a submission charges, what it counts towards, and with which figures it is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from shared.core import admission, lifecycle, pricing
from shared.core.admission import Submission
from shared.core.documents import (
    STATUS_OF,
    Account,
    Extends,
    Job,
    LiveSettings,
    Plan,
    Stage,
    TaskRef,
    Transaction,
    Warned,
)
from shared.core.errors import ApiError
from shared.core.lifecycle import Task
from shared.core.tenant_days import SHARDS, TenantBudget, View
from tests.unit.life import CONFIG, NOW, REQUEST, account, later

PLAN = Submission("video_abc", REQUEST, 80, expected_s=60.0, fingerprint="f", provider="vertex")
MAY_WAIT = LiveSettings(plans={"default": Plan(may_wait=True)})
FULL = ("a", "b", "c")


def test_new_job_matches_its_request() -> None:
    warned = (Warned(code="SIZE_CHANGED", message="m"),)
    plan = replace(
        PLAN,
        project="p",
        labels={"k": "v"},
        warnings=warned,
        idempotency_key="key",
        webhook_url="https://example.com/hook",
    )
    change = lifecycle.submit(plan, account(), NOW, CONFIG)
    task = TaskRef(name="abc-0", queue="generate-veo-3-1-fast")
    assert change.job == Job(
        id="video_abc",
        tenant="default",
        account="alice",
        request=REQUEST,
        fingerprint="f",
        provider="vertex",
        status=STATUS_OF[Stage.QUEUED],
        stage=Stage.QUEUED,
        task=task,
        due_at=NOW,
        expected_s=60.0,
        cost=80,
        project="p",
        labels={"k": "v"},
        warnings=warned,
        idempotency_key="key",
        webhook_url="https://example.com/hook",
        created_at=NOW,
        updated_at=NOW,
    )
    assert change.task == Task(task, None, {"job": "video_abc", "step": 0}, "/tasks/step")


def test_charge_says_what_was_bought() -> None:
    change = lifecycle.submit(PLAN, account(), NOW, CONFIG)
    assert change.transactions == (
        Transaction(
            id="video_abc-charge",
            account="alice",
            tenant="default",
            type="charge",
            amount=-80,
            balance_after=420,
            sequence=2,
            job="video_abc",
            description="1 x 8 s with veo-3.1-fast",
            created_at=NOW,
        ),
    )


def test_submission_counts_towards_its_utc_day() -> None:
    early = datetime(2026, 11, 21, 1, tzinfo=timezone(timedelta(hours=2)))
    once = lifecycle.submit(PLAN, account(), early, CONFIG).account
    assert once is not None
    assert (once.spending_day, once.spent_on_day) == ("2026-11-20", 80)
    twice = lifecycle.submit(PLAN, once, early, CONFIG).account
    assert twice is not None
    assert twice.spent_on_day == 160
    next_day = lifecycle.submit(PLAN, twice, early + timedelta(days=1), CONFIG).account
    assert next_day is not None
    assert (next_day.spending_day, next_day.spent_on_day) == ("2026-11-21", 80)


def test_waiting_job_is_charged_and_retries_every_30s() -> None:
    change = lifecycle.submit(replace(PLAN, may_wait=True), account(active_jobs=FULL), NOW, MAY_WAIT)
    assert change.account is not None
    assert (change.account.active_jobs, change.account.balance) == (FULL, 420)
    assert (change.job.stage, change.job.status, change.job.due_at) == (Stage.WAITING, "queued", later(30))
    assert change.task == Task(TaskRef(name="abc-0", queue="poll"), later(30), {"job": "video_abc", "step": 0})


def test_waitable_job_starts_at_once_when_a_slot_is_free() -> None:
    change = lifecycle.submit(replace(PLAN, may_wait=True), account(active_jobs=FULL[:2]), NOW, MAY_WAIT)
    assert (change.job.stage, change.task and change.task.at) == (Stage.QUEUED, None)


def budget(spent: int, cap: int, reserved: int | None = None) -> TenantBudget:
    """The tenant's day with all its shards, all of them as they began but the account's own."""
    view = View("default", cap, "alice", NOW)
    fresh = view.budget(view.all, [None] * (1 + SHARDS))
    reserved = max(cap, spent) if reserved is None else reserved
    mine = fresh.shards[fresh.mine].changed(reserved=reserved, spent=spent)
    return replace(fresh, day=fresh.day.changed(reserved=reserved), shards={**fresh.shards, fresh.mine: mine})


def test_tenants_day_is_charged_with_the_account() -> None:
    before = budget(spent=100, cap=1_000)
    change = lifecycle.submit(PLAN, account(), NOW, CONFIG, before)
    assert change.budget is not None
    assert change.budget.changed_since(before) == (before.shards[before.mine].changed(spent=180),)
    assert change.documents == (change.job, change.account, *change.transactions)


# --- refusals ---


def refused(
    holder: Account,
    config: LiveSettings = CONFIG,
    plan: Submission = PLAN,
    now: datetime = NOW,
    day: TenantBudget | None = None,
) -> ApiError | None:
    return admission.refuse(plan, holder, now, config, day)


@pytest.mark.parametrize(("may_wait", "config"), [(False, CONFIG), (True, CONFIG), (False, MAY_WAIT)])
def test_waiting_needs_plan_and_request(may_wait: bool, config: LiveSettings) -> None:
    assert refused(account(active_jobs=FULL), config, replace(PLAN, may_wait=may_wait)) == ApiError(
        "TOO_MANY_ACTIVE_JOBS",
        "You already have 3 active jobs (limit 3).",
        {"active_jobs": ["a", "b", "c"], "limit": 3},
        retry_after_s=15,
    )


def test_daily_cap_error_says_what_is_left_until_midnight() -> None:
    config = CONFIG.model_copy(update={"daily_credits": 100})
    assert refused(account(spending_day="2026-11-20", spent_on_day=30), config) == ApiError(
        "DAILY_LIMIT",
        "This costs 80 credits; 70 of the account's 100 for today are left.",
        {"limit_of": "account", "daily_credits": 100, "spent": 30, "required": 80},
        retry_after_s=43_200,
    )


def test_lowered_tenant_cap_leaves_nothing() -> None:
    assert refused(account(), day=budget(spent=120, cap=100)) == ApiError(
        "DAILY_LIMIT",
        "This costs 80 credits; 0 of the tenant's 100 for today are left.",
        {"limit_of": "tenant", "daily_credits": 100, "spent": 120, "required": 80},
        retry_after_s=43_200,
    )


def test_cap_can_be_spent_to_the_last_credit() -> None:
    config = CONFIG.model_copy(update={"daily_credits": 80})
    assert refused(account(), config, day=budget(spent=0, cap=80)) is None
    assert refused(account(), config) is None


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_days_are_utc_in_any_timezone() -> None:
    late = NOW.replace(hour=23)
    charged = lifecycle.submit(PLAN, account(), late, CONFIG).account
    assert charged is not None
    assert charged.spending_day == "2026-11-20"
    refusal = refused(account(), CONFIG.model_copy(update={"daily_credits": 0}), now=late)
    assert refusal is not None
    assert refusal.retry_after_s == 3_600


def test_next_day_begins_at_utc_midnight_exactly() -> None:
    config = CONFIG.model_copy(update={"daily_credits": 0})
    now = datetime(2026, 11, 20, 12, 34, 56, 500_000, timezone(timedelta(hours=5)))
    refusal = refused(account(), config, now=now)
    assert refusal is not None
    assert refusal.retry_after_s == 59_104


# --- prices ---


def test_extension_charges_only_the_added_seconds() -> None:
    source = Extends(job="video_x", object="o", size_bytes=1, seconds=8.0)
    extension = REQUEST.model_copy(update={"seconds": 7, "extends": source})
    config = LiveSettings(extension_credits_per_second=3, credits_per_second_by_model={"veo-3.1-fast": 5})
    assert (pricing.cost(extension, config), pricing.cost(REQUEST, config)) == (35, 40)
