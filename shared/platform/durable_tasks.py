"""Work that is no job and must be done for certain all the same: webhook deliveries, exports, deletions of accounts.

An errand is driven as a job is: the document says which step is next, when it is due and under which name its task was
or will be created. So duplicates change nothing, a redelivery of the step before re-creates a task that was never
created, and the sweep puts back what fell.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

from shared.core.documents import Document, TaskRef
from shared.core.errors import Conflict, Unavailable
from shared.core.lifecycle import TASK_SUFFIX_CHARS, Task
from shared.platform import log, passes
from shared.platform.ports import Services

PAGE = 200
# Of one pass; what is left is for the next one. A page is read and removed in about 0.2 s, so these fit its 15 minutes.
MAX_PAGES = 2_000


class Errand(Document):
    """What all errands have. `due_at` is there until nothing is left to do."""

    absent_when_none: ClassVar[frozenset[str]] = frozenset({"due_at"})
    path: ClassVar[str]
    queue: ClassVar[str]
    # How long after its `expires_at`, if it has one, the document itself is removed.
    kept_after_expiry: ClassVar[timedelta] = timedelta(0)

    tenant: str
    account: str
    step: int = 0
    task: TaskRef
    due_at: datetime | None
    created_at: datetime
    change_id: str = ""


E = TypeVar("E", bound=Errand)


def new(services: Services, document: type[E], id_: str, tenant: str, account: str, **fields: Any) -> E:
    """An errand that is due now; to be committed and enqueued."""
    now = services.clock()
    errand = document(
        id=id_, tenant=tenant, account=account, task=ref(document, id_, 0), due_at=now, created_at=now, **fields
    )
    return stamped(errand, services.ids())


def ref(kind: type[Errand], id_: str, step: int) -> TaskRef:
    """The task of that step, before stamped() completes its name."""
    # The random part comes first: names that begin alike make a queue slow.
    return TaskRef(name=f"{id_.partition('_')[2] or id_}-{step}", queue=kind.queue)


def stamped(errand: E, change_id: str) -> E:
    """As it is to be committed: under that change_id, whose end completes the name of a new step's task.

    As with jobs, no other decision's task has that name; see lifecycle.with_task_name.
    """
    task = errand.task
    if task == ref(type(errand), errand.id, errand.step):
        task = task.model_copy(update={"name": f"{task.name}-{change_id[-TASK_SUFFIX_CHARS:]}"})
    return errand.changed(change_id=change_id, task=task)


def task(errand: Errand) -> Task:
    """The task of the errand's present step, due when the errand is."""
    return Task(errand.task, errand.due_at, {"id": errand.id, "step": errand.step}, errand.path)


def forward(errand: E, at: datetime, **changes: Any) -> E:
    """The errand at its next step, whose task comes at that moment; to be stamped and committed."""
    step = errand.step + 1
    return errand.changed(step=step, task=ref(type(errand), errand.id, step), due_at=at, **changes)


async def enqueue(services: Services, errand: Errand) -> None:
    """Create the present step's task; where that fails now, the sweep does it within two minutes."""
    try:
        await services.queue.create(task(errand))
    except Unavailable as error:
        log.warning("errand_not_enqueued", errand=errand.id, error=str(error))


async def arrive(services: Services, kind: type[E], id_: str, step: int) -> E | None:
    """The errand that a delivery of that step is to work on; None when there is nothing to do. Raises Unavailable."""
    errand = await services.store.get(kind, id_)
    if errand is None or errand.step < step:
        log.error("unknown_errand", errand=id_, step=step)
        return None
    if errand.due_at is None:
        return None
    if errand.step > step:
        if errand.step == step + 1:
            # Perhaps we died between the commit of that step and the creation of its task.
            await services.queue.create(task(errand))
        return None
    return errand


async def advance(services: Services, errand: E) -> None:
    """Commit the errand as it now is, and create the task of its next step if it has one.

    Nothing happens when somebody else advanced it: their task is there, or will be. Raises Unavailable.
    """
    errand = stamped(errand, services.ids())
    try:
        await services.store.commit([errand])
    except Conflict:
        log.info("errand_advanced_by_another", errand=errand.id, step=errand.step)
        return
    if errand.due_at is not None:
        await services.queue.create(task(errand))


async def sweep(services: Services, *kinds: type[Errand]) -> dict[str, int]:
    """One sweep over errands that are due by more than a minute: how many were seen, re-enqueued, and failed."""
    counts: Counter[str] = Counter(seen=0, restored=0, failed=0)
    for kind in kinds:
        swept = await passes.Sweep(services, kind, restore=lambda errand: _restore(services, errand)).run()
        counts.update({name: swept[name] for name in counts})
    log.info("errands_swept", **counts)
    return dict(counts)


async def _restore(services: Services, errand: Errand) -> str | None:
    try:
        if await services.queue.exists(errand.task):
            return None
        # A new name: names of tasks that were there are blocked for a day.
        again = stamped(forward(errand, services.clock()), services.ids())
        await services.store.commit([again])
        await services.queue.create(task(again))
    except Conflict:
        return None
    except Unavailable as error:
        log.warning("errand_not_swept", errand=errand.id, error=str(error))
        return "failed"
    return "restored"


async def remove_expired(services: Services, *kinds: type[Errand]) -> dict[str, int]:
    """Daily: remove the documents that are no longer kept, in bounded pages; how many, by collection."""
    removed = {}
    for kind in kinds:
        count, before = 0, services.clock() - kind.kept_after_expiry
        for _ in range(MAX_PAGES):
            page = await services.store.expired(kind, before, PAGE)
            gone = await _remove(services, [errand for errand in page if errand.due_at is None])
            count += gone
            # What was removed is not listed again; a page of which nothing could be would come back forever.
            if len(page) < PAGE or gone == 0:
                break
        removed[kind.collection] = count
    log.info("errands_removed", **removed)
    return removed


async def _remove(services: Services, page: list[Errand]) -> int:
    """All in one commit; where somebody still writes one of them, each by itself, and that one another day."""
    try:
        if page:
            await services.store.commit([], removed=page)
        return len(page)
    except Conflict:
        return sum([await _removed(services, errand) for errand in page])


async def _removed(services: Services, errand: Errand) -> bool:
    try:
        await services.store.commit([], removed=[errand])
    except Conflict:
        return False
    return True
