"""Turns within a process, and tries of a commit: what every compare-and-set of Rushes is made with.

Nothing here is needed for being right: preconditions are what keeps two writers apart. Turns spare them most conflicts,
and in one process serve whoever came first.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self
from weakref import WeakValueDictionary

from shared.ports import Services

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


class Tries:
    """Counts tries of a commit until 10 s are over, waiting between them: jittered, so that rivals fall out of step.

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
