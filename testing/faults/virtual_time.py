"""An event loop whose time is virtual: when nothing is ready it goes to the next timer at once.

There is no thread, no socket and no waiting, so the order of everything follows from what the program does alone, and a
virtual day takes as long as the work in it. asyncio.sleep and asyncio.timeout work as always.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Stuck(AssertionError):  # noqa: N818
    """Deadlock: everything waits, and nothing is scheduled."""


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop of its own time, in seconds from 0."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._clock_resolution = 1e-9
        # BaseEventLoop waits by asking its selector; ours answers at once and lets the time pass.
        self._selector = self

    def time(self) -> float:
        return self._now_s

    def clock(self) -> datetime:
        """The loop's time as a moment."""
        return EPOCH + timedelta(seconds=self._now_s)

    def begin_at(self, moment: datetime) -> None:
        """Let it be that moment; only before anything waits."""
        self._now_s = seconds_since_epoch(moment)

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck("nothing is ready and no timer runs")
        self._now_s += max(timeout, 0.0)
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none: no file descriptor is ever watched."""

    def _write_to_self(self) -> None:
        """Nothing outside the loop needs to wake it."""


def seconds_since_epoch(moment: datetime) -> float:
    return (moment - EPOCH).total_seconds()


class Alarm:
    """Somebody waits until it is rung, or until a time is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: asyncio.Future[None] | None = None
        self._rung = False

    def ring(self, *_: object) -> None:
        self._rung = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def wait(self, seconds: float | None) -> None:
        """Return at once if it was rung since the last time."""
        if not self._rung:
            self._waiting = self._loop.create_future()
            # At least the clock's resolution of one microsecond.
            timer = None if seconds is None else self._loop.call_later(max(seconds, 0.001), self.ring)
            try:
                await self._waiting
            finally:
                if timer is not None:
                    timer.cancel()
        self._rung = False
