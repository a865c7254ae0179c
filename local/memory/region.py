"""Firestore in memory, as far away as a region's: the same answers, after the time that the way to it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from local.memory.store import MemoryFirestore


@dataclass(frozen=True)
class Latencies:
    """Seconds from a call to its answer, of a read or query and of a commit."""

    read_s: float = 0.0
    commit_s: float = 0.0


# What is usual between Cloud Run and Firestore in one region.
REGION = Latencies(read_s=0.020, commit_s=0.050)


class DistantStore:
    """A MemoryFirestore whose calls take time: they take effect halfway between call and answer."""

    def __init__(
        self,
        store: MemoryFirestore,
        latencies: Latencies = REGION,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._latencies = latencies
        self._sleep = sleep

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if not asyncio.iscoroutinefunction(method):
            return method
        half_s = (self._latencies.commit_s if name == "commit" else self._latencies.read_s) / 2

        @wraps(method)
        async def called(*args: Any, **kwargs: Any) -> Any:
            await self._sleep(half_s)
            try:
                return await method(*args, **kwargs)
            finally:
                await self._sleep(half_s)

        return called
