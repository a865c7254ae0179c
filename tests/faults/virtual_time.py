"""An event loop whose time is virtual: when nothing is ready it goes to the next timer at once.

There is no thread, no socket and no waiting, so the order of everything follows from what the program does alone, and a
virtual day takes as long as the work in it. asyncio.sleep and asyncio.timeout work as always.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Stuck(AssertionError):  # noqa: N818
    """Everything waits for something that nobody will do."""


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop of its own time, in seconds from 0."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._clock_resolution = 1e-6
        # BaseEventLoop waits by asking its selector; ours answers at once and lets the time pass.
        self._selector = self

    def time(self) -> float:
        return self._now_s

    def clock(self) -> datetime:
        """The loop's time as a moment."""
        return EPOCH + timedelta(seconds=self._now_s)

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck("nothing is ready and no timer runs")
        self._now_s += max(timeout, 0.0)
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none: no file descriptor is ever watched."""

    def _write_to_self(self) -> None:
        """Nobody outside of the loop has to wake it."""


def seconds_since_epoch(moment: datetime) -> float:
    return (moment - EPOCH).total_seconds()


def run(loop: VirtualLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run to the end of `main`, then end whatever still runs, and close the loop."""
    try:
        return loop.run_until_complete(main)
    finally:
        _end_all(loop)
        loop.close()


def _end_all(loop: VirtualLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
