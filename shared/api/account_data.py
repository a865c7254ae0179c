"""The bodies of requests and responses about exports and deletions of accounts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from shared.api.bodies import MAX_PAGE, Body, Response, UnixSeconds


class ExportQuery(Body):
    """GET /v1/account/exports/{id}: each file's URL is signed for the answer, so files come in pages."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = MAX_PAGE
    after: Annotated[
        str | None,
        Field(max_length=64, pattern=r"^[a-z_]+-\d+\.json$", description="The name of the page before's last file."),
    ] = None


class ExportFileView(Response):
    """One JSON file; the URL is signed and serves it until `url_expires_at`. Ask again for a fresh one."""

    name: str
    size_bytes: int
    url: str
    url_expires_at: UnixSeconds


class ExportView(Response):
    """`files` is empty until the export is completed, and again once it has expired.

    With `has_more` there are further files: ask again with `after`, the name of the last one.
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
    """The deletion of an account. It cannot be stopped."""

    id: str
    object: Literal["account.deletion"] = "account.deletion"
    status: ChoreStatus
    created_at: UnixSeconds
