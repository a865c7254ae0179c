"""The routes of this package: projects."""

from __future__ import annotations

from shared.api.projects import ListProjectsQuery, NewProject, ProjectPage, ProjectView, UpdateProject
from shared.api.routing import Route

ROUTES: tuple[Route, ...] = (
    Route(
        "list_projects",
        "GET",
        "/v1/projects",
        "history",
        "List the tenant's projects",
        query=ListProjectsQuery,
        response=ProjectPage,
    ),
    Route(
        "get_project",
        "GET",
        "/v1/projects/{id}",
        "history",
        "Get a project",
        response=ProjectView,
        errors=("NOT_FOUND",),
    ),
    Route(
        "create_project",
        "POST",
        "/v1/projects",
        "history",
        "Create a project",
        caller="admin",
        body=NewProject,
        response=ProjectView,
        status=201,
        errors=("ALREADY_EXISTS", "LIMIT_REACHED"),
    ),
    Route(
        "update_project",
        "PATCH",
        "/v1/projects/{id}",
        "history",
        "Rename or archive a project",
        caller="admin",
        body=UpdateProject,
        response=ProjectView,
        errors=("NOT_FOUND",),
    ),
)
