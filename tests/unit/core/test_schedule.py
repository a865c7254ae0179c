"""When to poll a job next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import polling
from shared.core.schedule import LONGEST_RARE_STEP_S, LONGEST_STEP_S, LOOKED_BY, SHORTEST_STEP_S, backoff, next_look

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


def look_s(expected_s: float, elapsed_s: float, rarely: bool = False) -> float:
    """Seconds from the start to the next poll."""
    return (next_look(START, expected_s, START + timedelta(seconds=elapsed_s), rarely) - START).total_seconds()


def looks_until(until_s: float, expected_s: float, rarely: bool = False) -> list[float]:
    found = [look_s(expected_s, 0, rarely)]
    while found[-1] < until_s:
        found.append(look_s(expected_s, found[-1], rarely))
    return found


def test_first_poll_comes_when_something_may_have_ended() -> None:
    assert look_s(60, 0) == pytest.approx(40.1, abs=0.1)


def test_polls_are_dense_around_the_expected_time_then_widen() -> None:
    steps = np.diff(looks_until(400, 60))
    densest = int(steps.argmin())
    assert 60 <= looks_until(400, 60)[densest] <= 100
    assert steps[0] > 2 * steps[densest]
    assert (np.diff(steps[densest:]) > -0.5).all()
    assert steps[-1] == LONGEST_STEP_S


def test_polls_grow_slower_than_the_generation() -> None:
    quick, slow = (len(looks_until(expected_s, expected_s)) for expected_s in (60, 360))
    assert quick < slow < 2 * quick


def test_fast_model_is_polled_at_most_once_a_second() -> None:
    assert look_s(2, 2) - 2 == SHORTEST_STEP_S


def test_typical_generation_takes_a_few_polls() -> None:
    assert len(looks_until(60, 60)) <= 7


def test_15_minute_wait_takes_dozens_of_polls() -> None:
    assert len(looks_until(900, 60)) < 65


def test_with_events_the_first_poll_comes_after_the_expected_time() -> None:
    assert 60 < look_s(60, 0, rarely=True) <= 60 + LONGEST_RARE_STEP_S


def test_with_events_few_polls_remain() -> None:
    assert len(looks_until(900, 60, rarely=True)) < len(looks_until(900, 60)) / 3


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_wrong_expected_time_has_bounded_lag_and_polls(factor: float) -> None:
    seen = polling.polled(polling.times(60), polling.scheduled(60 * factor, 600))
    assert np.median(seen.lag_s) < 60
    assert seen.looks.mean() < 30


def test_table_matches_the_distribution() -> None:
    assert polling.looked_by() == LOOKED_BY


@pytest.mark.parametrize("expected_s", [60.0, 360.0])
@pytest.mark.parametrize("interval_s", [2.0, 4.0, 6.0, 10.0, 15.0, 30.0, 60.0])
def test_no_fixed_interval_is_as_efficient(expected_s: float, interval_s: float) -> None:
    ends = polling.times(expected_s)
    scheduled = polling.polled(ends, polling.scheduled(expected_s, ends.max()))
    fixed = polling.polled(ends, polling.every(interval_s, ends.max()))
    assert cost(scheduled) < 0.9 * cost(fixed)


def cost(seen: polling.Lag) -> float:
    return float((seen.lag_s**polling.IMPATIENCE).mean() + polling.LOOK_PRICE * seen.looks.mean())


@given(st.floats(0.1, 3_600), st.floats(0, 86_400), st.booleans())
def test_next_poll_is_in_the_future_and_bounded(expected_s: float, elapsed_s: float, rarely: bool) -> None:
    at = look_s(expected_s, elapsed_s, rarely)
    assert at >= elapsed_s + SHORTEST_STEP_S - 0.001
    longest_s = LONGEST_RARE_STEP_S if rarely else LONGEST_STEP_S
    assert at <= max(elapsed_s, expected_s) + longest_s + 0.001


@given(st.floats(1, 3_600), st.floats(0, 7_200), st.floats(0, 60), st.booleans())
def test_later_poll_is_not_repeated_sooner(expected_s: float, elapsed_s: float, later_s: float, rarely: bool) -> None:
    assert look_s(expected_s, elapsed_s + later_s, rarely) >= look_s(expected_s, elapsed_s, rarely) - 0.001


@pytest.mark.parametrize(("tries", "seconds"), [(1, 5), (2, 10), (3, 20), (7, 300), (10**9, 300)])
def test_backoff_doubles_up_to_its_limit(tries: int, seconds: float) -> None:
    assert backoff(5, 300, tries) == timedelta(seconds=seconds)
