"""Work other than jobs that must not get lost: webhook deliveries, exports, account deletions.

A durable task works like a job: its document has the next step, when it is due, and the name of its Cloud Task, created
or not. So duplicates change nothing, a redelivery of the previous step creates a task that is missing, and the sweep
re-enqueues lost ones.
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
# Per pass; the next one continues. Reading and removing a page takes about 0.2 s, so these fit into its 15 minutes.
MAX_PAGES = 2_000


class DurableTask(Document):
    """The fields of all durable tasks. `due_at` is set until nothing is left to do."""

    absent_when_none: ClassVar[frozenset[str]] = frozenset({"due_at"})
    path: ClassVar[str]
    queue: ClassVar[str]
    # How long the document is kept after its `expires_at`, if it has one.
    kept_after_expiry: ClassVar[timedelta] = timedelta(0)

    tenant: str
    account: str
    step: int = 0
    task: TaskRef
    due_at: datetime | None
    created_at: datetime
    change_id: str = ""


E = TypeVar("E", bound=DurableTask)


def new(services: Services, document: type[E], id_: str, tenant: str, account: str, **fields: Any) -> E:
    """A durable task that is due now, to be committed and enqueued."""
    now = services.clock()
    durable_task = document(
        id=id_, tenant=tenant, account=account, task=ref(document, id_, 0), due_at=now, created_at=now, **fields
    )
    return stamped(durable_task, services.ids())


def ref(kind: type[DurableTask], id_: str, step: int) -> TaskRef:
    """The task of that step, before stamped() completes its name."""
    # The random part comes first: sequential names slow a queue down.
    return TaskRef(name=f"{id_.partition('_')[2] or id_}-{step}", queue=kind.queue)


def stamped(durable_task: E, change_id: str) -> E:
    """The durable task as it will be committed: with that change_id, whose end completes the name of a new step's task.

    As with jobs, no other decision's task has that name; see lifecycle.with_task_name.
    """
    task = durable_task.task
    if task == ref(type(durable_task), durable_task.id, durable_task.step):
        task = task.model_copy(update={"name": f"{task.name}-{change_id[-TASK_SUFFIX_CHARS:]}"})
    return durable_task.changed(change_id=change_id, task=task)


def task(durable_task: DurableTask) -> Task:
    """The Cloud Task of the current step, due when the durable task is."""
    return Task(
        durable_task.task, durable_task.due_at, {"id": durable_task.id, "step": durable_task.step}, durable_task.path
    )


def forward(durable_task: E, at: datetime, **changes: Any) -> E:
    """The durable task at its next step, due at that time; to be stamped and committed."""
    step = durable_task.step + 1
    return durable_task.changed(step=step, task=ref(type(durable_task), durable_task.id, step), due_at=at, **changes)


async def enqueue(services: Services, durable_task: DurableTask) -> None:
    """Create the current step's task; if that fails, the sweep creates it within two minutes."""
    try:
        await services.tasks.create(task(durable_task))
    except Unavailable as error:
        log.warning("durable_task_not_enqueued", durable_task=durable_task.id, error=str(error))


async def arrive(services: Services, kind: type[E], id_: str, step: int) -> E | None:
    """The durable task for a delivery of that step; None if there is nothing to do. Raises Unavailable."""
    durable_task = await services.firestore.get(kind, id_)
    if durable_task is None or durable_task.step < step:
        log.error("unknown_durable_task", durable_task=id_, step=step)
        return None
    if durable_task.due_at is None:
        return None
    if durable_task.step > step:
        if durable_task.step == step + 1:
            # We may have crashed between committing that step and creating its task.
            await services.tasks.create(task(durable_task))
        return None
    return durable_task


async def advance(services: Services, durable_task: E) -> None:
    """Commit the durable task, and create the task of its next step if it has one.

    Does nothing if somebody else advanced it: they create the task. Raises Unavailable.
    """
    durable_task = stamped(durable_task, services.ids())
    try:
        await services.firestore.commit([durable_task])
    except Conflict:
        log.info("durable_task_advanced_by_another", durable_task=durable_task.id, step=durable_task.step)
        return
    if durable_task.due_at is not None:
        await services.tasks.create(task(durable_task))


async def sweep(services: Services, *kinds: type[DurableTask]) -> dict[str, int]:
    """Sweep durable tasks that are more than a minute overdue; returns how many were seen, re-enqueued, and failed."""
    counts: Counter[str] = Counter(seen=0, restored=0, failed=0)
    for kind in kinds:
        swept = await passes.Sweep(services, kind, restore=lambda durable_task: _restore(services, durable_task)).run()
        counts.update({name: swept[name] for name in counts})
    log.info("durable_tasks_swept", **counts)
    return dict(counts)


async def _restore(services: Services, durable_task: DurableTask) -> str | None:
    try:
        if await services.tasks.exists(durable_task.task):
            return None
        # A new name, since Cloud Tasks blocks a used one for a day.
        again = stamped(forward(durable_task, services.clock()), services.ids())
        await services.firestore.commit([again])
        await services.tasks.create(task(again))
    except Conflict:
        return None
    except Unavailable as error:
        log.warning("durable_task_not_swept", durable_task=durable_task.id, error=str(error))
        return "failed"
    return "restored"


async def remove_expired(services: Services, *kinds: type[DurableTask]) -> dict[str, int]:
    """Daily: remove documents past their retention, in bounded pages; returns how many, by collection."""
    removed = {}
    for kind in kinds:
        count, before = 0, services.clock() - kind.kept_after_expiry
        for _ in range(MAX_PAGES):
            page = await services.firestore.expired(kind, before, PAGE)
            gone = await _remove(services, [durable_task for durable_task in page if durable_task.due_at is None])
            count += gone
            # A page of which nothing could be removed would be listed again forever.
            if len(page) < PAGE or gone == 0:
                break
        removed[kind.collection] = count
    log.info("durable_tasks_removed", **removed)
    return removed


async def _remove(services: Services, page: list[DurableTask]) -> int:
    """Remove all in one commit; on a conflict, one by one, leaving those still being written for another day."""
    try:
        if page:
            await services.firestore.commit([], removed=page)
        return len(page)
    except Conflict:
        return sum([await _removed(services, durable_task) for durable_task in page])


async def _removed(services: Services, durable_task: DurableTask) -> bool:
    try:
        await services.firestore.commit([], removed=[durable_task])
    except Conflict:
        return False
    return True
