"""Whether an account may start a job now: shared by creates, estimates, and the check before images are read. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.core import pricing, tenant_days
from shared.core.documents import Account, LiveSettings, VideoRequest, Warned
from shared.core.errors import ApiError
from shared.core.plans import plan_of
from shared.core.tenant_days import TenantBudget


@dataclass(frozen=True)
class Submission:
    """A resolved and priced request, and the ids that its job will have."""

    job_id: str
    request: VideoRequest
    cost: int
    expected_s: float
    fingerprint: str
    provider: str
    project: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Warned, ...] = ()
    idempotency_key: str | None = None
    may_wait: bool = False
    webhook_url: str | None = None
    failover: bool = False
    max_cost: int | None = None
    quote: str | None = None


def closed(account: Account) -> ApiError | None:
    """ACCOUNT_CLOSED or ACCOUNT_DISABLED; None if the account may be used."""
    if account.closed_at is not None:
        return ApiError("ACCOUNT_CLOSED")
    return ApiError("ACCOUNT_DISABLED") if account.disabled else None


def refuse(
    submission: Submission, account: Account, now: datetime, config: LiveSettings, budget: TenantBudget | None = None
) -> ApiError | None:
    """Why the account may not start the job now, or why its user wouldn't want it at this price; None if it may.

    `budget` has all shards of the tenant's day, unless the account's own shard can cover the cost.
    """
    shut = closed(account) or _switched_off(account, config)
    if shut is not None:
        return shut
    conflict = pricing.price_conflict(submission.request, submission.cost, submission.max_cost, submission.quote)
    if conflict is not None:
        return conflict
    cost, terms = submission.cost, plan_of(config, account.plan)
    limit = terms.active_jobs_limit
    if len(account.active_jobs) >= limit and not (submission.may_wait and terms.may_wait):
        return ApiError(
            "TOO_MANY_ACTIVE_JOBS",
            f"You already have {len(account.active_jobs)} active jobs (limit {limit}).",
            {"active_jobs": list(account.active_jobs), "limit": limit},
            retry_after_s=15,
        )
    spent = account.spent_on(tenant_days.day_of(now))
    if terms.daily_credits is not None and spent + cost > terms.daily_credits:
        return _over_the_cap("account", cost, terms.daily_credits, spent, now)
    if budget is not None and not budget.suffices(cost) and budget.spent + cost > budget.cap:
        return _over_the_cap("tenant", cost, budget.cap, budget.spent, now)
    if account.balance < cost:
        return ApiError(
            "INSUFFICIENT_CREDITS",
            f"This costs {cost} credits; you have {account.balance}.",
            {"required": cost, "available": account.balance, "deficit": cost - account.balance},
        )
    return None


def _over_the_cap(whose: str, cost: int, cap: int, spent: int, now: datetime) -> ApiError:
    return ApiError(
        "DAILY_LIMIT",
        f"This costs {cost} credits; {max(cap - spent, 0)} of the {whose}'s {cap} for today are left.",
        {"limit_of": whose, "daily_credits": cap, "spent": spent, "required": cost},
        retry_after_s=_seconds_to_midnight(now),
    )


def _switched_off(account: Account, config: LiveSettings) -> ApiError | None:
    """GENERATION_DISABLED while generation is off, or not yet rolled out to the account."""
    bucket = int(hashlib.sha256(account.id.encode()).hexdigest()[:8], 16) % 100
    if config.enabled and bucket < config.rollout_percent:
        return None
    return ApiError("GENERATION_DISABLED", config.message or None, retry_after_s=60)


def _seconds_to_midnight(now: datetime) -> int:
    since = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return math.ceil((since + timedelta(days=1) - now).total_seconds())
