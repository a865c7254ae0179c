"""What a process remembers: bounded, and never emptied at once by the one value that is too much."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.accounts import auth
from shared.accounts.auth import Accounts
from shared.platform.caching import Cache
from tests.unit.conftest import NOW, House

LATER = NOW + timedelta(seconds=60)


def test_full_cache_evicts_only_the_least_recently_used() -> None:
    cache: Cache[str, int] = Cache(3)
    for number, name in enumerate("abc"):
        cache.put(name, number)
    assert cache.get("a", NOW) == 0
    cache.put("d", 3)
    assert [cache.get(name, NOW) for name in "abcd"] == [0, None, 2, 3]


def test_value_is_cached_until_its_expiry() -> None:
    cache: Cache[str, int] = Cache(3)
    cache.put("a", 1, LATER)
    assert cache.get("a", LATER - timedelta(microseconds=1)) == 1
    assert cache.get("a", LATER) is None
    assert len(cache) == 0


def test_value_put_again_replaces_the_old() -> None:
    cache: Cache[str, int] = Cache(1)
    cache.put("a", 1, NOW)
    cache.put("a", 2, LATER)
    assert cache.get("a", NOW) == 2


def test_values_can_be_dropped_by_key_and_by_value() -> None:
    cache: Cache[str, int] = Cache(9)
    for number, name in enumerate("abc"):
        cache.put(name, number)
    cache.drop("a")
    cache.drop("never there")
    cache.drop_where(lambda value: value == 1)
    assert [cache.get(name, NOW) for name in "abc"] == [None, None, 2]
    cache.clear()
    assert len(cache) == 0


async def test_one_account_too_many_does_not_evict_all(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "ACCOUNTS_KEPT", 10)
    accounts = Accounts()
    for number in range(11):
        await accounts.caller(house.services, f"Bearer user{number}")
    before = house.store.calls["get"]
    for number in range(1, 11):
        await accounts.caller(house.services, f"Bearer user{number}")
    assert house.store.calls["get"] == before
