"""Once a day every balance is compared with its ledger; differences are reported, not repaired."""

from __future__ import annotations

import json

import pytest

from shared.api.videos import CreateVideo
from shared.core.documents import Account, Transaction
from shared.jobs import submission
from shared.maintenance.reconciliation import reconcile
from shared.platform import passes
from tests.unit.conftest import House


async def test_balanced_accounts_are_not_reported(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    alice = await house.sign_up("alice")
    await house.sign_up("bob")
    await submission.submit(house.services, alice, CreateVideo(prompt="a boat", seconds=4), None)
    assert await reconcile(house.services) == {"seen": 2, "differing": 0, "failed": 0}
    assert "ledger_differs" not in capsys.readouterr().out


async def test_edited_balance_is_reported_with_both_figures_and_kept(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    await house.sign_up("alice")
    house.store.edit(Account.collection, "alice", {"balance": 900})
    assert (await reconcile(house.services))["differing"] == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = next(line for line in lines if line["message"] == "ledger_differs")
    assert (told["severity"], told["balance"], told["sum_of_entries"]) == ("ERROR", 900, 500)
    account = await house.store.get(Account, "alice")
    assert account.balance == 900


async def test_removed_entry_is_reported(house: House) -> None:
    await house.sign_up("alice")
    house.store.remove(Transaction.collection, "alice-signup")
    assert (await reconcile(house.services))["differing"] == 1


async def test_account_changed_during_comparison_is_read_again(house: House) -> None:
    alice = await house.sign_up("alice")

    async def spend() -> None:
        await submission.submit(house.services, alice, CreateVideo(prompt="a boat", seconds=4), None)

    house.store.before("ledger_totals", spend)
    assert await reconcile(house.services) == {"seen": 1, "differing": 0, "failed": 0}


async def test_unreadable_account_does_not_stop_the_rest(house: House) -> None:
    for name in ("alice", "bob", "carol"):
        await house.sign_up(name)
    house.store.fail("ledger_totals")
    assert await reconcile(house.services) == {"seen": 3, "differing": 0, "failed": 1}


async def test_accounts_beyond_one_page_are_compared(house: House) -> None:
    for number in range(201):
        await house.sign_up(f"user{number:03}")
    assert (await reconcile(house.services))["seen"] == 201


async def test_pass_continues_after_the_last_account_of_the_previous(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "PAGE", 2)
    for name in ("alice", "bob", "carol", "dave", "erin"):
        await house.sign_up(name)

    async def slow() -> None:
        house.clock.advance(passes.PASS_FOR.total_seconds())

    house.store.before("ledger_totals", slow)
    assert (await reconcile(house.services))["seen"] == 2
    house.store.edit(Account.collection, "carol", {"balance": 900})
    assert await reconcile(house.services) == {"seen": 3, "differing": 1, "failed": 0}
    assert (await reconcile(house.services))["seen"] == 5, "the next round begins with the first account"
