"""Submitting, estimating and canceling videos."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.api import views
from shared.api.bodies import MAX_PAGE
from shared.api.videos import Cancellation, CreateVideo, Estimate, ListVideosQuery, Receipt
from shared.core import admission, cancellation, catalog, events, lifecycle, live_config, pricing
from shared.core.documents import Account, Job, LiveSettings
from shared.core.errors import ApiError, Unavailable
from shared.core.plans import plan_of
from shared.core.tenant_days import TenantBudget, View
from shared.jobs import extension, inputs, transitions
from shared.jobs.account_commits import Answer, Proposal, Spending, propose
from shared.jobs.queries import offered, own_account, own_job
from shared.jobs.queries import preference as preferred
from shared.kinds import video
from shared.kinds.video import Source
from shared.platform import audit, log
from shared.platform.identity import Caller
from shared.platform.ports import Services
from shared.webhooks import endpoints
from shared.workspace import projects

# How long after a request a client that retries automatically, without an Idempotency-Key, may repeat it.
REPEATED_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True)
class Submitted:
    """The job, and whether an earlier request created it: with the same Idempotency-Key, or with a lost response."""

    job: Job
    replayed: bool = False


async def submit(services: Services, caller: Caller, body: CreateVideo, key: str | None, repeats: int = 0) -> Submitted:
    """Charge, create the job, and enqueue its first step.

    `repeats`: how many times the client says it has sent this request before. Without a key, a repeat takes a job that
    the same request created in the last minutes and that no repeat with that number has taken yet; if there is none, it
    is a new request. So two first attempts are never mistaken for one, and parallel repeats get a job each.

    Once the commit is known to have succeeded, the job is returned even if the queue fails: the sweeper finds it.
    Raises ApiError; an unknown commit is resolved by reading the job, and is UNAVAILABLE with the job's id in details
    if that fails.
    """
    repeats = repeats if key is None else 0
    planned = await _planned(services, caller, body, key, repeats)
    if isinstance(planned, Submitted):
        return planned
    plan, config = planned
    submitted = await _committed(services, caller, plan, config, repeats)
    if not submitted.replayed:
        _record(caller, plan)
        await _enqueue(services, submitted.job)
    return submitted


async def _planned(
    services: Services, caller: Caller, body: CreateVideo, key: str | None, repeats: int
) -> Submitted | tuple[admission.Submission, LiveSettings]:
    """What to commit, with its images stored, and the settings used for it; or the job of an earlier request."""
    config = await services.live_settings.get()
    images = await inputs.given(body)
    try:
        plan = await _plan(services, caller, body, key, config, images)
    except ApiError:
        # A model that isn't offered any more may have been when the key was first used.
        earlier = await _earlier(services, caller, _fingerprint(body, images), key, repeats)
        if earlier is None:
            raise
        return earlier
    if not images:
        return plan, config
    earlier = await _earlier(services, caller, plan.fingerprint, key, repeats)
    if earlier is not None:
        return earlier
    await _check_admission(services, caller, plan, config)
    stored = await inputs.store(services, caller, plan.job_id, images)
    return replace(plan, request=plan.request.model_copy(update={"inputs": stored})), config


async def _committed(
    services: Services, caller: Caller, plan: admission.Submission, config: LiveSettings, repeats: int
) -> Submitted:
    """Commit the charge and the job; discard the images if the request created no job of its own."""
    try:
        submitted = await _commit_submission(services, caller, plan, config, repeats)
    except Unavailable as error:
        log.error("submit_unknown", job=plan.job_id, account=caller.account, error=str(error))
        raise ApiError("UNAVAILABLE", details={"video": plan.job_id}, retry_after_s=5) from error
    except ApiError:
        await inputs.discard(services, plan.request)
        raise
    if submitted.replayed:
        await inputs.discard(services, plan.request)
    return submitted


def _record(caller: Caller, plan: admission.Submission) -> None:
    model, cost, prompt = plan.request.model, plan.cost, audit.prompt_sha256(plan.request.prompt)
    log.info(
        "video_submitted",
        job=plan.job_id,
        account=caller.account,
        tenant=caller.tenant,
        model=model,
        cost=cost,
        prompt_sha256=prompt,
    )
    audit.record("video_generated", caller, video=plan.job_id, model=model, cost=cost, prompt_sha256=prompt)


async def _enqueue(services: Services, job: Job) -> None:
    """Create the job's first task; if Cloud Tasks doesn't respond, the sweeper will create it."""
    try:
        await services.tasks.create(lifecycle.current_task(job))
    except Unavailable as error:
        log.error("first_task_not_created", job=job.id, error=str(error))


async def _commit_submission(
    services: Services, caller: Caller, plan: admission.Submission, config: LiveSettings, repeats: int
) -> Submitted:
    return await propose(services, caller.account, _Submission(services, caller, plan, config, repeats))


class _Submission(Proposal[Submitted]):
    """A submission that waits for its account. A possible repeat gets its own commit, because it may take a job."""

    def __init__(
        self, services: Services, caller: Caller, plan: admission.Submission, config: LiveSettings, repeats: int
    ) -> None:
        cap = config.tenant_daily_credits.get(caller.tenant)
        spending = None if cap is None else Spending(caller.tenant, cap, plan.cost)
        super().__init__(plan.job_id, spending, alone=repeats > 0)
        self._services = services
        self._caller = caller
        self._plan = plan
        self._config = config
        self._repeats = repeats

    async def prepare(self, job: Job | None) -> Answer[Submitted] | None:
        # After reading the account: anything committed later makes our commit fail, and is found on the next attempt.
        if self._repeats == 0 or job is not None:
            return None
        repeated = await _take_repeated(self._services, self._caller, self._plan.fingerprint, self._repeats)
        return Answer(Submitted(repeated, replayed=True)) if repeated is not None else None

    def decide(
        self, job: Job | None, account: Account | None, budget: TenantBudget | None, now: datetime
    ) -> lifecycle.Change | Answer[Submitted]:
        plan = self._plan
        if job is not None:
            # A random id can only be ours; an id from a key may belong to an earlier request.
            ours = plan.idempotency_key is None or job.change_id in self.tried
            return Answer(_existing(job, plan.fingerprint, ours))
        if account is None:
            raise ApiError("UNAUTHENTICATED", "This user's account no longer exists.")
        return lifecycle.submit(plan, account, now, self._config, budget)

    def committed(self, job: Job, change: lifecycle.Change) -> Submitted:
        return Submitted(job)


async def _budget(
    services: Services, account: Account, now: datetime, config: LiveSettings, cost: int
) -> TenantBudget | None:
    """The tenant's budget for today, if capped: the account's shard, or all shards if that one has too little."""
    cap = config.tenant_daily_credits.get(account.tenant)
    if cap is None:
        return None
    view = View(account.tenant, cap, account.id, now)
    own = view.budget(view.own, await services.firestore.get_all(view.references(view.own)))
    if own.suffices(cost):
        return own
    return view.budget(view.all, await services.firestore.get_all(view.references(view.all)))


async def _earlier(
    services: Services, caller: Caller, fingerprint: str, key: str | None, repeats: int
) -> Submitted | None:
    if repeats:
        repeated = await _take_repeated(services, caller, fingerprint, repeats)
        return Submitted(repeated, replayed=True) if repeated is not None else None
    job = await services.firestore.get(Job, _job_id(caller.account, key)) if key else None
    return _existing(job, fingerprint, ours=False) if job is not None else None


async def _take_repeated(services: Services, caller: Caller, fingerprint: str, repeats: int) -> Job | None:
    """Take the oldest recent job of the same keyless request that no repeat with that number has taken, if any."""
    since = int((services.clock() - REPEATED_WITHIN).timestamp())
    after: str | None = None
    while True:
        query = ListVideosQuery(limit=MAX_PAGE, created_after=since, order="asc", after=after)
        page = await services.firestore.list_jobs(caller.tenant, caller.account, query)
        for job in page[:MAX_PAGE]:
            if job.fingerprint == fingerprint and job.idempotency_key is None and job.repeats_taken < repeats:
                taken = await transitions.apply(services, job.id, events.Repeated(repeats), job)
                if taken.change is not None:
                    return taken.job
        if len(page) <= MAX_PAGE:
            return None
        after = page[MAX_PAGE - 1].id


async def _check_admission(
    services: Services, caller: Caller, plan: admission.Submission, config: LiveSettings
) -> None:
    """Reject before fetching and storing images what would be rejected anyway. Raises ApiError."""
    account = await own_account(services, caller)
    now = services.clock()
    refusal = admission.refuse(plan, account, now, config, await _budget(services, account, now, config, plan.cost))
    if refusal is not None:
        raise refusal


def _existing(job: Job, fingerprint: str, ours: bool) -> Submitted:
    if job.fingerprint != fingerprint:
        raise ApiError("IDEMPOTENCY_KEY_REUSED", details={"video": job.id})
    if job.deleted_at is not None:
        raise ApiError("GONE", "The video created with this Idempotency-Key was deleted.", {"video": job.id})
    return Submitted(job, replayed=not ours)


async def _plan(
    services: Services,
    caller: Caller,
    body: CreateVideo,
    key: str | None,
    config: LiveSettings,
    images: tuple[inputs.Given, ...] = (),
) -> admission.Submission:
    source = await extension.source(services, caller, body.extends) if body.extends else None
    offering = offered(services, config)
    choice = _choice(services, caller, body, config, source, offering)
    adapted, warnings = video.adapt(body, choice)
    request = video.resolve(adapted, choice.model, source)
    await projects.check(services, caller.tenant, body.project)
    if body.webhook_url is not None:
        endpoints.check_url(services, "webhook_url", body.webhook_url)
    return admission.Submission(
        job_id=_job_id(caller.account, key) if key else f"video_{services.ids()}",
        request=request,
        provider=offering.provider(choice.model) or "",
        cost=pricing.cost(request, config),
        expected_s=live_config.expected_duration_s(request, choice.model, config),
        fingerprint=_fingerprint(body, images),
        warnings=warnings,
        project=body.project,
        labels=body.labels,
        idempotency_key=key,
        may_wait=body.on_limit == "wait",
        webhook_url=body.webhook_url,
        failover=body.failover,
        max_cost=body.max_cost,
        quote=body.quote,
    )


def _choice(
    services: Services,
    caller: Caller,
    body: CreateVideo,
    config: LiveSettings,
    source: Source | None,
    offering: catalog.Offering,
) -> catalog.Choice:
    """The requested model; otherwise that of the source video; otherwise the tenant's or the installation's default."""
    preference = preferred(services, caller.tenant, config)
    if source is not None:
        preference = (source.model, *preference)
    return catalog.choose(body.model, preference, offering, config.allow_replacements)


def _fingerprint(body: CreateVideo, images: tuple[inputs.Given, ...]) -> str:
    """A digest of the request, independent of the order of its fields and labels and of how its images were sent.

    The price that the caller agrees to isn't part of it: it may change after a lost response, for the same video.
    """
    asked = body.model_dump(mode="json", exclude_unset=True, exclude={*inputs.FIELDS, "max_cost", "quote"})
    if images:
        asked["images"] = [[image.field, image.identity] for image in images]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _job_id(account: str, key: str) -> str:
    """The job's id for an Idempotency-Key: the same for the same account and key."""
    digest = hashlib.sha256(f"{account}\n{key}".encode()).digest()
    return f"video_{base64.urlsafe_b64encode(digest).decode()[:22]}"


