"""All videos of a tenant, for its administrators. Each look is in the audit log."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from shared import audit, library, lists, outputs, serving, views
from shared.errors import ApiError
from shared.identity import Caller
from shared.models import VIDEO_ID, ContentQuery, Job, Page, PageQuery, SignedUrl, Stage, Status, Video
from shared.ports import Services
from shared.users import USER_ID


class ListTenantVideosQuery(PageQuery):
    """GET /v1/admin/videos: at most one of status, model and user."""

    after: Annotated[str | None, Field(pattern=VIDEO_ID, description="The `last_id` of the page before.")] = None
    status: Status | None = None
    model: Annotated[str | None, Field(max_length=64)] = None
    user: Annotated[str | None, Field(pattern=USER_ID)] = None


class TenantVideo(Video):
    """A video and whose it is."""

    user: str


class WatchedVideo(TenantVideo):
    """One video, with what an administrator needs to watch it: a signed URL for each of its files."""

    urls: list[SignedUrl]


class TenantVideoPage(Page[TenantVideo]):
    pass


async def page(services: Services, caller: Caller, query: ListTenantVideosQuery) -> list[Job]:
    """The tenant's jobs, newest first, and one more when there is a next page."""
    given = {"status": query.status, "request.model": query.model, "account": query.user}
    filters = {path: str(value) for path, value in given.items() if value is not None}
    if len(filters) > 1:
        fields = [name for name in ("status", "model", "user") if getattr(query, name) is not None]
        raise library.one_filter(fields)
    shown = {"deleted_at": None, **filters}
    found = await lists.newest(services, Job, {"tenant": caller.tenant}, query.after, query.limit, shown)
    audit.record("videos_listed_as_admin", caller, videos=[job.id for job in found[: query.limit]], filters=filters)
    return found


async def watch(services: Services, caller: Caller, job_id: str) -> WatchedVideo:
    """One job of the tenant; another tenant's, a deleted or an unknown one is NOT_FOUND."""
    job = await services.store.get(Job, job_id) if re.fullmatch(VIDEO_ID, job_id) else None
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
    return list(await asyncio.gather(*(serving.signed_url(services, item) for item in items)))


def _seen(job: Job, now: datetime) -> dict[str, Any]:
    return {**views.video(job, now).model_dump(), "user": job.account}


def page_view(jobs: list[Job], limit: int, now: datetime) -> TenantVideoPage:
    return TenantVideoPage.of([TenantVideo(**_seen(job, now)) for job in jobs[:limit]], has_more=len(jobs) > limit)
