"""When to look at a job next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schedule import LONGEST_STEP_S, SHORTEST_STEP_S, backoff, next_look

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


def look_s(expected_s: float, elapsed_s: float) -> float:
    """Seconds from the start to the next look."""
    return (next_look(START, expected_s, START + timedelta(seconds=elapsed_s)) - START).total_seconds()


def test_the_first_look_comes_shortly_before_the_usual_time() -> None:
    assert look_s(60, 0) == 45


@pytest.mark.parametrize(
    ("elapsed_s", "wait_s"), [(45, 4.8), (60, 4.8), (89, 4.8), (90, 13.5), (180, 27), (400, LONGEST_STEP_S)]
)
def test_looks_are_dense_around_the_usual_time_and_ever_wider_after_it(elapsed_s: float, wait_s: float) -> None:
    assert look_s(60, elapsed_s) - elapsed_s == pytest.approx(wait_s)


def test_a_quick_model_is_not_asked_more_than_once_a_second() -> None:
    assert look_s(2, 2) - 2 == SHORTEST_STEP_S


def test_a_usual_generation_is_looked_at_a_few_times_only() -> None:
    elapsed_s, looks = 0.0, 0
    while elapsed_s < 60:
        elapsed_s, looks = look_s(60, elapsed_s), looks + 1
    assert looks <= 6


def test_fifteen_minutes_of_waiting_cost_some_dozens_of_looks() -> None:
    elapsed_s, looks = 0.0, 0
    while elapsed_s < 900:
        elapsed_s, looks = look_s(60, elapsed_s), looks + 1
    assert looks < 50


@given(st.floats(0.1, 3_600), st.floats(0, 86_400))
def test_the_next_look_always_lies_in_the_future_and_never_far_beyond_the_first(
    expected_s: float, elapsed_s: float
) -> None:
    at = look_s(expected_s, elapsed_s)
    assert at >= elapsed_s + SHORTEST_STEP_S - 0.001 or at == pytest.approx(0.75 * expected_s, abs=0.001)
    assert at > elapsed_s
    assert at <= max(elapsed_s + LONGEST_STEP_S, 0.75 * expected_s, elapsed_s + SHORTEST_STEP_S) + 0.001


@pytest.mark.parametrize(("tries", "seconds"), [(1, 5), (2, 10), (3, 20), (7, 300), (10**9, 300)])
def test_a_back_off_doubles_up_to_its_limit(tries: int, seconds: float) -> None:
    assert backoff(5, 300, tries) == timedelta(seconds=seconds)