async def estimate(services: Services, caller: Caller, body: CreateVideo) -> Estimate:
    """The request's cost and expected time, and whether it would be accepted now. Writes nothing.

    Raises the ApiError that a create would, if the request itself is wrong.
    """
    config = await services.live_settings.get()
    images = await inputs.given(body)
    plan = await _plan(services, caller, body, None, config, images)
    account = await own_account(services, caller)
    now = services.clock()
    refusal = admission.refuse(plan, account, now, config, await _budget(services, account, now, config, plan.cost))
    if refusal is None:
        # In the same order as a create: no images are read for a request that is rejected anyway.
        await inputs.check(services, caller, images)
    return Estimate(
        model=plan.request.model,
        seconds=views.seconds(plan.request),
        size=plan.request.size,
        count=plan.request.count,
        cost=plan.cost,
        cancel_returns=cancellation.of_begun_generation(plan.request, plan.cost, account, now, config).refund,
        quote=pricing.quote_id(plan.request, plan.cost),
        expected_seconds=plan.expected_s,
        warnings=views.warnings(plan.warnings),
        balance=account.balance,
        balance_after=account.balance - plan.cost,
        active_jobs=len(account.active_jobs),
        active_jobs_limit=plan_of(config, account.plan).active_jobs_limit,
        accepted=refusal is None,
        refusal=refusal.code if refusal else None,
    )


