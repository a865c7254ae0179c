"""The limits of an account's plan. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared.core.documents import LiveSettings, Plan

DEFAULT_PLAN = "default"


@dataclass(frozen=True)
class Terms:
    """A plan with all defaults filled in. `daily_credits` None: no cap."""

    requests_per_minute: int
    active_jobs_limit: int
    may_wait: bool
    daily_credits: int | None


def plan_of(config: LiveSettings, name: str) -> Terms:
    """The terms of a plan; the defaults for one that isn't configured (any more)."""
    plan = config.plans.get(name, Plan())
    return Terms(
        requests_per_minute=_or(plan.requests_per_minute, config.requests_per_minute),
        active_jobs_limit=_or(plan.active_jobs_limit, config.active_jobs_limit),
        may_wait=bool(plan.may_wait),
        daily_credits=config.daily_credits if plan.daily_credits is None else plan.daily_credits,
    )


def names(config: LiveSettings) -> frozenset[str]:
    """The plans that an account may have."""
    return frozenset({DEFAULT_PLAN, *config.plans})


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
