"""What canceling a job refunds, and why. Pure.

Before its generation starts, everything is refunded. After that the provider may bill us even for a stopped generation,
so the operator's policy (`cancel_refund`) decides. What would be refunded on completion is refunded under any policy:
videos that the safety filter removed, and what a cheaper model saved.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.core import pricing
from shared.core.catalog import MODELS
from shared.core.documents import Account, CancelReason, Job, LiveSettings, Stage, VideoRequest
from shared.core.tenant_days import day_of


@dataclass(frozen=True)
class Terms:
    """`refund`: credits refunded. `at_our_cost`: the provider bills us anyway, so an account gets only a few a day."""

    refund: int
    reason: CancelReason
    at_our_cost: bool = False


def terms(job: Job, account: Account, now: datetime, config: LiveSettings) -> Terms:
    """What canceling the unfinished job now would refund."""
    if job.stage in (Stage.WAITING, Stage.QUEUED):
        return Terms(job.cost, "not_begun")
    at_end = pricing.refund_at_end(job)
    # A finished generation is billed even if its provider can stop an unfinished one.
    billed = job.stage is Stage.STORING or _bills_when_stopped(job.request.model)
    begun = _of_begun(job.cost, at_end, billed, account, now, config)
    if job.stage is Stage.UNCERTAIN and begun.reason == "billed":
        return Terms(begun.refund, "uncertain")
    return begun


def of_begun_generation(
    request: VideoRequest, cost: int, account: Account, now: datetime, config: LiveSettings
) -> Terms:
    """What canceling a job for the request would refund once its generation has started."""
    return _of_begun(cost, 0, _bills_when_stopped(request.model), account, now, config)


def _of_begun(cost: int, at_end: int, billed: bool, account: Account, now: datetime, config: LiveSettings) -> Terms:
    if config.cancel_refund == "none":
        return Terms(at_end, "policy")
    if not billed:
        return Terms(cost, "not_billed")
    if config.cancel_refund == "by_model":
        return Terms(at_end, "billed")
    if account.refunded_starts_on(day_of(now)) >= config.refunded_starts_per_day:
        return Terms(at_end, "daily_limit")
    return Terms(cost, "policy", at_our_cost=cost > at_end)


def _bills_when_stopped(model: str) -> bool:
    """Whether a stopped generation is billed; assumed for a model that the catalog no longer has."""
    return MODELS[model].bills_when_stopped if model in MODELS else True
