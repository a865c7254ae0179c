"""All videos of a tenant, for its administrators. Every view is recorded in the audit log."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Any

from shared.api import views
from shared.api.tenant_videos import ListTenantVideosQuery, TenantVideo, TenantVideoPage, WatchedVideo
from shared.api.videos import ContentQuery, SignedUrl
from shared.core.documents import VIDEO_ID, Job, Stage
from shared.core.errors import ApiError
from shared.jobs import outputs, queries
from shared.platform import audit, lists
from shared.platform.identity import Caller
from shared.platform.ports import Services
from shared.streaming import content


async def page(services: Services, caller: Caller, query: ListTenantVideosQuery) -> list[Job]:
    """The tenant's jobs, newest first, and one more when there is a next page."""
    given = {"status": query.status, "request.model": query.model, "account": query.user}
    filters = {path: str(value) for path, value in given.items() if value is not None}
    if len(filters) > 1:
        fields = [name for name in ("status", "model", "user") if getattr(query, name) is not None]
        raise queries.one_filter(fields)
    shown = {"deleted_at": None, **filters}
    found = await lists.newest(services, Job, {"tenant": caller.tenant}, query.after, query.limit, shown)
    audit.record("videos_listed_as_admin", caller, videos=[job.id for job in found[: query.limit]], filters=filters)
    return found


async def watch(services: Services, caller: Caller, job_id: str) -> WatchedVideo:
    """One video of the tenant. Raises ApiError NOT_FOUND, also for another tenant's or a deleted one."""
    job = await services.firestore.get(Job, job_id) if re.fullmatch(VIDEO_ID, job_id) else None
    if job is None or job.tenant != caller.tenant or job.deleted_at is not None:
        raise ApiError("NOT_FOUND", "Video not found.", {"video": job_id[:64]})
    audit.record(
        "video_viewed_as_admin",
        caller,
        video=job.id,
        owner=job.account,
        prompt_sha256=audit.prompt_sha256(job.request.prompt),
    )
    return WatchedVideo(**_seen(job, services.clock()), urls=await _urls(services, job))


async def _urls(services: Services, job: Job) -> list[SignedUrl]:
    if job.stage is not Stage.COMPLETED or job.files_removed_at is not None:
        return []
    items = [outputs.content(job, ContentQuery(index=index)) for index in range(len(job.outputs))]
    return list(await asyncio.gather(*(content.signed_url(services, item) for item in items)))


def _seen(job: Job, now: datetime) -> dict[str, Any]:
    return {**views.video(job, now).model_dump(), "user": job.account}


def page_view(jobs: list[Job], limit: int, now: datetime) -> TenantVideoPage:
    return TenantVideoPage.of([TenantVideo(**_seen(job, now)) for job in jobs[:limit]], has_more=len(jobs) > limit)
