"""A tenant's daily cap of credits, counted in shards so that no document is written by every submission. Pure.

`tenant_days/{tenant}-{day}` has the reserved part of the cap, and each of its shards has its share of that and what it
has spent. An account always spends from the same shard. At every commit:

- the day's `reserved` is the sum of its shards' `reserved`, and at most the cap;
- no shard has spent more than its share, so all together they never spend more than the cap.

A shard with too little gets more in the same commit as the submission that needs it: from what isn't reserved yet, or
else from what other shards have left. So a submission is rejected only if the cap minus what all shards have spent is
less than its cost. If the cap is lowered below what is reserved, all shards return what they have left before anything
more is spent.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.core.documents import Document, TenantDay, TenantDayShard

# One shard allows about 14 commits a second at a region's latencies, each with up to 20 submissions of one account.
SHARDS = 16
# A block is 1/BLOCK_PART of what is left to reserve: blocks shrink near the cap, finally to the cost of one request.
BLOCK_PART = 2 * SHARDS
# All shards of a new day get their first block at once, if each covers at least this many submissions.
FIRST_BLOCK_COSTS = 4
# Nothing reads a past day; it is kept this long for people to see in the console.
KEPT_FOR = timedelta(days=30)


def day_of(now: datetime) -> str:
    """The day for caps: UTC, YYYY-MM-DD."""
    return now.astimezone(UTC).date().isoformat()


def day_id(tenant: str, day: str) -> str:
    """The id of a tenant's day; tenant names may contain characters that ids can't."""
    return f"{hashlib.sha256(tenant.encode()).hexdigest()[:22]}-{day}"


def shard_id(tenant: str, day: str, number: int) -> str:
    return f"{day_id(tenant, day)}-{number:02d}"


def shard_of(account: str) -> int:
    """The number of the shard that the account spends from."""
    return zlib.crc32(account.encode()) % SHARDS


@dataclass(frozen=True)
class TenantBudget:
    """What a tenant may still spend on one day, seen from the shard `mine`.

    `shards` has only that one, or all of them, by number; the tenant's total spending needs all of them.
    """

    cap: int
    day: TenantDay
    shards: Mapping[int, TenantDayShard]
    mine: int

    @property
    def spent(self) -> int:
        """Credits spent by the known shards."""
        return sum(shard.spent for shard in self.shards.values())

    @property
    def left(self) -> int:
        """Credits that can be spent without allotting more to the shard."""
        return self.shards[self.mine].left

    def suffices(self, cost: int) -> bool:
        """Whether the shard alone can cover the cost, and the cap still covers everything reserved."""
        return self.day.reserved <= self.cap and self.left >= cost

    def spend(self, cost: int) -> TenantBudget:
        assert 0 <= cost <= self.left, f"{self.day.id}: {cost} of {self.left}"
        shard = self.shards[self.mine]
        return self._with(self.mine, shard.changed(spent=shard.spent + cost))

    def changed_since(self, earlier: TenantBudget) -> tuple[Document, ...]:
        """The documents to write: those that differ from `earlier`."""
        day = (self.day,) if self.day is not earlier.day else ()
        shards = (shard for number, shard in self.shards.items() if shard is not earlier.shards.get(number))
        return (*day, *shards)

    def _with(self, number: int, shard: TenantDayShard, reserved: int | None = None) -> TenantBudget:
        day = self.day if reserved is None else self.day.changed(reserved=reserved)
        return replace(self, day=day, shards={**self.shards, number: shard})


@dataclass(frozen=True)
class View:
    """A tenant's day as seen from one of its accounts: which documents to read, and the budget they form."""

    tenant: str
    cap: int
    account: str
    now: datetime

    @property
    def day_id(self) -> str:
        return day_id(self.tenant, day_of(self.now))

    @property
    def shard_id(self) -> str:
        """The shard that the account spends from."""
        return shard_id(self.tenant, day_of(self.now), shard_of(self.account))

    @property
    def own(self) -> Sequence[int]:
        return (shard_of(self.account),)

    @property
    def all(self) -> Sequence[int]:
        return range(SHARDS)

    def references(self, numbers: Sequence[int]) -> list[tuple[type[Document], str]]:
        """References to the day and to its shards with these numbers."""
        day = day_of(self.now)
        return [(TenantDay, self.day_id), *((TenantDayShard, shard_id(self.tenant, day, each)) for each in numbers)]

    def budget(self, numbers: Sequence[int], documents: Sequence[Document | None]) -> TenantBudget:
        """The budget from the documents of `references`; missing ones are new."""
        fresh: dict[str, Any] = {"tenant": self.tenant, "day": day_of(self.now), "expires_at": self.now + KEPT_FOR}
        shards = {}
        for number, document in zip(numbers, documents[1:], strict=True):
            assert document is None or isinstance(document, TenantDayShard)
            shards[number] = document or TenantDayShard(id=shard_id(self.tenant, fresh["day"], number), **fresh)
        day = documents[0]
        assert day is None or isinstance(day, TenantDay)
        return TenantBudget(self.cap, day or TenantDay(id=self.day_id, **fresh), shards, shard_of(self.account))


def allot(budget: TenantBudget, wanted: int) -> TenantBudget:
    """Allot to the shard what it needs to spend `wanted`, or as much as the cap allows. All shards must be known."""
    if budget.day.reserved > budget.cap:
        budget = _given_back(budget)
    if budget.day.revision is None:
        budget = _opened(budget, wanted)
    unreserved = max(budget.cap - budget.day.reserved, 0)
    missing = max(wanted - budget.left, 0)
    if missing == 0:
        return budget
    given = missing if unreserved < missing else max(missing, unreserved // BLOCK_PART)
    return _claimed(_reserved(budget, min(given, unreserved)), wanted)


def _opened(budget: TenantBudget, wanted: int) -> TenantBudget:
    """A new day in which all shards have a block, so that the day's first submissions don't queue for theirs."""
    block = budget.cap // BLOCK_PART
    if block < FIRST_BLOCK_COSTS * wanted:
        return budget
    shards = {number: shard.changed(reserved=block) for number, shard in budget.shards.items()}
    return replace(budget, day=budget.day.changed(reserved=block * SHARDS), shards=shards)


def _given_back(budget: TenantBudget) -> TenantBudget:
    """The budget with only what is spent reserved."""
    shards = {
        number: shard.changed(reserved=shard.spent) if shard.left else shard for number, shard in budget.shards.items()
    }
    return replace(budget, day=budget.day.changed(reserved=budget.spent), shards=shards)


def _reserved(budget: TenantBudget, given: int) -> TenantBudget:
    if given == 0:
        return budget
    shard = budget.shards[budget.mine]
    larger = shard.changed(reserved=shard.reserved + given)
    return budget._with(budget.mine, larger, budget.day.reserved + given)


def _claimed(budget: TenantBudget, wanted: int) -> TenantBudget:
    """Take what is still missing from the other shards, starting with those that have most left."""
    others = sorted((number for number in budget.shards if number != budget.mine), key=lambda n: -budget.shards[n].left)
    for number in others:
        taken = min(wanted - budget.left, budget.shards[number].left)
        if taken <= 0:
            break
        donor, shard = budget.shards[number], budget.shards[budget.mine]
        budget = budget._with(number, donor.changed(reserved=donor.reserved - taken))
        budget = budget._with(budget.mine, shard.changed(reserved=shard.reserved + taken))
    return budget
