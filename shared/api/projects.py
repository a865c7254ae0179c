"""The bodies of requests and responses about projects."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.api.bodies import Body, Listed, Page, PageQuery, UnixSeconds
from shared.core.documents import ONE_LINE

# Same as CreateVideo.project.
PROJECT_ID = r"^[A-Za-z0-9_-]{1,64}$"


class NewProject(Body):
    """POST /v1/projects."""

    id: Annotated[str, Field(pattern=PROJECT_ID, description="The value of `project` in videos.")]
    title: Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)]


class UpdateProject(Body):
    """PATCH /v1/projects/{id}: omitted fields are unchanged."""

    title: Annotated[str | None, Field(min_length=1, max_length=200, pattern=ONE_LINE)] = None
    archived: Annotated[
        bool | None, Field(description="Archived projects accept no new videos; existing ones stay.")
    ] = None


class ListProjectsQuery(PageQuery):
    """GET /v1/projects."""

    after: Annotated[str | None, Field(pattern=PROJECT_ID, description="The `last_id` of the previous page.")] = None


class ProjectView(Listed):
    id: str
    object: Literal["project"] = "project"
    title: str
    archived: bool
    created_at: UnixSeconds
    updated_at: UnixSeconds


class ProjectPage(Page[ProjectView]):
    pass
