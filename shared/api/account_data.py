"""The bodies of requests and responses about exports and deletions of accounts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from shared.api.bodies import MAX_PAGE, Body, Response, UnixSeconds


class ExportQuery(Body):
    """GET /v1/account/exports/{id}: each file's URL is signed for the response, so files come in pages."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = MAX_PAGE
    after: Annotated[
        str | None,
        Field(max_length=64, pattern=r"^[a-z_]+-\d+\.json$", description="Name of the last file of the previous page."),
    ] = None


class ExportFileView(Response):
    """One JSON file; the URL is signed and serves it until `url_expires_at`. Request it again for a new one."""

    name: str
    size_bytes: int
    url: str
    url_expires_at: UnixSeconds


class ExportView(Response):
    """`files` is empty until the export is completed, and again once it has expired.

    If `has_more` is true, pass the name of the last file as `after`.
    """

    id: str
    object: Literal["export"] = "export"
    status: ChoreStatus
    created_at: UnixSeconds
    completed_at: UnixSeconds | None
    expires_at: UnixSeconds | None
    files: list[ExportFileView]
    has_more: bool


ChoreStatus = TypeAliasType("ChoreStatus", Literal["queued", "in_progress", "completed", "expired", "canceled"])


class ErasureView(Response):
    """The deletion of an account. It can't be stopped."""

    id: str
    object: Literal["account.deletion"] = "account.deletion"
    status: ChoreStatus
    created_at: UnixSeconds