async def receipt(services: Services, caller: Caller, key: str) -> Receipt:
    """The result of the caller's Idempotency-Key. Raises NOT_FOUND if no request with it was accepted."""
    job = await services.firestore.get(Job, _job_id(caller.account, key)) if key else None
    if job is None or job.account != caller.account:
        raise ApiError("NOT_FOUND", "No accepted request used this Idempotency-Key.")
    return Receipt(
        key=key,
        video=job.id,
        status=job.status,
        deleted=job.deleted_at is not None,
        created_at=int(job.created_at.timestamp()),
    )


async def cancel(services: Services, caller: Caller, job_id: str, min_refund: int = 0) -> Job:
    """End the job now, with the refund that the policy grants.

    Raises ApiError NOT_FOUND, NOT_CANCELABLE, or REFUND_CHANGED if less than `min_refund` would be refunded.
    """
    job = await own_job(services, caller, job_id)
    try:
        outcome = await transitions.apply(services, job.id, events.CancelRequested(min_refund), job)
    except transitions.TaskNotCreated as late:
        _note_cancel(caller, late.outcome.job)
        return late.outcome.job
    if outcome.change is None:
        raise ApiError("NOT_CANCELABLE", details={"status": outcome.job.status})
    _note_cancel(caller, outcome.job)
    await transitions.forget_task(services, outcome)
    return outcome.job


def _note_cancel(caller: Caller, job: Job) -> None:
    audit.record("video_canceled", caller, video=job.id, cost=job.cost, refunded=job.refunded)


async def estimate_cancel(services: Services, caller: Caller, job_id: str) -> Cancellation:
    """What `cancel` would refund now. Raises ApiError NOT_FOUND or NOT_CANCELABLE."""
    job = await own_job(services, caller, job_id)
    if job.final:
        raise ApiError("NOT_CANCELABLE", details={"status": job.status})
    account = await own_account(services, caller)
    terms = cancellation.terms(job, account, services.clock(), await services.live_settings.get())
    return views.cancellation(job, terms)
