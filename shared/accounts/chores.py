"""The durable task behind exports and account deletions.

It goes through its phases in small steps, any of which may run more than once: a step's effects are idempotent, or
count only with the commit that ends the step.
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
    """An export or an account deletion. `cursor`: how far the current phase has got."""

    collection: ClassVar[str] = "chores"
    path: ClassVar[str] = "/tasks/chore"
    queue: ClassVar[str] = "poll"
    # An export is listed as expired for a while after its files are deleted. An account deletion never expires.
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
        """The prefix of this export's files in the bucket; ends in a slash."""
        return f"{exports_prefix(self.tenant, self.account)}{self.id}/"


def exports_prefix(tenant: str, account: str) -> str:
    """The prefix of all of an account's exports in the bucket; ends in a slash."""
    return f"exports/{tenant}/{account}/"


def erasure_id(account: str) -> str:
    """The id of an account's deletion, derived from the account's id because an account is deleted only once."""
    return ids.derived("erasure_", account)
