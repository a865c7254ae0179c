"""API keys: shown once, kept as hashes, and never more than a user's rights."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest

from shared.accounts import api_keys
from shared.accounts.api_keys import ApiKey
from shared.accounts.auth import Accounts
from shared.api.api_keys import MadeApiKey, NewApiKey
from shared.core import credentials
from shared.core.documents import Account
from shared.core.errors import ApiError, Conflict, Unavailable
from shared.platform.identity import Caller
from tests.unit.conftest import House


async def alice(house: House) -> Caller:
    return await Accounts().caller(house.services, "Bearer alice")


async def make(house: House, caller: Caller, scope: str = "write", **more: Any) -> MadeApiKey:
    return await api_keys.make(house.services, caller, NewApiKey.model_validate({"name": "ci", "scope": scope, **more}))


async def using(house: House, key: str, accounts: Accounts | None = None) -> Caller:
    return await (accounts or Accounts()).caller(house.services, f"Bearer {key}")


async def refused(house: House, key: str, accounts: Accounts | None = None) -> ApiError:
    with pytest.raises(ApiError) as error:
        await using(house, key, accounts)
    return error.value


async def test_key_authenticates_as_its_owner(house: House) -> None:
    caller = await alice(house)
    made = await make(house, caller)
    with_key = await using(house, made.key)
    assert (with_key.account, with_key.tenant, with_key.email) == (caller.account, caller.tenant, caller.email)
    assert (with_key.key, with_key.read_only) == (made.id, False)
    assert (await using(house, (await make(house, caller, "read")).key)).read_only


async def test_only_the_hash_of_a_key_is_stored(house: House) -> None:
    made = await make(house, await alice(house))
    assert made.key.startswith("rk_")
    assert len(made.key) == 46
    (kept,) = house.store.documents(ApiKey)
    assert kept.id == hashlib.sha256(made.key.encode()).hexdigest()
    assert made.key.startswith(kept.prefix)
    assert made.key not in json.dumps(house.store.snapshot(), default=str)
    assert made.key not in api_keys.view(kept).model_dump_json()


async def test_keys_are_listed_newest_first_without_revoked(house: House) -> None:
    caller = await alice(house)
    made = []
    for number in range(3):
        house.clock.advance(1)
        made.append(await make(house, caller, name=f"key {number}"))
    await api_keys.revoke(house.services, caller, made[1].id)
    assert [key.name for key in await api_keys.own(house.services, caller.account)] == ["key 2", "key 0"]


async def test_revoked_key_is_rejected(house: House) -> None:
    caller = await alice(house)
    made = await make(house, caller)
    await api_keys.revoke(house.services, caller, made.id)
    error = await refused(house, made.key)
    assert (error.code, error.message) == ("UNAUTHENTICATED", "The API key was revoked.")
    with pytest.raises(ApiError) as again:
        await api_keys.revoke(house.services, caller, made.id)
    assert again.value.code == "NOT_FOUND"


async def test_revoked_key_is_rejected_at_once_locally_and_within_a_minute_elsewhere(
    house: House,
) -> None:
    caller, here, elsewhere = await alice(house), Accounts(), Accounts()
    made = await make(house, caller)
    for accounts in (here, elsewhere):
        await using(house, made.key, accounts)
    await api_keys.revoke(house.services, caller, made.id)
    here.forget(caller.account)
    await refused(house, made.key, here)
    await using(house, made.key, elsewhere)
    house.clock.advance(60)
    await refused(house, made.key, elsewhere)


async def test_cached_key_expires_to_the_second(house: House) -> None:
    accounts = Accounts()
    made = await make(house, await alice(house), expires_in_days=1)
    house.clock.advance(86_390)
    await using(house, made.key, accounts)
    house.clock.advance(10)
    assert (await refused(house, made.key, accounts)).message == "The API key has expired."
    assert (await refused(house, made.key)).message == "The API key has expired."


async def test_key_of_disabled_account_is_rejected(house: House) -> None:
    caller = await alice(house)
    made = await make(house, caller)
    house.store.edit("accounts", caller.account, {"disabled": True})
    assert (await refused(house, made.key)).code == "ACCOUNT_DISABLED"


async def test_key_of_missing_account_is_rejected(house: House) -> None:
    caller = await alice(house)
    made = await make(house, caller)
    house.store.remove("accounts", caller.account)
    assert (await refused(house, made.key)).code == "UNAUTHENTICATED"


async def test_key_never_has_the_admin_role(house: House) -> None:
    caller = await alice(house)
    house.store.edit("accounts", caller.account, {"role": "admin"})
    assert (await alice(house)).role == "admin"
    assert (await using(house, (await make(house, caller)).key)).role == "user"


@pytest.mark.parametrize("key", ["rk_", "rk_x", "rk_" + "x" * 43, "rk_" + "x" * 44, "rk_" + "é" * 43])
async def test_malformed_key_is_rejected(house: House, key: str) -> None:
    assert (await refused(house, key)).code == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("rk_", "followed by 43"),
        ("rk_" + "x" * 42, "here by 42 characters"),
        ("rk_" + "x" * 20 + " " + "x" * 22, "Copy it again"),
        ("sk-proj-abc", "another service"),
        ("AIzaSyA", "another service"),
        ("YOUR_API_KEY", "neither an API key"),
        ("undefined", "neither an API key"),
        ("a.b", "neither an API key"),
    ],
)
def test_mistyped_key_error_says_what_is_wrong(token: str, said: str) -> None:
    message = credentials.mistake(token) or ""
    assert said in message
    assert token not in message or token == "rk_"


@pytest.mark.parametrize("token", ["rk_" + "x" * 43, "eyJ.eyJ.sig"])
def test_valid_key_and_token_are_not_reported_as_mistyped(token: str) -> None:
    assert credentials.mistake(token) is None


async def test_mistyped_key_is_explained_over_http(house: House) -> None:
    assert "followed by 43" in (await refused(house, "rk_x")).message


async def test_malformed_key_is_not_looked_up(house: House) -> None:
    await refused(house, "rk_x")
    assert house.store.calls["get"] == 0


async def test_last_use_is_written_at_most_once_a_day(house: House) -> None:
    made = await make(house, await alice(house))
    before = house.store.calls["commit"]
    for _ in range(48):
        await using(house, made.key)
        house.clock.advance(1_800)
    assert house.store.calls["commit"] == before + 1
    (key,) = house.store.documents(ApiKey)
    assert key.last_used_at == house.clock() - timedelta(days=1)
    await using(house, made.key)
    assert house.store.documents(ApiKey)[0].last_used_at == house.clock()


@pytest.mark.parametrize("error", [Conflict, Unavailable])
async def test_key_works_when_its_last_use_cannot_be_written(house: House, error: type[Exception]) -> None:
    made = await make(house, await alice(house))
    house.store.fail("commit", error=error)
    await using(house, made.key)


async def test_key_in_use_is_read_once_a_minute(house: House) -> None:
    made, accounts = await make(house, await alice(house)), Accounts()
    await using(house, made.key, accounts)
    before = house.store.calls["get"]
    for _ in range(50):
        await using(house, made.key, accounts)
    assert house.store.calls["get"] == before


async def test_concurrent_creates_stop_at_20_keys(house: House) -> None:
    caller = await alice(house)
    made = await asyncio.gather(*(make(house, caller) for _ in range(25)), return_exceptions=True)
    refusals = [one for one in made if isinstance(one, ApiError)]
    assert [error.code for error in refusals] == ["LIMIT_REACHED"] * 5
    assert len(house.store.documents(ApiKey)) == 20
    await api_keys.revoke(house.services, caller, (await api_keys.own(house.services, caller.account))[0].key_id)
    await make(house, caller)


async def test_two_processes_cannot_both_create_the_20th_key(house: House) -> None:
    caller = await alice(house)
    for _ in range(19):
        await make(house, caller)

    async def rival() -> None:
        account = await house.account(caller.account)
        rivals = ApiKey(
            id="f" * 64,
            key_id="key_rival",
            account=caller.account,
            tenant=caller.tenant,
            name="rival",
            scope="read",
            prefix="rk_",
            created_at=house.clock(),
        )
        await house.store.commit([rivals, account.changed(change_id="rival")])

    house.store.before("commit", rival)
    with pytest.raises(ApiError) as error:
        await make(house, caller)
    assert error.value.code == "LIMIT_REACHED"


async def test_lost_answer_creates_no_second_key(house: House) -> None:
    caller = await alice(house)
    house.store.lose("commit")
    made = await make(house, caller)
    assert [key.key_id for key in house.store.documents(ApiKey)] == [made.id]


@pytest.mark.parametrize("plan", ["lose", "fail"])
async def test_revocation_survives_a_database_hiccup(house: House, plan: str) -> None:
    caller = await alice(house)
    made = await make(house, caller)
    getattr(house.store, plan)("commit")
    await api_keys.revoke(house.services, caller, made.id)
    await refused(house, made.key)


async def test_database_outage_creates_and_revokes_nothing(house: House) -> None:
    caller = await alice(house)
    made = await make(house, caller)
    house.store.fail("commit", 10_000)
    with pytest.raises(Unavailable):
        await api_keys.revoke(house.services, caller, made.id)
    with pytest.raises(Unavailable):
        await make(house, caller)


async def test_another_users_key_cannot_be_revoked(house: House) -> None:
    made = await make(house, await alice(house))
    bob = await Accounts().caller(house.services, "Bearer bob")
    with pytest.raises(ApiError) as error:
        await api_keys.revoke(house.services, bob, made.id)
    assert error.value.code == "NOT_FOUND"
    await using(house, made.key)


async def test_user_without_account_cannot_create_a_key(house: House) -> None:
    caller = await alice(house)
    house.store.remove(Account.collection, caller.account)
    with pytest.raises(ApiError) as error:
        await make(house, caller)
    assert error.value.code == "UNAUTHENTICATED"


async def test_key_cache_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.accounts.auth.KEYS_KNOWN", 3)
    caller, accounts = await alice(house), Accounts()
    for _ in range(6):
        await using(house, (await make(house, caller)).key, accounts)
    assert len(accounts._keys) <= 3


async def test_create_and_revoke_are_audited_without_the_key(house: House, capsys: Any) -> None:
    caller = await alice(house)
    made = await make(house, caller)
    await api_keys.revoke(house.services, caller, made.id)
    out = capsys.readouterr().out
    entries = [json.loads(line) for line in out.splitlines()]
    audits = [entry for entry in entries if entry.get("logging.googleapis.com/labels") == {"log": "audit"}]
    assert [(entry["message"], entry["user"]) for entry in audits] == [
        ("api_key_made", caller.account),
        ("api_key_revoked", caller.account),
    ]
    assert (audits[0]["made"], audits[1]["revoked"]) == (made.id, made.id)
    assert made.key not in out
