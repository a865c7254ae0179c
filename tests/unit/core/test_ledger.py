"""The credit ledger, and the daily comparison with the balances."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import ledger
from shared.core.documents import Account, LiveSettings, Transaction
from shared.maintenance import reconciliation
from shared.platform import passes
from tests.unit.conftest import House

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
EMPTY = Account(id="alice", issuer="i", sub="s", tenant="t", created_at=NOW)


@given(st.lists(st.integers(-1_000, 1_000), max_size=50))
def test_balance_is_the_sum_of_entries_without_gaps(amounts: list[int]) -> None:
    account, entries = EMPTY, []
    for number, amount in enumerate(amounts):
        if account.balance + amount < 0:
            with pytest.raises(AssertionError):
                ledger.post(account, f"e{number}", "charge", amount, "d", NOW)
            continue
        account, entry = ledger.post(account, f"e{number}", "charge", amount, "d", NOW)
        entries.append(entry)
        assert entry.balance_after == account.balance >= 0
    assert account.balance == sum(entry.amount for entry in entries)
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    assert account.sequence == len(entries)


def test_entry_says_whose_it_is_and_why() -> None:
    _, entry = ledger.post(EMPTY, "x", "grant", 5, "thanks", NOW, "video_1")
    assert (entry.account, entry.tenant, entry.type, entry.job) == ("alice", "t", "grant", "video_1")
    assert (entry.description, entry.created_at) == ("thanks", NOW)


def test_posting_changes_nothing_else_of_the_account() -> None:
    after, _ = ledger.post(EMPTY, "x", "grant", 5, "d", NOW)
    assert EMPTY.balance == 0
    assert after.changed(balance=0, sequence=0) == EMPTY


@pytest.mark.parametrize(("verified", "given", "entries"), [(True, 500, 1), (False, 500, 0), (True, 0, 0)])
def test_account_opens_with_its_grant_or_nothing(verified: bool, given: int, entries: int) -> None:
    account, *rest = ledger.open_account(EMPTY, verified, LiveSettings(signup_credits=given), NOW)
    assert isinstance(account, Account)
    assert len(rest) == entries
    assert account.balance == sum(entry.amount for entry in rest if isinstance(entry, Transaction))
    assert account.sequence == entries


# --- balances against ledgers, daily ---


async def test_balanced_ledger_is_not_reported(house: House) -> None:
    caller = await house.sign_up()
    await house.run(await house.submit(caller))
    assert await reconciliation.reconcile(house.services) == {"seen": 1, "differing": 0, "failed": 0}


@pytest.mark.parametrize("edit", [{"balance": 10_000}, {"sequence": 7}, {"balance": 499}])
async def test_edited_balance_is_reported_and_not_repaired(house: House, edit: dict[str, int], capsys: Any) -> None:
    await house.sign_up("alice")
    await house.sign_up("bob")
    house.store.edit("accounts", "alice", edit)
    assert await reconciliation.reconcile(house.services) == {"seen": 2, "differing": 1, "failed": 0}
    assert capsys.readouterr().out.count('"ledger_differs"') == 1
    account = await house.account("alice")
    assert {name: getattr(account, name) for name in edit} == edit


async def test_removed_entry_is_reported(house: House) -> None:
    await house.sign_up()
    house.store.remove("credit_transactions", "alice-signup")
    assert (await reconciliation.reconcile(house.services))["differing"] == 1


async def test_submission_during_comparison_is_no_difference(house: House) -> None:
    caller = await house.sign_up()

    async def submission() -> None:
        await house.submit(caller)

    house.store.before("ledger_totals", submission)
    assert await reconciliation.reconcile(house.services) == {"seen": 1, "differing": 0, "failed": 0}


async def test_constantly_changing_account_is_counted_and_skipped(house: House) -> None:
    caller = await house.sign_up(balance=100_000)
    house.configure(active_jobs_limit=500)

    async def submission() -> None:
        await house.submit(caller)

    house.store.before("ledger_totals", submission, times=100)
    assert await reconciliation.reconcile(house.services) == {"seen": 1, "differing": 0, "failed": 1}


async def test_account_that_cannot_be_compared_does_not_stop_the_rest(house: House) -> None:
    for name in ("alice", "bob", "carol"):
        await house.sign_up(name)
    house.store.fail("ledger_totals")
    house.store.before("ledger_totals", vanishing(house, "bob"))
    assert await reconciliation.reconcile(house.services) == {"seen": 3, "differing": 0, "failed": 2}


def vanishing(house: House, name: str) -> Callable[[], Awaitable[None]]:
    async def vanish() -> None:
        house.store.remove("accounts", name)

    return vanish


async def test_accounts_beyond_one_page_are_compared(house: House) -> None:
    count = passes.PAGE + 7
    for number in range(count):
        await house.sign_up(f"user{number}")
    assert await reconciliation.reconcile(house.services) == {"seen": count, "differing": 0, "failed": 0}


async def test_unreadable_account_does_not_hide_the_rest(house: House) -> None:
    for number in range(passes.PAGE + 7):
        await house.sign_up(f"user{number:04d}")
    house.store.edit("accounts", "user0003", {"balance": "much"})
    assert (await reconciliation.reconcile(house.services))["seen"] == passes.PAGE + 6
