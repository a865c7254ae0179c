"""A tenant's projects: managed by its administrators; its users' videos may belong to them.

While a tenant has no project, its users may set any `project` on a video. Once it has one, only its own, unarchived
projects are accepted.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import ClassVar

from shared.api.projects import PROJECT_ID, ListProjectsQuery, NewProject, ProjectPage, ProjectView, UpdateProject
from shared.core.documents import Document
from shared.core.errors import ApiError
from shared.platform import accounts, audit, commits, ids, lists
from shared.platform.commits import Batch
from shared.platform.identity import Caller
from shared.platform.ports import Services

MAX_PROJECTS = 500


class Project(Document):
    """One project. `project` is its id within the tenant; the document's id is derived from both."""

    collection: ClassVar[str] = "projects"

    tenant: str
    project: str
    title: str
    archived: bool = False
    created_by: str
    created_at: datetime
    updated_at: datetime
    change_id: str = ""


def document_id(tenant: str, project: str) -> str:
    return ids.derived("project_", tenant, project)


async def find(services: Services, tenant: str, project: str) -> Project | None:
    """The tenant's project with that id, or None."""
    if not re.fullmatch(PROJECT_ID, project):
        return None
    return await services.firestore.get(Project, document_id(tenant, project))


async def get(services: Services, caller: Caller, project: str) -> Project:
    """Get a project. Raises ApiError NOT_FOUND, also for another tenant's."""
    found = await find(services, caller.tenant, project)
    if found is None:
        raise ApiError("NOT_FOUND", "Project not found.", {"project": project[:64]})
    return found


async def page(services: Services, caller: Caller, query: ListProjectsQuery) -> list[Project]:
    """The tenant's projects, newest first, and one more when there is a next page."""
    after = document_id(caller.tenant, query.after) if query.after is not None else None
    return await lists.newest(services, Project, {"tenant": caller.tenant}, after, query.limit)


async def make(services: Services, caller: Caller, body: NewProject) -> Project:
    """Create a project. Raises ApiError ALREADY_EXISTS, or LIMIT_REACHED at 500 a tenant (501 in a race)."""

    async def made(existing: Project | None) -> Batch[Project]:
        if existing is not None:
            raise ApiError("ALREADY_EXISTS", f"Project {body.id} already exists.", {"project": body.id})
        others = await services.firestore.newest(Project, {"tenant": caller.tenant}, None, MAX_PROJECTS)
        if len(others) >= MAX_PROJECTS:
            raise ApiError(
                "LIMIT_REACHED", f"A tenant can have at most {MAX_PROJECTS} projects.", {"limit": MAX_PROJECTS}
            )
        return Batch(_new(caller, body, services.clock()), [await accounts.acting(services, caller)])

    edited = await commits.edit(services, Project, document_id(caller.tenant, body.id), made)
    audit.record("project_made", caller, project=body.id)
    return edited.document


def _new(caller: Caller, body: NewProject, now: datetime) -> Project:
    return Project(
        id=document_id(caller.tenant, body.id),
        tenant=caller.tenant,
        project=body.id,
        title=body.title,
        created_by=caller.account,
        created_at=now,
        updated_at=now,
    )


async def update(services: Services, caller: Caller, project: str, body: UpdateProject) -> Project:
    """Update a project. Raises ApiError NOT_FOUND."""
    known = await get(services, caller, project)
    changes = body.model_dump(exclude_none=True)

    async def changed(found: Project | None) -> Batch[Project] | None:
        if found is None or found.changed(**changes) == found:
            return None
        actor = await accounts.acting(services, caller)
        return Batch(found.changed(**changes, updated_at=services.clock()), [actor])

    edited = await commits.edit(services, Project, known.id, changed, known)
    if edited.written:
        audit.record("project_changed", caller, project=project, changes=changes)
    return edited.document


async def check(services: Services, tenant: str, project: str | None) -> None:
    """Raises ApiError INVALID_REQUEST if a video can't belong to the project: it's archived, or unknown."""
    if project is None:
        return
    found = await find(services, tenant, project)
    if found is not None and not found.archived:
        return
    if found is None and not await services.firestore.newest(Project, {"tenant": tenant}, None, 1):
        return
    message = "the project is archived" if found is not None else "unknown project"
    raise ApiError("INVALID_REQUEST", f"project: {message}", {"fields": [{"field": "project", "message": message}]})


def view(project: Project) -> ProjectView:
    return ProjectView(
        id=project.project,
        title=project.title,
        archived=project.archived,
        created_at=project.created_at,
        updated_at=project.updated_at,
    )


def page_view(found: list[Project], limit: int) -> ProjectPage:
    return ProjectPage.of([view(project) for project in found[:limit]], has_more=len(found) > limit)
