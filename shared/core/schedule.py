"""When to poll a job next. Pure; times in seconds.

A poll costs money, and so does every second in which a finished video goes unnoticed. We know the distribution of
generation times, so polls are frequent when a generation is likely to end, and rare otherwise.
`python -m bench.polling` derives LOOKED_BY from that distribution, and runs 100,000 jobs through this module.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

# (share of the expected time, polls that are worth their price until then), for an expected time of LOOKS_UNIT_S. Of
# all generations, 97.5 % end around the expected time (sigma 0.25), 2 % at any time, since the expected time may be
# wrong, and 0.5 % never.
LOOKED_BY: tuple[tuple[float, float], ...] = (
    (0.0, 0.0), (0.3, 0.07), (0.4, 0.13), (0.5, 0.24), (0.55, 0.36), (0.6, 0.56),
    (0.65, 0.86), (0.7, 1.26), (0.75, 1.78), (0.8, 2.41), (0.9, 3.99), (1.0, 5.95),
    (1.1, 8.21), (1.25, 12.0), (1.5, 18.82), (1.75, 25.22), (2.0, 29.89), (2.5, 34.18),
    (3.0, 36.21), (4.0, 38.86), (6.0, 41.6), (10.0, 43.41),
)  # fmt: skip
_SHARES, _LOOKS = zip(*LOOKED_BY, strict=True)
LOOKS_UNIT_S = 60.0
# A longer generation is worth more polls, and may be noticed later.
LOOKS_GROW_WITH = 1 / 3
# Where events report the end, polls only cover the few generations whose event is lost.
LOST_EVENTS_SHARE = 0.02
RARELY = LOST_EVENTS_SHARE ** (2 / 3)
SHORTEST_STEP_S = 1.0
LONGEST_STEP_S = 30.0
LONGEST_RARE_STEP_S = 60.0

UNCERTAIN_STEP_S = 30.0
WAITING_STEP_S = 30.0
STORING_FIRST_STEP_S = 5.0
STORING_LONGEST_STEP_S = 300.0
TIDY_FIRST_STEP_S = 300.0
TIDY_LONGEST_STEP_S = 3_600.0


def next_look(started_at: datetime, expected_s: float, now: datetime, rarely: bool = False) -> datetime:
    """When the next poll is worth its price, for a generation expected to take `expected_s` that hasn't ended yet.

    `rarely`: events report nearly every end, so most polls would be wasted.
    """
    elapsed_s = (now - started_at).total_seconds()
    density = (expected_s / LOOKS_UNIT_S) ** LOOKS_GROW_WITH * (RARELY if rarely else 1.0)
    polls = _interpolated(elapsed_s / expected_s, _SHARES, _LOOKS)
    worth_s = _interpolated(polls + 1.0 / density, _LOOKS, _SHARES) * expected_s
    if polls == _LOOKS[-1]:
        worth_s = math.inf
    latest_s = max(elapsed_s, expected_s) + (LONGEST_RARE_STEP_S if rarely else LONGEST_STEP_S)
    return started_at + timedelta(seconds=max(min(worth_s, latest_s), elapsed_s + SHORTEST_STEP_S))


def _interpolated(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """y at x by linear interpolation between the points; the outermost y outside of them."""
    index = bisect_right(xs, x)
    if index in (0, len(xs)):
        return ys[max(index - 1, 0)]
    share = (x - xs[index - 1]) / (xs[index] - xs[index - 1])
    return ys[index - 1] + share * (ys[index] - ys[index - 1])


def backoff(first_s: float, longest_s: float, tries: int) -> timedelta:
    """A wait that doubles from first_s up to longest_s; `tries` is the number of failures so far, from 1."""
    return timedelta(seconds=min(first_s * 2.0 ** min(tries - 1, 32), longest_s))
