"""What administrators do with the users of their tenant, and that they reach no further."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from shared.accounts.auth import Accounts
from shared.admin import users
from shared.api.users import GrantCredits, ListUsersQuery, UpdateUser
from shared.core.documents import Account, Plan, Transaction
from shared.core.errors import ApiError, Conflict, Unavailable
from shared.platform.identity import Caller, Identity
from tests.unit.conftest import House


async def person(house: House, name: str, tenant: str = "default", **changes: Any) -> Caller:
    """An account as a first request would make it, and then some edits in the console."""
    caller = await Accounts().caller(house.services, f"Bearer {name}")
    if tenant != "default":
        id_ = Identity("https://issuer.example", name, tenant, None, True).account_id
        old = await house.account(caller.account)
        await house.store.commit([old.model_copy(update={"id": id_, "tenant": tenant, "revision": None, "balance": 0})])
        house.store.remove("accounts", caller.account)
        house.store.remove("credit_transactions", f"{caller.account}-signup")
        caller = Caller(id_, tenant, "user", "default", None)
    if changes:
        house.store.edit("accounts", caller.account, changes)
    house.clock.advance(1)
    found = await house.account(caller.account)
    return Caller(found.id, found.tenant, found.role, found.plan, found.email)


async def boss_of(house: House, tenant: str = "default") -> Caller:
    return await person(house, f"boss-{tenant}", tenant, role="admin")


async def giver_of(house: House, budget: int = 100_000) -> Caller:
    """An administrator with that budget of credits."""
    await house.fund(amount=budget)
    return await boss_of(house)


async def fails(call: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        await call
    return error.value


# --- seeing ---


async def test_users_are_listed_newest_first_in_pages(house: House) -> None:
    boss = await boss_of(house)
    made = [boss.account] + [(await person(house, f"user{number}")).account for number in range(4)]
    seen: list[str] = []
    after = None
    while True:
        found = await users.page(house.services, boss, ListUsersQuery(limit=2, after=after))
        page = users.page_view(found, 2)
        seen += [user.id for user in page.data]
        if not page.has_more:
            break
        after = page.last_id
    assert seen == made[::-1]


async def test_user_is_found_by_email(house: House) -> None:
    boss, bob = await boss_of(house), await person(house, "bob")
    found = await users.page(house.services, boss, ListUsersQuery(email="bob@example.com"))
    assert [account.id for account in found] == [bob.account]


async def test_other_tenants_users_are_not_found(house: House) -> None:
    boss, stranger = await boss_of(house), await person(house, "stranger", "studio-7")
    assert stranger.account not in [one.id for one in await users.page(house.services, boss, ListUsersQuery())]
    assert await users.page(house.services, boss, ListUsersQuery(after=stranger.account)) == []
    calls: list[Any] = [
        users.get(house.services, boss, stranger.account),
        users.update(house.services, boss, stranger.account, UpdateUser(disabled=True)),
        users.grant(house.services, boss, stranger.account, GrantCredits(amount=1, description="x"), "key"),
    ]
    assert [(await fails(call)).code for call in calls] == ["NOT_FOUND"] * 3
    assert not (await house.account(stranger.account)).disabled


@pytest.mark.parametrize("id_", ["", "x", "../x", "a/b", "x" * 21, "x" * 23, "__" + "x" * 18 + "__", "é" * 22])
async def test_malformed_user_id_is_not_found_without_a_read(house: House, id_: str) -> None:
    boss = await boss_of(house)
    before = house.store.calls["get"]
    assert (await fails(users.get(house.services, boss, id_))).code == "NOT_FOUND"
    assert house.store.calls["get"] == before


async def test_user_view_hides_credentials(house: House) -> None:
    boss = await boss_of(house)
    view = users.view(await users.get(house.services, boss, boss.account)).model_dump()
    assert (view["role"], view["balance"], view["disabled"]) == ("admin", 500, False)
    assert (view["email"], view["email_verified"]) == ("boss-default@example.com", True)
    assert not {"sub", "issuer", "change_id", "revision"} & set(view)


# --- changing ---


async def test_user_can_be_disabled_and_enabled(house: House) -> None:
    boss, bob = await boss_of(house), await person(house, "bob")
    await users.update(house.services, boss, bob.account, UpdateUser(disabled=True))
    assert (await fails(Accounts().caller(house.services, "Bearer bob"))).code == "ACCOUNT_DISABLED"
    await users.update(house.services, boss, bob.account, UpdateUser(disabled=False))
    await Accounts().caller(house.services, "Bearer bob")


async def test_update_keeps_other_fields_and_concurrent_changes(house: House) -> None:
    boss, bob = await boss_of(house), await person(house, "bob")

    async def rival() -> None:
        account = await house.account(bob.account)
        await house.store.commit([account.changed(display_name="Bob", change_id="rival")])

    house.store.before("commit", rival)
    await users.update(house.services, boss, bob.account, UpdateUser(role="admin"))
    account = await house.account(bob.account)
    assert (account.role, account.display_name, account.disabled, account.balance) == ("admin", "Bob", False, 500)


@pytest.mark.parametrize("change", [{"disabled": True}, {"role": "user"}, {"role": "admin"}])
@pytest.mark.parametrize("who", ["admin", "operator"])
async def test_operators_are_set_in_the_console_only(house: House, who: str, change: dict[str, Any]) -> None:
    operator = await person(house, "olga", role="operator")
    boss = await person(house, "boss", role=who)
    error = await fails(users.update(house.services, boss, operator.account, UpdateUser(**change)))
    assert error.code == "FORBIDDEN"
    account = await house.account(operator.account)
    assert (account.role, account.disabled) == ("operator", False)


def test_api_cannot_make_operators() -> None:
    with pytest.raises(ValueError, match="role"):
        UpdateUser.model_validate({"role": "operator"})


@pytest.mark.parametrize("change", [{"disabled": True}, {"role": "user"}, {"disabled": True, "plan": "default"}])
async def test_you_cannot_disable_or_demote_yourself(house: House, change: dict[str, Any]) -> None:
    boss = await boss_of(house)
    error = await fails(users.update(house.services, boss, boss.account, UpdateUser(**change)))
    assert error.code == "FORBIDDEN"
    account = await house.account(boss.account)
    assert (account.role, account.disabled) == ("admin", False)


async def test_you_can_change_what_does_not_lock_you_out(house: House) -> None:
    boss = await boss_of(house)
    house.configure(plans={"pro": Plan()})
    changed = await users.update(
        house.services, boss, boss.account, UpdateUser(plan="pro", role="admin", disabled=False)
    )
    assert changed.plan == "pro"


async def test_unknown_plan_error_names_the_configured_ones(house: House) -> None:
    boss = await boss_of(house)
    house.configure(plans={"pro": Plan()})
    error = await fails(users.update(house.services, boss, boss.account, UpdateUser(plan="gold")))
    assert error.code == "INVALID_REQUEST"
    assert error.details["fields"][0]["field"] == "plan"
    assert "default, pro" in str(error.message)


# --- granting ---


def gift(amount: int = 100, description: str = "for the festival") -> GrantCredits:
    return GrantCredits(amount=amount, description=description)


async def test_grant_is_a_ledger_entry(house: House) -> None:
    boss, bob = await giver_of(house), await person(house, "bob")
    granted = await users.grant(house.services, boss, bob.account, gift(), "key-1")
    assert not granted.replayed
    assert (granted.entry.type, granted.entry.amount, granted.entry.balance_after) == ("grant", 100, 600)
    assert granted.entry.description == "for the festival"
    assert (await house.account(bob.account)).balance == 600
    house.check()


async def test_repeated_key_grants_once(house: House) -> None:
    boss, bob = await giver_of(house), await person(house, "bob")
    first = await users.grant(house.services, boss, bob.account, gift(), "key-1")
    again = await users.grant(house.services, boss, bob.account, gift(), "key-1")
    assert again.replayed
    assert again.entry.id == first.entry.id
    assert (await house.account(bob.account)).balance == 600


async def test_concurrent_same_key_grants_once(house: House) -> None:
    boss, bob = await giver_of(house), await person(house, "bob")
    granted = await asyncio.gather(
        *(users.grant(house.services, boss, bob.account, gift(), "key-1") for _ in range(20))
    )
    assert len({one.entry.id for one in granted}) == 1
    assert [one.replayed for one in granted].count(False) == 1
    assert (await house.account(bob.account)).balance == 600
    house.check()


async def test_another_key_or_user_is_another_grant(house: House) -> None:
    boss, bob, eve = await giver_of(house), await person(house, "bob"), await person(house, "eve")
    for user, key in ((bob, "a"), (bob, "b"), (eve, "a")):
        await users.grant(house.services, boss, user.account, gift(), key)
    assert [(await house.account(user.account)).balance for user in (bob, eve)] == [700, 600]


@pytest.mark.parametrize("other", [{"amount": 200}, {"description": "for lunch"}])
async def test_key_reused_for_another_grant_is_rejected(house: House, other: dict[str, Any]) -> None:
    boss, bob = await giver_of(house), await person(house, "bob")
    await users.grant(house.services, boss, bob.account, gift(), "key-1")
    error = await fails(users.grant(house.services, boss, bob.account, gift(**other), "key-1"))
    assert error.code == "IDEMPOTENCY_KEY_REUSED"
    assert (await house.account(bob.account)).balance == 600


async def test_grant_without_a_key_is_rejected(house: House) -> None:
    boss, bob = await giver_of(house), await person(house, "bob")
    error = await fails(users.grant(house.services, boss, bob.account, gift(), None))
    assert (error.code, error.details["fields"][0]["field"]) == ("INVALID_REQUEST", "Idempotency-Key")


@pytest.mark.parametrize("plan", ["lose", "fail"])
async def test_database_hiccup_grants_once(house: House, plan: str) -> None:
    boss, bob = await giver_of(house), await person(house, "bob")
    getattr(house.store, plan)("commit")
    await users.grant(house.services, boss, bob.account, gift(), "key-1")
    assert (await house.account(bob.account)).balance == 600
    house.check()


async def test_concurrent_grants_of_two_processes_both_count(house: House) -> None:
    boss, bob = await giver_of(house), await person(house, "bob")
    other = await person(house, "other", role="admin")

    async def rival() -> None:
        await users.grant(house.services, other, bob.account, gift(30), "rival")

    house.store.before("commit", rival)
    await users.grant(house.services, boss, bob.account, gift(), "key-1")
    assert (await house.account(bob.account)).balance == 630
    house.check()


async def test_database_outage_grants_nothing(house: House) -> None:
    boss, bob = await giver_of(house), await person(house, "bob")
    house.store.fail("commit", 10_000, Conflict)
    with pytest.raises(Unavailable):
        await users.grant(house.services, boss, bob.account, gift(), "key-1")
    assert len([entry for entry in house.store.documents(Transaction) if entry.type == "grant"]) == 0


async def test_you_cannot_grant_to_yourself(house: House) -> None:
    boss = await giver_of(house)
    error = await fails(users.grant(house.services, boss, boss.account, gift(), "key-1"))
    assert error.code == "FORBIDDEN"
    assert (await house.account(boss.account)).balance == 500
    operator = await person(house, "olga", role="operator")
    assert (await fails(users.grant(house.services, operator, operator.account, gift(), "key-1"))).code == "FORBIDDEN"


async def test_grants_stop_at_the_operators_budget(house: House) -> None:
    boss, bob = await giver_of(house, budget=150), await person(house, "bob")
    await users.grant(house.services, boss, bob.account, gift(), "key-1")
    error = await fails(users.grant(house.services, boss, bob.account, gift(), "key-2"))
    assert (error.code, error.details) == ("TENANT_BUDGET_EXCEEDED", {"required": 100, "available": 50, "deficit": 50})
    assert (await house.account(bob.account)).balance == 600
    house.check()


async def test_tenant_without_a_budget_cannot_grant(house: House) -> None:
    await house.fund("studio-7")
    boss, bob = await boss_of(house), await person(house, "bob")
    error = await fails(users.grant(house.services, boss, bob.account, gift(), "key-1"))
    assert error.code == "TENANT_BUDGET_EXCEEDED"


async def test_concurrent_grants_stay_within_the_budget(house: House) -> None:
    boss = await giver_of(house, budget=350)
    receivers = [await person(house, f"user{number}") for number in range(6)]
    results = await asyncio.gather(
        *(users.grant(house.services, boss, one.account, gift(), "key") for one in receivers), return_exceptions=True
    )
    refusals = [one.code for one in results if isinstance(one, ApiError)]
    assert refusals == ["TENANT_BUDGET_EXCEEDED"] * 3
    house.check()


@pytest.mark.parametrize("change", [{"role": "user"}, {"disabled": True}])
@pytest.mark.parametrize("action", ["grant", "update"])
async def test_caller_locked_out_before_the_commit_changes_nothing(
    house: House, action: str, change: dict[str, Any]
) -> None:
    boss, bob = await giver_of(house), await person(house, "bob")

    async def locked_out() -> None:
        house.store.edit("accounts", boss.account, change)

    house.store.before("commit", locked_out)
    before = await house.account(bob.account)
    if action == "grant":
        call: Any = users.grant(house.services, boss, bob.account, gift(), "key-1")
    else:
        call = users.update(house.services, boss, bob.account, UpdateUser(role="admin"))
    assert (await fails(call)).code == ("FORBIDDEN" if "role" in change else "ACCOUNT_DISABLED")
    assert await house.account(bob.account) == before


@pytest.mark.parametrize("amount", [0, -1, 1_000_000_001])
def test_grant_must_be_positive_and_bounded(amount: int) -> None:
    with pytest.raises(ValueError, match="amount"):
        gift(amount)


# --- the audit log ---


async def test_every_view_and_change_is_audited(house: House, capsys: Any) -> None:
    boss, bob = await giver_of(house), await person(house, "bob")
    capsys.readouterr()
    await users.page(house.services, boss, ListUsersQuery())
    await users.get(house.services, boss, bob.account)
    await users.update(house.services, boss, bob.account, UpdateUser(disabled=True))
    await users.grant(house.services, boss, bob.account, gift(), "key-1")
    await users.grant(house.services, boss, bob.account, gift(), "key-1")
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["message"] for entry in entries] == [
        "users_listed_as_admin",
        "user_viewed_as_admin",
        "user_changed",
        "credits_granted",
    ]
    assert {(entry["user"], entry["tenant"], entry["role"]) for entry in entries} == {
        (boss.account, "default", "admin")
    }
    assert entries[2]["changes"] == {"disabled": True}
    assert (entries[3]["to"], entries[3]["amount"]) == (bob.account, 100)
    assert "@" not in json.dumps(entries)


async def test_tenants_users_are_all_its_accounts(house: House) -> None:
    other = await boss_of(house, "studio-7")
    await boss_of(house)
    found = await users.page(house.services, other, ListUsersQuery())
    assert [account.id for account in found] == [other.account]
    assert len(house.store.documents(Account)) == 2
