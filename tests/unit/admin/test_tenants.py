"""What operators grant to tenants: once, on the record, and never less than was given."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from shared.admin import tenants
from shared.admin.tenants import TenantBudget, TenantGrant
from shared.api.tenants import GrantToTenant
from shared.core.errors import ApiError, Conflict, Unavailable
from shared.platform.identity import Caller
from tests.unit.conftest import House


@pytest.fixture
async def operator(house: House) -> Caller:
    return await house.sign_up("olga", role="operator")


async def grant(house: House, operator: Caller, amount: int = 500, key: str | None = "key-1") -> tenants.Granted:
    body = GrantToTenant(amount=amount, description="autumn")
    return await tenants.grant(house.services, operator, "studio-7", body, key)


async def left(house: House) -> int:
    return (await tenants.get(house.services, "studio-7")).left


async def fails(call: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        await call
    return error.value


async def test_grant_adds_an_entry_and_raises_the_budget(house: House, operator: Caller) -> None:
    assert await left(house) == 0
    granted = await grant(house, operator)
    assert (granted.replayed, granted.entry.amount, granted.entry.granted_after) == (False, 500, 500)
    assert (granted.entry.operator, granted.entry.tenant) == ("olga", "studio-7")
    await grant(house, operator, 200, "key-2")
    view = tenants.view(await tenants.look(house.services, operator, "studio-7"))
    assert (view.tenant, view.granted, view.given, view.left) == ("studio-7", 700, 0, 700)
    house.check()


async def test_repeated_key_grants_once_and_rejects_another_amount(house: House, operator: Caller) -> None:
    granted = await asyncio.gather(*(grant(house, operator) for _ in range(10)))
    assert len({one.entry.id for one in granted}) == 1
    assert [one.replayed for one in granted].count(False) >= 1
    assert (await fails(grant(house, operator, 501))).code == "IDEMPOTENCY_KEY_REUSED"
    assert await left(house) == 500
    assert (await fails(grant(house, operator, key=None))).code == "INVALID_REQUEST"
    house.check()


@pytest.mark.parametrize("plan", ["lose", "fail"])
async def test_database_hiccup_grants_once(house: House, operator: Caller, plan: str) -> None:
    getattr(house.store, plan)("commit")
    await grant(house, operator)
    assert await left(house) == 500
    house.check()


async def test_grant_cannot_be_taken_back(house: House, operator: Caller) -> None:
    await grant(house, operator)
    await house.sign_up("bob", tenant="studio-7")
    await house.give("bob", 300)
    assert await left(house) == 500
    assert (await grant(house, operator, -400, "key-2")).entry.granted_after == 400
    error = await fails(grant(house, operator, -101, "key-3"))
    assert (error.code, error.details) == ("TENANT_BUDGET_EXCEEDED", {"required": 101, "available": 100, "deficit": 1})
    await grant(house, operator, -100, "key-4")
    assert await left(house) == 0


@pytest.mark.parametrize("change", [{"role": "admin"}, {"disabled": True}])
async def test_operator_locked_out_before_the_commit_grants_nothing(
    house: House, operator: Caller, change: dict[str, Any]
) -> None:
    async def locked_out() -> None:
        house.store.edit("accounts", operator.account, change)

    house.store.before("commit", locked_out)
    assert (await fails(grant(house, operator))).entry.status == 403
    assert house.store.documents(TenantBudget) == house.store.documents(TenantGrant) == []


@pytest.mark.parametrize("name", ["", "a/b", "__tenants__", "é", "x" * 129, ".."])
async def test_malformed_tenant_id_is_not_found_without_a_read(house: House, name: str) -> None:
    before = house.store.calls["get"]
    assert (await fails(tenants.get(house.services, name))).code == "NOT_FOUND"
    assert house.store.calls["get"] == before


@pytest.mark.parametrize("amount", [0, 1_000_000_001, -1_000_000_001])
def test_grant_must_be_positive_and_bounded(amount: int) -> None:
    with pytest.raises(ValueError, match="amount"):
        GrantToTenant(amount=amount, description="autumn")


async def test_database_outage_grants_nothing(house: House, operator: Caller) -> None:
    house.store.fail("commit", 10_000, Conflict)
    with pytest.raises(Unavailable):
        await grant(house, operator)
    assert house.store.documents(TenantGrant) == []


async def test_views_and_grants_are_audited(house: House, operator: Caller, capsys: Any) -> None:
    capsys.readouterr()
    await tenants.look(house.services, operator, "studio-7")
    await grant(house, operator)
    await grant(house, operator)
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(entry["message"], entry["user"]) for entry in entries] == [
        ("tenant_viewed_as_operator", "olga"),
        ("tenant_credits_granted", "olga"),
    ]
    assert (entries[1]["to_tenant"], entries[1]["amount"]) == ("studio-7", 500)
