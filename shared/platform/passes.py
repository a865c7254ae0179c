"""Passes over whole collections: page by page, several documents at once, from where the previous pass stopped.

A pass doesn't grow with its collection: it does a bounded amount of work and saves its place in its own document. Two
concurrent passes do some work twice, which is always safe, and the later one's place is kept.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Generic, TypeVar

from shared.core.documents import Document, Job
from shared.core.errors import Conflict, Unavailable
from shared.core.lifecycle import SWEEP_AFTER_S
from shared.platform import log
from shared.platform.ports import Place, Services

D = TypeVar("D", bound=Document)
T = TypeVar("T")
R = TypeVar("R")

PAGE = 200
AT_ONCE = 16
# A sweep runs every minute; it can look up or re-enqueue this many in less.
NEW_PER_SWEEP = 10_000
AGAIN_PER_SWEEP = 2_000
# A daily pass ends well before its function's timeout.
PASS_FOR = timedelta(minutes=10)


class Cursor(Document):
    """cursors/{pass}: how far the pass has got.

    `place` is the last document seen; None starts over. `newest`, for a sweep, is the last document that became due.
    """

    collection: ClassVar[str] = "cursors"

    place: Place | None = None
    newest: Place | None = None
    updated_at: datetime
    change_id: str


async def cursor(services: Services, name: str) -> Cursor:
    """The pass's cursor, or a new one. Raises Unavailable."""
    found = await services.firestore.get(Cursor, name)
    return found or Cursor(id=name, updated_at=services.clock(), change_id="")


async def keep(services: Services, cursor: Cursor) -> Cursor:
    """Save the cursor. If that fails, or another pass was faster, the next pass repeats some of this one's work."""
    cursor = cursor.changed(updated_at=services.clock(), change_id=services.ids())
    try:
        [cursor] = await services.firestore.commit([cursor])
    except (Conflict, Unavailable) as error:
        log.info("cursor_not_kept", cursor=cursor.id, error=str(error))
    return cursor


class Pages(Generic[T]):
    """A list, page by page: `read` gets the last item of the previous page. Stops after the last page or when `enough`
    returns True; `ended`: it got to the end of the list.
    """

    def __init__(
        self, read: Callable[[T | None], Awaitable[Sequence[T]]], enough: Callable[[], bool] = lambda: False
    ) -> None:
        self._read = read
        self._enough = enough
        self.last: T | None = None
        self.ended = False

    async def __aiter__(self) -> AsyncIterator[Sequence[T]]:
        while page := await self._read(self.last):
            self.last = page[-1]
            yield page
            if self._enough():
                return
        self.ended = True


def ended_jobs(
    services: Services, since: datetime, until: datetime, enough: Callable[[], bool] = lambda: False
) -> Pages[Job]:
    """Jobs of all tenants that ended at or after `since` and before `until`, earliest first."""

    async def read(last: Job | None) -> list[Job]:
        return await services.firestore.ended_jobs(since, until, last, PAGE)

    return Pages(read, enough)


def time_is_up(services: Services) -> Callable[[], bool]:
    """A function that returns whether a daily pass started now has used up its time."""
    until = services.clock() + PASS_FOR
    return lambda: services.clock() >= until


async def for_all(pages: Pages[D], act: Callable[[D], Awaitable[str | None]]) -> Counter[str]:
    """Act on every document, several at once; returns a count of each outcome, and under "seen" of all documents."""
    counts: Counter[str] = Counter()
    async for page in pages:
        counts.update(await tally(page, act))
    return counts


async def tally(documents: Sequence[D], act: Callable[[D], Awaitable[str | None]]) -> Counter[str]:
    """Like `for_all`, for one page. A document whose action raises counts as "failed" and doesn't stop the others."""

    async def outcome(document: D) -> str | None:
        try:
            return await act(document)
        except Exception as error:  # noqa: BLE001
            log.exception("document_not_swept", collection=document.collection, id=document.id, error=repr(error))
            return "failed"

    results = await for_each(documents, outcome)
    return Counter({"seen": len(documents)}) + Counter(result for result in results if result is not None)


