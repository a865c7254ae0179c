"""The credit ledger."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import ledger
from shared.models import Account, LiveConfig, Transaction

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
EMPTY = Account(id="alice", issuer="i", sub="s", tenant="t", created_at=NOW)


@given(st.lists(st.integers(-1_000, 1_000), max_size=50))
def test_the_balance_is_the_sum_of_the_entries_and_their_numbers_have_no_gap(amounts: list[int]) -> None:
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


def test_an_entry_says_whose_it_is_and_why() -> None:
    _, entry = ledger.post(EMPTY, "x", "grant", 5, "thanks", NOW, "video_1")
    assert (entry.account, entry.tenant, entry.type, entry.job) == ("alice", "t", "grant", "video_1")
    assert (entry.description, entry.created_at) == ("thanks", NOW)


def test_posting_changes_neither_the_account_nor_anything_else_of_it() -> None:
    after, _ = ledger.post(EMPTY, "x", "grant", 5, "d", NOW)
    assert EMPTY.balance == 0
    assert after.changed(balance=0, sequence=0) == EMPTY


@pytest.mark.parametrize(("verified", "credits", "entries"), [(True, 500, 1), (False, 500, 0), (True, 0, 0)])
def test_an_account_is_opened_with_its_grant_or_with_nothing(verified: bool, credits: int, entries: int) -> None:
    account, *rest = ledger.open_account(EMPTY, verified, LiveConfig(signup_credits=credits), NOW)
    assert isinstance(account, Account)
    assert len(rest) == entries
    assert account.balance == sum(entry.amount for entry in rest if isinstance(entry, Transaction))
    assert account.sequence == entries


def test_the_same_key_gives_the_same_entry_so_that_a_grant_is_given_once() -> None:
    _, one = ledger.grant(EMPTY, "key", 5, "d", NOW)
    _, same = ledger.grant(EMPTY, "key", 5, "d", NOW)
    _, other = ledger.grant(EMPTY, "other", 5, "d", NOW)
    assert one.id == same.id != other.id
