"""The bodies of requests and responses about all videos of a tenant."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.api.bodies import Page, PageQuery
from shared.api.users import USER_ID
from shared.api.videos import SignedUrl, Video
from shared.core.documents import VIDEO_ID, Status


class ListTenantVideosQuery(PageQuery):
    """GET /v1/admin/videos: at most one of status, model and user."""

    after: Annotated[str | None, Field(pattern=VIDEO_ID, description="The `last_id` of the previous page.")] = None
    status: Status | None = None
    model: Annotated[str | None, Field(max_length=64)] = None
    user: Annotated[str | None, Field(pattern=USER_ID)] = None


class TenantVideo(Video):
    """A video and its owner."""

    user: str


class WatchedVideo(TenantVideo):
    """One video, with what an administrator needs to watch it: a signed URL for each of its files."""

    urls: list[SignedUrl]


class TenantVideoPage(Page[TenantVideo]):
    pass