async def for_each(documents: Sequence[T], act: Callable[[T], Awaitable[R]], at_once: int = AT_ONCE) -> list[R]:
    """The results of `act`, in the order of the documents."""
    gate = asyncio.Semaphore(at_once)

    async def one(document: T) -> R:
        async with gate:
            return await act(document)

    return await asyncio.gather(*(one(document) for document in documents))


@dataclass
class Sweep(Generic[D]):
    """One sweep over the documents of a kind that are more than a minute overdue.

    `restore` looks up a document's task and re-enqueues the document if the task is gone; `end` ends a document past
    its deadline, without a lookup. Both return the outcome to count: "restored", "ended", "failed", or None.

    If everything overdue fits on a page, each sweep sees all of it. A longer list is mostly documents that wait in a
    paced queue, as they should. Then documents past their deadline come first, as they have been due longest; next
    those that became due since the last sweep, so that a lost task is found just as soon; and of the rest, whose tasks
    existed at an earlier sweep, each sweep checks some in turn.
    """

    services: Services
    kind: type[D]
    restore: Callable[[D], Awaitable[str | None]]
    end: Callable[[D], Awaitable[str | None]] | None = None
    is_overdue: Callable[[D], Awaitable[bool]] | None = None
    counts: Counter[str] = field(default_factory=Counter)

    async def run(self) -> dict[str, int]:
        """Returns counts of the documents seen and of each outcome. Raises Unavailable if they can't be listed."""
        before = self.services.clock() - timedelta(seconds=SWEEP_AFTER_S)
        page = await self._page(before, None)
        if len(page) < PAGE:
            await self._handle(page)
        else:
            await self._long(before, page)
        return {name: self.counts[name] for name in ("seen", "restored", "ended", "failed")}

    async def _long(self, before: datetime, page: list[D]) -> None:
        cursor_ = await cursor(self.services, f"sweep-{self.kind.collection}")
        known = cursor_.newest
        await self._overdue(before, page)
        newest = await self._new(before, known)
        place = await self._again(before, cursor_.place, known) if known is not None else None
        await keep(self.services, cursor_.changed(newest=newest, place=place))

    async def _overdue(self, before: datetime, page: list[D]) -> None:
        """Starting with those due longest, until a page has none past their deadline."""
        seen = 0
        while seen < NEW_PER_SWEEP and (overdue := [one for one in page if await self._is_overdue(one)]):
            await self._handle(overdue)
            seen += len(page)
            page = await self._page(before, self._place(page[-1]))

    async def _new(self, before: datetime, known: Place | None) -> Place | None:
        """Handle what became due since the previous sweep; returns the place of the last document."""
        seen = 0
        while seen < NEW_PER_SWEEP and (page := await self._page(before, known)):
            failed = self.counts["failed"]
            await self._handle(page)
            if 2 * (self.counts["failed"] - failed) > len(page):
                # An outage, not a broken document: the next sweep starts with this page.
                break
            seen += len(page)
            known = self._place(page[-1])
        return known

    async def _again(self, before: datetime, place: Place | None, end: Place) -> Place | None:
        """Recheck some of what earlier sweeps have seen, and more as long as it finds lost tasks."""
        left, most = AGAIN_PER_SWEEP, NEW_PER_SWEEP
        while left > 0 and most > 0:
            page = await self._page(before, place)
            seen = [one for one in page if _order(self._place(one)) <= _order(end)]  # the rest is new
            if not seen and place is not None:
                place = None
                continue
            lost = self.counts["restored"]
            await self._handle(seen)
            if len(seen) < PAGE:
                return None
            most -= len(seen)
            left -= 0 if self.counts["restored"] > lost else len(seen)
            place = self._place(seen[-1])
        return place

    async def _page(self, before: datetime, after: Place | None) -> list[D]:
        return await self.services.firestore.due(self.kind, before, after, PAGE)

    async def _handle(self, documents: Sequence[D]) -> None:
        self.counts += await tally(documents, self._one)

    async def _one(self, document: D) -> str | None:
        if self.end is not None and await self._is_overdue(document):
            return await self.end(document)
        return await self.restore(document)

    async def _is_overdue(self, document: D) -> bool:
        return self.is_overdue is not None and await self.is_overdue(document)

    def _place(self, document: D) -> Place:
        return Place.of(document, "due_at")


def _order(place: Place) -> tuple[datetime, str]:
    assert place.moment is not None, "what is due has a moment"
    return place.moment, place.id
