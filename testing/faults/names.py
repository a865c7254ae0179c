"""What a commit is called: by the documents that it changes."""

from __future__ import annotations

from collections.abc import Sequence

from shared.core.documents import Document, Job, Stage

_MOVES = {
    (Stage.WAITING, Stage.QUEUED): "entered",
    (Stage.QUEUED, Stage.STARTING): "claim",
    (Stage.QUEUED, Stage.GENERATING): "accepted",
    (Stage.STARTING, Stage.GENERATING): "accepted",
    (Stage.STARTING, Stage.QUEUED): "deferred",
    (Stage.STARTING, Stage.UNCERTAIN): "lost",
    (Stage.UNCERTAIN, Stage.GENERATING): "accepted",
    (Stage.UNCERTAIN, Stage.STORING): "adopted",
    (Stage.UNCERTAIN, Stage.QUEUED): "restarted",
    (Stage.GENERATING, Stage.STORING): "finished",
}
_STAYS = {
    Stage.WAITING: "waits",
    Stage.UNCERTAIN: "unseen",
    Stage.GENERATING: "running",
    Stage.STORING: "not-stored",
}


def commit_name(documents: Sequence[Document], before: Job | None) -> str:
    """The name of the effect that writes these documents, given the job as it stands in the store."""
    job = next((document for document in documents if isinstance(document, Job)), None)
    if not documents:
        return "removed.commit"
    if job is None:
        return f"{type(documents[0]).__name__.lower()}.commit"
    if before is None:
        return "submitted.commit"
    return f"{_change(before, job)}.commit"


def is_final_commit(name: str) -> bool:
    """Whether the commit of that name ends a job."""
    return name.removesuffix(".commit") in ("completed", "failed", "canceled")


def _change(before: Job, after: Job) -> str:
    if before.repeats_taken != after.repeats_taken:
        return "repeated"
    if before.rejected_by != after.rejected_by:
        return "switched"
    if before.stage is not after.stage:
        return after.stage.value if after.final else _MOVES.get((before.stage, after.stage), "illegal")
    if after.final:
        return _of_ended(before, after)
    if after.step == before.step:
        return _of_lease(before, after)
    return _STAYS.get(after.stage, "swept")


def _of_ended(before: Job, after: Job) -> str:
    if before.deleted_at != after.deleted_at:
        return "deleted"
    if before.expires_at != after.expires_at:
        return "expired"
    if before.operation != after.operation:
        return "name-kept"
    if before.to_announce and not after.to_announce:
        return "announced"
    if before.late_success != after.late_success:
        return "late-success"
    return "tidied" if after.due_at is None else "tidy-again"


def _of_lease(before: Job, after: Job) -> str:
    if before.hinted_operation != after.hinted_operation:
        return "hinted"
    if before.lease is None or after.lease is None or before.lease.holder != after.lease.holder:
        return "claim-storing"
    return "renew"


def service_of(name: str) -> str:
    """Which service an effect of that name needs."""
    what = name.rpartition("/")[2]
    first, _, last = what.partition(".")
    if first in ("provider", "task", "webhook"):
        return first
    return "media" if first in ("object", "objects", "video", "poster") and last != "read" else "store"
