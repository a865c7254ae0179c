"""Edits of an account: concurrent writers lose nothing."""

from __future__ import annotations

import asyncio

import pytest

from shared.accounts import profile
from shared.api.accounts import UpdateAccount
from shared.core.documents import Account
from shared.core.errors import ApiError, Unavailable
from shared.platform import accounts
from tests.unit.conftest import House


async def test_concurrent_edits_are_merged(house: House) -> None:
    await house.sign_up()

    async def rival() -> None:
        account = await house.account()
        await house.store.commit([account.changed(balance=7, change_id="rival")])

    house.store.before("commit", rival)
    edited = await accounts.edit(house.services, "alice", lambda account: account.changed(display_name="Al"))
    assert (edited.balance, edited.display_name) == (7, "Al")
    assert (await house.account()).balance == 7


async def test_lost_answer_is_recognized_as_our_own(house: House) -> None:
    await house.sign_up()
    house.store.lose("commit")
    before = house.store.calls["commit"]
    edited = await accounts.edit(house.services, "alice", lambda account: account.changed(display_name="Al"))
    assert edited.display_name == "Al"
    assert house.store.calls["commit"] == before + 1


async def test_edit_without_a_change_writes_nothing(house: House) -> None:
    await house.sign_up()
    before = house.store.calls["commit"]
    await accounts.edit(house.services, "alice", lambda account: account)
    assert house.store.calls["commit"] == before


async def test_20_concurrent_edits_all_succeed(house: House) -> None:
    await house.sign_up()

    def spend(account: Account) -> Account:
        return account.changed(sequence=account.sequence + 1)

    await asyncio.gather(*(accounts.edit(house.services, "alice", spend) for _ in range(20)))
    assert (await house.account()).sequence == 21


async def test_database_outage_is_unavailable(house: House) -> None:
    await house.sign_up()
    house.store.fail("commit", 10_000)
    with pytest.raises(Unavailable):
        await accounts.edit(house.services, "alice", lambda account: account.changed(display_name="Al"))


async def test_missing_account_is_not_edited(house: House) -> None:
    with pytest.raises(KeyError):
        await accounts.edit(house.services, "nobody", lambda account: account)


async def test_profile_keeps_omitted_and_drops_null_fields(house: House) -> None:
    caller = await house.sign_up()
    await profile.update(house.services, caller, UpdateAccount(display_name="Alice", locale="de-AT"))
    await profile.update(house.services, caller, UpdateAccount())
    changed = await profile.update(house.services, caller, UpdateAccount(locale=None))
    assert (changed.display_name, changed.locale) == ("Alice", None)
    assert (await house.account()).display_name == "Alice"


async def test_profile_of_a_missing_account_is_unauthenticated(house: House) -> None:
    caller = await house.sign_up()
    house.store.remove("accounts", "alice")
    with pytest.raises(ApiError) as error:
        await profile.update(house.services, caller, UpdateAccount(display_name="Alice"))
    assert error.value.code == "UNAUTHENTICATED"


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, "\x7f"])
def test_display_name_is_one_line(name: str) -> None:
    with pytest.raises(ValueError, match="display_name"):
        UpdateAccount(display_name=name)


@pytest.mark.parametrize("locale", ["german", "de_AT", "d", "de-", "../de"])
def test_locale_is_a_language_tag(locale: str) -> None:
    with pytest.raises(ValueError, match="locale"):
        UpdateAccount(locale=locale)
