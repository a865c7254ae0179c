"""A tenant's daily cap in shards: spending never exceeds the cap, and no affordable request is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.memory.region import REGION, DistantStore
from shared.api.videos import CreateVideo
from shared.core import tenant_days
from shared.core.documents import Document, TenantDay, TenantDayShard, Transaction
from shared.core.errors import ApiError
from shared.core.tenant_days import SHARDS, TenantBudget, View
from shared.jobs import submission
from tests.unit.conftest import House

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
BODY = CreateVideo(prompt="a paper boat", model="omni-flash", seconds=3, resolution="360p")  # 30 credits
ACCOUNTS = tuple(f"account-{number}" for number in range(3 * SHARDS))


class Documents:
    """The day and its shards as they are stored."""

    def __init__(self) -> None:
        self.stored: dict[str, Document] = {}

    def read(self, account: str, cap: int, everything: bool) -> TenantBudget:
        view = View("acme/é", cap, account, NOON)
        numbers = view.all if everything else view.own
        return view.budget(numbers, [self.stored.get(id_) for _, id_ in view.references(numbers)])

    def write(self, documents: Sequence[Document]) -> None:
        for document in documents:
            self.stored[document.id] = document.changed(revision=1)

    @property
    def shards(self) -> list[TenantDayShard]:
        return [each for each in self.stored.values() if isinstance(each, TenantDayShard)]

    @property
    def spent(self) -> int:
        return sum(shard.spent for shard in self.shards)

    def check(self) -> None:
        reserved = sum(day.reserved for day in self.stored.values() if isinstance(day, TenantDay))
        assert all(0 <= shard.spent <= shard.reserved for shard in self.shards)
        assert sum(shard.reserved for shard in self.shards) == reserved


def spend(documents: Documents, account: str, cap: int, cost: int) -> bool:
    """What a submission does of it, in shared/jobs/account_commits.py."""
    read = documents.read(account, cap, everything=False)
    budget = read
    if not budget.suffices(cost):
        read = documents.read(account, cap, everything=True)
        budget = tenant_days.allot(read, cost)
    if not budget.suffices(cost):
        return False
    documents.write(budget.spend(cost).changed_since(read))
    return True


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(ACCOUNTS), st.sampled_from((1, 30, 40, 80, 700)), st.sampled_from((100, 999, 20_000))
        ),
        max_size=120,
    ),
    caps_change=st.booleans(),
)
def test_spending_never_exceeds_the_cap_and_refusals_are_exact(
    steps: list[tuple[str, int, int]], caps_change: bool
) -> None:
    documents = Documents()
    for account, cost, cap in steps:
        cap = cap if caps_change else 999
        before = documents.spent
        if spend(documents, account, cap, cost):
            assert documents.spent == before + cost <= cap
        else:
            assert before + cost > cap, "refused, though the cap would have paid for it"
        documents.check()


def test_most_submissions_write_only_their_shard() -> None:
    """A day of 5,000 submissions of 40 credits: how many write more than their shard."""
    documents, cap = Documents(), 200_000
    more = 0
    for number in range(5_000):
        account = ACCOUNTS[number % len(ACCOUNTS)]
        more += not documents.read(account, cap, everything=False).suffices(40)
        assert spend(documents, account, cap, 40)
    assert not spend(documents, ACCOUNTS[0], cap, 40)
    assert more < 500


def test_new_day_gives_all_shards_a_block_in_one_commit() -> None:
    documents = Documents()
    assert spend(documents, ACCOUNTS[0], 100_000, 40)
    assert len(documents.stored) == 1 + SHARDS
    for account in ACCOUNTS:
        assert documents.read(account, 100_000, everything=False).suffices(40)


def test_leftovers_of_all_shards_can_pay_for_one_submission() -> None:
    documents, cap = Documents(), 2 * SHARDS
    day = documents.read(ACCOUNTS[0], cap, everything=True)
    documents.write([shard.changed(reserved=2, spent=1) for shard in day.shards.values()])
    documents.write([day.day.changed(reserved=cap)])
    assert not spend(documents, ACCOUNTS[0], cap, SHARDS + 1)
    assert spend(documents, ACCOUNTS[0], cap, SHARDS)
    assert (documents.spent, {shard.left for shard in documents.shards}) == (cap, {0})
    documents.check()


def test_each_utc_day_has_its_own_ids() -> None:
    early = NOON.replace(day=21, hour=1).astimezone() - timedelta(hours=2)
    view = View("acme/é", 1, "alice", early)
    assert view.day_id == "a2ca1e78b40bbd91411dd9-2026-11-20"
    assert view.shard_id == f"a2ca1e78b40bbd91411dd9-2026-11-20-{tenant_days.shard_of('alice'):02d}"


# --- with everything around it ---


async def outcomes(house: House, callers: Sequence[Any]) -> list[Any]:
    calls = (submission.submit(house.services, caller, BODY, None) for caller in callers)
    return await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize("cap", [30, 299, 300, 1_000, 100_000])
async def test_concurrent_users_spend_exactly_the_cap(house: House, cap: int) -> None:
    house.configure(tenant_daily_credits={"default": cap}, active_jobs_limit=100)
    callers = [await house.sign_up(f"user{number}") for number in range(20)]
    house.store._inner = DistantStore(house.store._inner, REGION, house.clock.sleep)
    made = await outcomes(house, callers * 2)
    accepted = [each for each in made if isinstance(each, submission.Submitted)]
    refused = [each for each in made if isinstance(each, ApiError)]
    assert len(accepted) == min(cap // 30, 40)
    assert len(accepted) + len(refused) == 40
    # A refusal states what the tenant had spent when too little was left for this one.
    for error in refused:
        assert (error.code, error.details["limit_of"]) == ("DAILY_LIMIT", "tenant")
        assert cap - 30 < error.details["spent"] <= cap
    shards = house.store.documents(TenantDayShard)
    assert sum(shard.spent for shard in shards) == 30 * len(accepted)
    assert sum(shard.reserved for shard in shards) <= cap
    assert len([entry for entry in house.store.documents(Transaction) if entry.type == "charge"]) == len(accepted)
    house.check()


async def test_concurrent_spending_of_another_process_is_noticed(house: House) -> None:
    """Its writes are conflicts, after which everything is decided again: on its shard, and on the day."""
    house.configure(tenant_daily_credits={"default": 600}, active_jobs_limit=100)
    callers = [await house.sign_up(f"user{number}") for number in range(20)]
    store = house.store._inner

    async def rival() -> None:
        view = View("default", 600, "user7", house.clock())
        read = view.budget(view.all, await store.get_all(view.references(view.all)))
        spent = tenant_days.allot(read, 30).spend(30).changed_since(read)
        await store.commit([document.changed(change_id="rival") for document in spent])

    for _ in range(4):
        house.store.before("commit", rival)
        house.store.let_pass("commit")
    made = await outcomes(house, callers)
    assert sum(isinstance(each, submission.Submitted) for each in made) == 20 - 4
    assert sum(shard.spent for shard in house.store.documents(TenantDayShard)) == 600
    house.check()


async def test_cap_lowered_below_the_reserved_amount_applies_at_once(house: House) -> None:
    house.configure(tenant_daily_credits={"default": 100_000}, active_jobs_limit=100)
    callers = [await house.sign_up(f"user{number}") for number in range(20)]
    assert all(isinstance(each, submission.Submitted) for each in await outcomes(house, callers[:10]))
    house.configure(tenant_daily_credits={"default": 360})
    made = await outcomes(house, callers[10:])
    assert sum(isinstance(each, submission.Submitted) for each in made) == 2
    assert {each.details["spent"] for each in made if isinstance(each, ApiError)} == {360}
    house.configure(tenant_daily_credits={"default": 390})
    assert isinstance((await outcomes(house, callers[:1]))[0], submission.Submitted)


async def test_estimate_agrees_with_submission(house: House) -> None:
    house.configure(tenant_daily_credits={"default": 60}, active_jobs_limit=100)
    callers = [await house.sign_up(f"user{number}") for number in range(3)]
    await outcomes(house, callers[:1])
    told = await submission.estimate(house.services, callers[1], BODY)
    assert (told.accepted, told.refusal) == (True, None)
    await outcomes(house, callers[1:2])
    told = await submission.estimate(house.services, callers[2], BODY)
    assert (told.accepted, told.refusal) == (False, "DAILY_LIMIT")


async def test_submission_at_midnight_counts_for_the_day_of_its_commit(house: House) -> None:
    """The day ends between the read of its documents and the decision."""
    house.configure(tenant_daily_credits={"default": 30}, active_jobs_limit=100)
    callers = [await house.sign_up(f"user{number}") for number in range(2)]
    await outcomes(house, callers[:1])
    house.store._inner = DistantStore(house.store._inner, REGION, house.clock.sleep)
    house.clock.now = datetime(2026, 11, 20, 23, 59, 59, 990_000, tzinfo=UTC)
    (made,) = await outcomes(house, callers[1:])
    assert isinstance(made, submission.Submitted)
    assert {shard.day: shard.spent for shard in house.store.documents(TenantDayShard) if shard.spent} == {
        "2026-11-20": 30,
        "2026-11-21": 30,
    }
    house.check()
