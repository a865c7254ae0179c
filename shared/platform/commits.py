"""Compare and set: read a document, decide, commit; if somebody else wrote first, start over.

Firestore's preconditions keep two writers apart. Within a process, writers of one document also take turns: that
avoids most conflicts, and correctness doesn't depend on it.
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
    """The queue of one document's writers in this process; the next writer may commit `waiting` along with its own."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: list[Any] = field(default_factory=list)


_turns: WeakValueDictionary[str, Turn] = WeakValueDictionary()


def turn_of(name: str) -> Turn:
    """The queue of that name; it exists as long as somebody holds a reference to it."""
    turn = _turns.get(name)
    if turn is None:
        turn = _turns[name] = Turn()
    return turn


@asynccontextmanager
async def in_turn(turn: Turn) -> AsyncIterator[bool]:
    """Wait for the turn, first come, first served. After 10 s it proceeds without the turn and yields False.

    Otherwise nobody would get a response in bounded time while Firestore doesn't respond to those ahead.
    """
    held = await _acquired(turn.lock)
    try:
        yield held
    finally:
        if held:
            turn.lock.release()


@asynccontextmanager
async def account_lock(account_id: str) -> AsyncIterator[None]:
    """Make writers of one account in this process take turns."""
    async with in_turn(turn_of(account_id)):
        yield


async def _acquired(lock: asyncio.Lock) -> bool:
    try:
        async with asyncio.timeout(TRY_FOR.total_seconds()):
            return await lock.acquire()
    except TimeoutError:
        return False


class CommitAttempts:
    """The attempts of a commit: for 10 s, with jittered waits in between, so that rivals fall out of step.

    Not a generator: leaving one early costs an extra task that closes it, at every submit.
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
    """What one commit writes and removes, all or nothing; `document` is the one being edited."""

    document: D
    others: Sequence[Document] = ()
    removed: Sequence[Document] = ()


@dataclass(frozen=True)
class Edited(Generic[D]):
    """The document as stored now, if it exists. `written`: this call committed it, as far as it can tell."""

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
    """Commit what `change` returns for the document; after a conflict, call it again with the stored document.

    `change` gets None if the document doesn't exist. To write nothing, it returns None or the unchanged document; its
    exceptions propagate. The new document gets a fresh change_id unless it has one. `known` is the document as just
    read, which saves the first read. Raises Unavailable if others kept writing, or Firestore didn't respond, for 10 s.
    """
    async with in_turn(turn_of(id)):
        return await _commit(services, kind, id, change, known, read_first=known is None)


async def create(services: Services, kind: type[D], id: str, make: Callable[[], Awaitable[Batch[D]]]) -> D:  # noqa: A002
    """Commit a new document unless one with that id exists; returns the stored one.

    `make` is called for each attempt; its exceptions propagate. Raises Unavailable as `edit` does.
    """

    async def change(found: D | None) -> Batch[D] | None:
        return await make() if found is None else None

    return (await _commit(services, kind, id, change, None, read_first=False)).document


async def _commit(
    services: Services, kind: type[D], id_: str, change: Change[D], found: D | None, read_first: bool
) -> Edited[D]:
    sent: list[D] = []
    async for attempt in CommitAttempts(services):
        if attempt > 0 or read_first:
            found = await services.firestore.get(kind, id_)
        if found is not None and found.changed(revision=None) in sent:
            # Our commit succeeded, but its response was lost.
            return Edited(found, written=True)
        batch = await change(found)
        if batch is None or batch.document == found:
            # If we sent something, our commit may have succeeded, with another one on top of it.
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
    """Make every write change something: a no-op would keep the document's revision, and two writers would pass."""
    mark = getattr(document, "change_id", None)
    if mark is None or mark != getattr(before, "change_id", ""):
        return document
    return document.changed(change_id=services.ids())
