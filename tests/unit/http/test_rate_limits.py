"""Token buckets: a minute's requests at once, then as many as flow in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.core.errors import ApiError
from shared.http import rate_limits
from shared.http.rate_limits import TokenBuckets
from tests.unit.conftest import NOW, Clock


def test_a_minutes_requests_may_come_at_once() -> None:
    buckets = TokenBuckets()
    allowed = [buckets.take("alice", 100, NOW) for _ in range(101)]
    assert [one.remaining for one in allowed[:3]] == [99, 98, 97]
    assert [one.refused for one in allowed] == [False] * 100 + [True]


def test_tokens_refill_evenly() -> None:
    buckets, clock = TokenBuckets(), Clock()
    for _ in range(60):
        buckets.take("alice", 60, clock())
    assert buckets.take("alice", 60, clock()).refused
    clock.advance(3)
    assert [buckets.take("alice", 60, clock()).refused for _ in range(4)] == [False] * 3 + [True]


def test_retry_after_the_stated_wait_is_accepted() -> None:
    for per_minute in (1, 7, 60, 100, 1_000):
        buckets, clock = TokenBuckets(), Clock()
        while not (last := buckets.take("alice", per_minute, clock())).refused:
            pass
        clock.advance(last.reset_s)
        assert not buckets.take("alice", per_minute, clock()).refused


def test_rejected_request_costs_nothing() -> None:
    buckets, clock = TokenBuckets(), Clock()
    buckets.take("alice", 1, clock())
    for _ in range(59):
        clock.advance(1)
        assert buckets.take("alice", 1, clock()).refused
    clock.advance(1)
    assert not buckets.take("alice", 1, clock()).refused


def test_bucket_holds_at_most_a_minute() -> None:
    buckets = TokenBuckets()
    buckets.take("alice", 5, NOW)
    later = NOW + timedelta(days=1)
    assert [buckets.take("alice", 5, later).refused for _ in range(6)] == [False] * 5 + [True]


def test_each_account_has_its_own_bucket() -> None:
    buckets = TokenBuckets()
    buckets.take("alice", 1, NOW)
    assert buckets.take("alice", 1, NOW).refused
    assert not buckets.take("bob", 1, NOW).refused


def test_clock_set_back_changes_nothing() -> None:
    buckets = TokenBuckets()
    buckets.take("alice", 2, NOW)
    assert buckets.take("alice", 2, NOW - timedelta(hours=1)).remaining == 0


def test_smaller_limit_applies_at_once() -> None:
    buckets = TokenBuckets()
    buckets.take("alice", 100, NOW)
    assert [buckets.take("alice", 2, NOW).refused for _ in range(3)] == [False, False, True]


def test_bucket_cache_is_bounded_and_lru(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "BUCKETS_KEPT", 3)
    buckets = TokenBuckets()
    for name in ("a", "b", "c", "a", "d"):
        buckets.take(name, 10, NOW)
    assert [buckets.take(name, 10, NOW).remaining for name in "acdb"] == [7, 8, 8, 9]


def test_headers_say_what_is_left_and_when_more_comes() -> None:
    buckets = TokenBuckets()
    assert buckets.take("alice", 2, NOW).headers == {
        "RateLimit-Limit": "2",
        "RateLimit-Remaining": "1",
        "RateLimit-Reset": "30",
        "RateLimit-Policy": '"requests";q=2;w=60',
        "RateLimit": '"requests";r=1;t=30',
    }
    buckets.take("alice", 2, NOW)
    with pytest.raises(ApiError) as error:
        buckets.take("alice", 2, NOW).check()
    assert (error.value.code, error.value.retry_after_s) == ("RATE_LIMITED", 30)
    # Both name the same moment.
    assert error.value.headers["RateLimit-Reset"] == "30"
    assert error.value.headers["RateLimit-Remaining"] == "0"
