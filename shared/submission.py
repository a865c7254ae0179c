"""What starts or stops work at a user's wish: submit, estimate, cancel."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import config as live
from shared import events, jobs, lifecycle, log, pricing
from shared.auth import Caller
from shared.errors import ApiError, Conflict, Unavailable
from shared.generators import catalog
from shared.library import own_account, own_job
from shared.models import Account, CreateVideo, Estimate, Job, LiveConfig

if TYPE_CHECKING:
    from shared.services import Services


@dataclass(frozen=True)
class Submitted:
    """The job, and whether it is the job of an earlier request with the same Idempotency-Key."""

    job: Job
    replayed: bool = False


async def submit(services: Services, caller: Caller, body: CreateVideo, key: str | None) -> Submitted:
    """Charge, create the job, and enqueue its first step.

    Once the commit is known the answer is the job, whatever the queue says: the sweeper finds it. Raises ApiError; an
    unknown commit is resolved by reading the job, and is UNAVAILABLE with the job's id in details if that fails.
    """
    config = await services.config.get()
    try:
        plan = _plan(services, caller, body, key, config)
    except ApiError:
        # What is not offered any more may have been when the key was used first.
        earlier = await _earlier(services, caller, body, key)
        if earlier is None:
            raise
        return earlier
    try:
        submitted = await _commit_submission(services, caller, plan, config)
    except Unavailable as error:
        log.error("submit_unknown", job=plan.job_id, account=caller.account, error=str(error))
        raise ApiError("UNAVAILABLE", details={"video": plan.job_id}, retry_after_s=5) from error
    if submitted.replayed:
        return submitted
    log.info(
        "video_submitted",
        job=plan.job_id,
        account=caller.account,
        tenant=caller.tenant,
        model=plan.request.model,
        cost=plan.cost,
        prompt_sha256=hashlib.sha256(plan.request.prompt.encode()).hexdigest(),
    )
    try:
        await services.queue.create(lifecycle.current_task(submitted.job))
    except Unavailable as error:
        log.error("first_task_not_created", job=plan.job_id, error=str(error))
    return submitted


async def _commit_submission(
    services: Services, caller: Caller, plan: lifecycle.Submission, config: LiveConfig
) -> Submitted:
    tried: set[str] = set()
    async with jobs.account_lock(caller.account):
        async for _ in jobs.tries(services):
            job, account = await services.store.get_job_and_account(plan.job_id, caller.account)
            if job is not None:
                # A random id can only be ours; a key's may be an earlier request's.
                return _existing(job, plan.fingerprint, ours=plan.idempotency_key is None or job.change_id in tried)
            if account is None:
                raise ApiError("UNAUTHENTICATED", "There is no account of this user any more.")
            if account.disabled:
                raise ApiError("ACCOUNT_DISABLED")
            _open_for(account.id, config)
            change = jobs.stamp(lifecycle.submit(plan, account, services.clock(), config), services.ids())
            tried.add(change.job.change_id)
            try:
                return Submitted(await jobs.commit(services, change))
            except (Conflict, Unavailable):
                continue
    raise Unavailable(f"others kept writing to account {caller.account}")


async def _earlier(services: Services, caller: Caller, body: CreateVideo, key: str | None) -> Submitted | None:
    job = await services.store.get(Job, _job_id(caller.account, key)) if key else None
    return _existing(job, _fingerprint(body), ours=False) if job is not None else None


def _existing(job: Job, fingerprint: str, ours: bool) -> Submitted:
    if job.fingerprint != fingerprint:
        raise ApiError("IDEMPOTENCY_KEY_REUSED", details={"video": job.id})
    if job.deleted_at is not None:
        raise ApiError("GONE", "The video that this Idempotency-Key made was deleted.", {"video": job.id})
    return Submitted(job, replayed=not ours)


def _plan(
    services: Services, caller: Caller, body: CreateVideo, key: str | None, config: LiveConfig
) -> lifecycle.Submission:
    providers = frozenset(services.generators.by_provider)
    model = catalog.choose(body.model, services.settings.model_preference, providers)
    request = catalog.resolve(body, model)
    return lifecycle.Submission(
        job_id=_job_id(caller.account, key) if key else f"video_{services.ids()}",
        request=request,
        cost=pricing.cost(request, config),
        expected_s=live.usual_s(request, model, config),
        fingerprint=_fingerprint(body),
        project=body.project,
        labels=body.labels,
        idempotency_key=key,
    )


def _fingerprint(body: CreateVideo) -> str:
    """The same for the same request, whatever the order of its fields and labels."""
    asked = body.model_dump(mode="json", exclude_unset=True)
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _job_id(account: str, key: str) -> str:
    """The job's id for an Idempotency-Key: the same for the same account and key."""
    digest = hashlib.sha256(f"{account}\n{key}".encode()).digest()
    return f"video_{base64.urlsafe_b64encode(digest).decode()[:22]}"


def _open_for(account: str, config: LiveConfig) -> None:
    """Raises ApiError GENERATION_DISABLED while generation is off, or not yet rolled out to the account."""
    bucket = int(hashlib.sha256(account.encode()).hexdigest()[:8], 16) % 100
    if not config.enabled or bucket >= config.rollout_percent:
        raise ApiError("GENERATION_DISABLED", config.message or None, retry_after_s=60)


async def estimate(services: Services, caller: Caller, body: CreateVideo) -> Estimate:
    """What the request would cost and take, and whether it would be accepted now. Nothing is written."""
    config = await services.config.get()
    plan = _plan(services, caller, body, None, config)
    account = await own_account(services, caller)
    refusal = _refusal(plan, account, config)
    return Estimate(
        model=plan.request.model,
        seconds=str(plan.request.seconds),
        size=plan.request.size,
        count=plan.request.count,
        cost=plan.cost,
        expected_seconds=plan.expected_s,
        balance=account.balance,
        balance_after=account.balance - plan.cost,
        active_jobs=len(account.active_jobs),
        active_jobs_limit=config.active_jobs_limit,
        accepted=refusal is None,
        refusal=refusal.code if refusal else None,
    )


def _refusal(plan: lifecycle.Submission, account: Account, config: LiveConfig) -> ApiError | None:
    try:
        _open_for(account.id, config)
    except ApiError as closed:
        return closed
    return lifecycle.refuse(plan.cost, account, config)


async def cancel(services: Services, caller: Caller, job_id: str) -> Job:
    """End the job now, with the refund that the policy grants. Raises ApiError NOT_FOUND or NOT_CANCELABLE."""
    job = await own_job(services, caller, job_id)
    try:
        outcome = await jobs.advance(services, job.id, events.Cancel(), job)
    except jobs.TaskNotCreated as late:
        return late.outcome.job
    if outcome.change is None:
        raise ApiError("NOT_CANCELABLE", details={"status": outcome.job.status})
    return outcome.job
