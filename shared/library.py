"""One's videos, account and ledger, and what the models can do: reads, and the deletion of a video."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shared import events, jobs, log, pricing
from shared.auth import Caller
from shared.errors import ApiError, Unavailable
from shared.generators import catalog
from shared.models import (
    VIDEO_ID,
    Account,
    Job,
    ListTransactionsQuery,
    ListVideosQuery,
    ModelList,
    ModelView,
    Transaction,
)

if TYPE_CHECKING:
    from shared.services import Services


async def own_job(services: Services, caller: Caller, job_id: str) -> Job:
    """The caller's job; another's, a deleted or an unknown one is NOT_FOUND."""
    job = await services.store.get(Job, job_id) if re.fullmatch(VIDEO_ID, job_id) else None
    if job is None or job.account != caller.account or job.tenant != caller.tenant or job.deleted_at is not None:
        raise ApiError("NOT_FOUND", "There is no such video.", {"video": job_id[:64]})
    return job


async def own_account(services: Services, caller: Caller) -> Account:
    account = await services.store.get(Account, caller.account)
    if account is None:
        raise ApiError("UNAUTHENTICATED", "There is no account of this user any more.")
    return account


async def own_jobs(services: Services, caller: Caller, query: ListVideosQuery) -> list[Job]:
    """A page of the caller's jobs, and one more when there is a next page."""
    filters = [name for name in ("status", "model", "project") if getattr(query, name) is not None]
    if len(filters) > 1:
        raise ApiError("INVALID_REQUEST", f"Filter by one of {' and '.join(filters)}.", {"fields": filters})
    return await services.store.list_jobs(caller.tenant, caller.account, query)


async def own_transactions(services: Services, caller: Caller, query: ListTransactionsQuery) -> list[Transaction]:
    return await services.store.list_transactions(caller.tenant, caller.account, query.after, query.limit)


async def delete(services: Services, caller: Caller, job_id: str) -> None:
    """Erase an ended job's content at once; its files are removed by the task that follows, or by the sweeper's."""
    job = await own_job(services, caller, job_id)
    if not job.final:
        raise ApiError("JOB_NOT_FINISHED", details={"status": job.status})
    try:
        await jobs.advance(services, job.id, events.Delete(), job)
    except jobs.TaskNotCreated as late:
        log.warning("files_not_removed_yet", job=job.id, error=str(late))


async def note_view(services: Services, job: Job) -> None:
    """Remember that the video is still watched. A view is never refused because it could not be noted."""
    try:
        await jobs.advance(services, job.id, events.Viewed(), job)
    except Unavailable as error:
        log.warning("view_not_noted", job=job.id, error=str(error))


async def models(services: Services) -> ModelList:
    """The models whose provider is set up here."""
    config = await services.config.get()
    providers = frozenset(services.generators.by_provider)
    offered = [model for model in catalog.MODELS.values() if model.provider in providers]
    if not offered:
        return ModelList(data=[])
    default = catalog.choose(None, services.settings.model_preference, providers)
    return ModelList(
        data=[
            ModelView(
                id=model.id,
                default=model is default,
                seconds=list(model.seconds),
                default_seconds=model.default_seconds,
                sizes=model.sizes,
                default_size=catalog.DEFAULT_SIZE,
                seconds_at_high_resolution=list(model.high_resolution_seconds or model.seconds),
                max_count=model.max_count,
                negative_prompt=model.negative_prompt,
                seed=model.seed,
                silent=model.silent,
                credits_per_second=pricing.credits_per_second(model.id, config),
                usual_seconds=config.usual_times.get(model.id, model.usual_s),
            )
            for model in offered
        ]
    )
