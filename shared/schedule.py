"""When to look at a job next. Pure; seconds."""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST_LOOK_SHARE = 0.75
STEP_SHARE = 0.08
SHORTEST_STEP_S = 1.0
LONGEST_STEP_S = 30.0
LATE_STEP_SHARE = 0.15

UNCERTAIN_STEP_S = 30.0
WAITING_STEP_S = 30.0
STORING_FIRST_STEP_S = 5.0
STORING_LONGEST_STEP_S = 300.0
TIDY_FIRST_STEP_S = 300.0
TIDY_LONGEST_STEP_S = 3_600.0


def next_look(started_at: datetime, expected_s: float, now: datetime) -> datetime:
    """The first look comes shortly before the usual time, the next ones densely around it, later ones ever wider."""
    elapsed_s = (now - started_at).total_seconds()
    first_s = FIRST_LOOK_SHARE * expected_s
    if elapsed_s < first_s:
        return started_at + timedelta(seconds=max(first_s, elapsed_s + SHORTEST_STEP_S))
    share = STEP_SHARE if elapsed_s < 1.5 * expected_s else LATE_STEP_SHARE
    basis_s = expected_s if elapsed_s < 1.5 * expected_s else elapsed_s
    return now + timedelta(seconds=min(max(share * basis_s, SHORTEST_STEP_S), LONGEST_STEP_S))


def backoff(first_s: float, longest_s: float, tries: int) -> timedelta:
    """Doubling from first_s, at most longest_s; `tries` counts the failures so far, from 1."""
    return timedelta(seconds=min(first_s * 2.0 ** min(tries - 1, 32), longest_s))
