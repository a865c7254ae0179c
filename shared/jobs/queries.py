"""The caller's videos and ledger, and the available models: reads, and deleting a video."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared.api import views
from shared.api.accounts import ListTransactionsQuery
from shared.api.models import ModelList, ModelView
from shared.api.videos import ListVideosQuery
from shared.core import catalog, events
from shared.core.documents import VIDEO_ID, Account, Job, LiveSettings, Transaction
from shared.core.errors import ApiError, Unavailable
from shared.jobs import transitions
from shared.platform import audit, log
from shared.platform.identity import Caller
from shared.platform.ports import Services


async def own_job(services: Services, caller: Caller, job_id: str, *, deleted: bool = False) -> Job:
    """The caller's job. Raises NOT_FOUND for an unknown job, somebody else's or, unless `deleted`, a deleted one."""
    job = await services.firestore.get(Job, job_id) if re.fullmatch(VIDEO_ID, job_id) else None
    if job is None or job.account != caller.account or job.tenant != caller.tenant:
        raise _no_such_video(job_id)
    if job.deleted_at is not None and not deleted:
        raise _no_such_video(job_id)
    return job


def _no_such_video(job_id: str) -> ApiError:
    return ApiError("NOT_FOUND", "Video not found.", {"video": job_id[:64]})


async def own_account(services: Services, caller: Caller) -> Account:
    account = await services.firestore.get(Account, caller.account)
    if account is None:
        raise ApiError("UNAUTHENTICATED", "This user's account no longer exists.")
    return account


async def own_jobs(services: Services, caller: Caller, query: ListVideosQuery) -> list[Job]:
    """A page of the caller's jobs, plus one more if there is a next page."""
    filters = [name for name in ("status", "model", "project") if getattr(query, name) is not None]
    if len(filters) > 1:
        raise one_filter(filters)
    return await services.firestore.list_jobs(caller.tenant, caller.account, query)


def one_filter(given: Sequence[str]) -> ApiError:
    """The error for filtering a list by several fields at once, for which there is no index."""
    said = f"Filter by one of {' and '.join(given)}."
    return ApiError("INVALID_REQUEST", said, {"fields": [{"field": name, "message": said} for name in given]})


async def own_transactions(services: Services, caller: Caller, query: ListTransactionsQuery) -> list[Transaction]:
    return await services.firestore.list_transactions(caller.tenant, caller.account, query.after, query.limit)


async def delete(services: Services, caller: Caller, job_id: str) -> None:
    """Delete an ended job's content at once; the next task, or the sweeper's, removes its files."""
    job = await own_job(services, caller, job_id)
    if not job.final:
        raise ApiError("JOB_NOT_FINISHED", details={"status": job.status})
    try:
        await transitions.apply(services, job.id, events.DeleteRequested(), job)
    except transitions.TaskNotCreated as late:
        log.warning("files_not_removed_yet", job=job.id, error=str(late))
    audit.record("video_deleted", caller, video=job.id, prompt_sha256=audit.prompt_sha256(job.request.prompt))


async def note_view(services: Services, job: Job) -> None:
    """Record that the video is still watched. A view succeeds even if it can't be recorded."""
    try:
        await transitions.apply(services, job.id, events.Viewed(), job)
    except Unavailable as error:
        log.warning("view_not_noted", job=job.id, error=str(error))


async def models(services: Services, caller: Caller) -> ModelList:
    """The models whose provider is configured."""
    config = await services.live_settings.get()
    offering = offered(services, config)
    if not offering.models:
        return ModelList(data=[])
    default = catalog.choose(None, preference(services, caller.tenant, config), offering).model
    return ModelList(data=[views.model(model, model is default, offering, config) for model in offering.models])


async def model(services: Services, caller: Caller, name: str) -> ModelView:
    """The model with that id or alias, or its replacement. Raises ApiError NOT_FOUND."""
    config = await services.live_settings.get()
    offering = offered(services, config)
    try:
        found = catalog.choose(name, (), offering, config.allow_replacements).model
    except ApiError as error:
        raise ApiError("NOT_FOUND", error.message, error.details) from error
    default = catalog.choose(None, preference(services, caller.tenant, config), offering).model
    return views.model(found, found is default, offering, config)


def offered(services: Services, config: LiveSettings) -> catalog.Offering:
    """What this installation currently offers."""
    now = services.clock()
    retired = frozenset(name for name, until in config.retired_models.items() if until > now)
    return catalog.Offering(frozenset(services.providers.by_provider), config.providers, retired)


def preference(services: Services, tenant: str, config: LiveSettings) -> tuple[str, ...]:
    """The models to use if a request names none, in order: the tenant's default, then the installation's."""
    own = config.default_models.get(tenant)
    return (own, *services.settings.model_preference) if own else services.settings.model_preference
