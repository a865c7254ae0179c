"""Long work on all that an account has: the copy of it that its user asked for, or its deletion.

A chore goes through its phases in small steps, any of which may be repeated: what a step does can be done twice, or
becomes part of the chore only by the commit that ends the step.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, Literal

from shared.api.account_data import ChoreStatus
from shared.core.documents import Value
from shared.platform import ids
from shared.platform.durable_tasks import DurableTask


class ExportedFile(Value):
    """One file of an export in our bucket."""

    name: str
    object: str
    size_bytes: int


class Chore(DurableTask):
    """One export, or the deletion of an account. `cursor` is how far the present phase has come."""

    collection: ClassVar[str] = "chores"
    path: ClassVar[str] = "/tasks/chore"
    queue: ClassVar[str] = "poll"
    # An export is shown as expired for a while after its files are gone. The deletion of an account never expires.
    kept_after_expiry: ClassVar[timedelta] = timedelta(days=23)

    kind: Literal["export", "erasure"]
    status: ChoreStatus = "queued"
    phase: str
    cursor: str | None = None
    files: tuple[ExportedFile, ...] = ()
    completed_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def prefix(self) -> str:
        """Where in the bucket an export's files are, ending in a slash."""
        return f"{exports_prefix(self.tenant, self.account)}{self.id}/"


def exports_prefix(tenant: str, account: str) -> str:
    """Where in the bucket all exports of an account are, ending in a slash."""
    return f"exports/{tenant}/{account}/"


def erasure_id(account: str) -> str:
    """An account is deleted once: its deletion's id follows from its own."""
    return ids.derived("erasure_", account)
