"""The same work on all processors; schedules share nothing, so their order does not matter."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

MOST_PROCESSES = 8
AHEAD = 4


def each(work: Callable[[A], B], items: Iterable[A], until: Callable[[], bool] = lambda: False) -> Iterator[B]:
    """What `work` makes of each item, in order; no more are begun once `until` holds.

    `work` and what it takes and gives must be picklable.
    """
    processes = min(os.cpu_count() or 1, MOST_PROCESSES)
    context = multiprocessing.get_context("fork")
    waiting = iter(items)
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_collect_rarely) as pool:
        begun = [pool.submit(work, item) for item in islice(waiting, AHEAD * processes)]
        while begun:
            yield begun.pop(0).result()
            if not until():
                begun += [pool.submit(work, item) for item in islice(waiting, 1)]


def _collect_rarely() -> None:
    """A schedule makes much garbage and few cycles of it: collecting them less often saves a tenth of the time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
