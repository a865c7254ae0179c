"""Compare and set: read a document, decide, commit; if somebody else wrote first, do both again.

Preconditions of the store keep two writers apart. The turns that writers of one document take within a process spare
them most conflicts, and are not needed for correctness.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, Self, TypeVar
from weakref import WeakValueDictionary

from shared.core.documents import Document
from shared.core.errors import Conflict, Unavailable
from shared.platform.ports import Services

D = TypeVar("D", bound=Document)

TRY_FOR = timedelta(seconds=10)
FIRST_WAIT_S = 0.005
LONGEST_WAIT_S = 0.5


@dataclass(eq=False)
class Turn:
    """The queue of one document's writers in this process; `waiting` is what the next of them may take along."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: list[Any] = field(default_factory=list)


_turns: WeakValueDictionary[str, Turn] = WeakValueDictionary()


def turn_of(name: str) -> Turn:
    """The queue of that name; it exists for as long as anybody holds on to it."""
    turn = _turns.get(name)
    if turn is None:
        turn = _turns[name] = Turn()
    return turn


@asynccontextmanager
async def in_turn(turn: Turn) -> AsyncIterator[bool]:
    """First come, first served. After 10 s of waiting you go on without the turn, and get False.

    Behind others who wait for a Firestore that does not answer, nobody would be answered in bounded time.
    """
    held = await _acquired(turn.lock)
    try:
        yield held
    finally:
        if held:
            turn.lock.release()


@asynccontextmanager
async def account_lock(account_id: str) -> AsyncIterator[None]:
    """Writers of one account in one process take turns."""
    async with in_turn(turn_of(account_id)):
        yield


async def _acquired(lock: asyncio.Lock) -> bool:
    try:
        async with asyncio.timeout(TRY_FOR.total_seconds()):
            return await lock.acquire()
    except TimeoutError:
        return False


class CommitAttempts:
    """Counts attempts of a commit for 10 s, waiting between them: jittered, so that rivals fall out of step.

    No generator: one that is left early is closed by a task of its own, at every submit.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._until = services.clock() + TRY_FOR
        self._next = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        attempt = self._next
        self._next += 1
        if attempt > 0:
            wait_s = min(FIRST_WAIT_S * 2.0 ** min(attempt - 1, 16), LONGEST_WAIT_S)
            await self._services.sleep(random.uniform(0, wait_s))  # noqa: S311 - jitter, not a secret
            if self._services.clock() >= self._until:
                raise StopAsyncIteration
        return attempt


@dataclass(frozen=True)
class Batch(Generic[D]):
    """What one commit writes and removes, all or nothing; `document` is the one that is edited."""

    document: D
    others: Sequence[Document] = ()
    removed: Sequence[Document] = ()


@dataclass(frozen=True)
class Edited(Generic[D]):
    """The document as it is stored now, if there is one. `written`: this call committed it, as far as it can know."""

    stored: D | None
    written: bool

    @property
    def document(self) -> D:
        assert self.stored is not None, "nothing is stored"
        return self.stored


Change = Callable[[D | None], Awaitable[Batch[D] | None]]


async def edit(
    services: Services,
    kind: type[D],
    id: str,  # noqa: A002 - Firestore's own word
    change: Change[D],
    known: D | None = None,
) -> Edited[D]:
    """Commit what `change` makes of the document; called again with what is there whenever the commit failed.

    `change` gets None where there is no such document. It writes nothing by returning None or the document as it is;
    what it raises ends the edit. A change is marked with a fresh change_id unless it has one. `known` is the document
    as just read, which saves the first read. Raises Unavailable when others kept writing, or the store did not answer,
    for 10 s.
    """
    async with in_turn(turn_of(id)):
        return await _commit(services, kind, id, change, known, read_first=known is None)


async def create(services: Services, kind: type[D], id: str, make: Callable[[], Awaitable[Batch[D]]]) -> D:  # noqa: A002
    """Commit the new document unless one of that id is there; returns what is stored then.

    `make` is called for each attempt; what it raises ends them. Raises Unavailable as `edit` does.
    """

    async def made(found: D | None) -> Batch[D] | None:
        return await make() if found is None else None

    return (await _commit(services, kind, id, made, None, read_first=False)).document


async def _commit(
    services: Services, kind: type[D], id_: str, change: Change[D], found: D | None, read_first: bool
) -> Edited[D]:
    sent: list[D] = []
    async for attempt in CommitAttempts(services):
        if attempt > 0 or read_first:
            found = await services.firestore.get(kind, id_)
        if found is not None and found.changed(revision=None) in sent:
            # Ours was committed, and the store's answer was lost.
            return Edited(found, written=True)
        batch = await change(found)
        if batch is None or batch.document == found:
            # With something sent, ours may have been committed, and another's on top of it.
            return Edited(found, written=bool(sent))
        document = _with_change_id(services, found, batch.document)
        sent.append(document.changed(revision=None))
        try:
            documents: list[Document] = [document, *batch.others]
            revision = (await services.firestore.commit(documents, batch.removed))[0].revision
        except (Conflict, Unavailable):
            continue
        return Edited(document.changed(revision=revision), written=True)
    raise Unavailable(f"others kept writing to {kind.collection}/{id_}")


def _with_change_id(services: Services, before: D | None, document: D) -> D:
    """No write is a no-op: one that leaves a document as it is would keep its revision, and two writers would pass."""
    mark = getattr(document, "change_id", None)
    if mark is None or mark != getattr(before, "change_id", ""):
        return document
    return document.changed(change_id=services.ids())
