"""Tenant budgets: operators grant credits to tenants, and a tenant's administrators grant them to its users.

`granted` is the sum of operators' grants to the tenant; `given`, the sum of its administrators' grants to users, never
exceeds it. Both change only in the same commit as the entry that documents the change. An operator can take back
credits that haven't been given yet with a negative grant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from shared.api.tenants import GrantToTenant, TenantBudgetView, TenantGrantView
from shared.core.documents import TENANT_NAME, Document
from shared.core.errors import ApiError
from shared.platform import accounts, audit, commits, ids
from shared.platform.commits import Batch
from shared.platform.identity import Caller
from shared.platform.ports import Services


class TenantBudget(Document):
    """The credits that a tenant's administrators can give; its id is the tenant's name."""

    collection: ClassVar[str] = "tenant_grants"

    tenant: str
    granted: int = 0
    given: int = 0
    updated_at: datetime
    change_id: str = ""

    @property
    def left(self) -> int:
        return self.granted - self.given


class TenantGrant(Document):
    """One operator's grant to a tenant; never changed once written."""

    collection: ClassVar[str] = "tenant_grant_entries"

    tenant: str
    amount: int
    granted_after: int
    description: str
    operator: str
    created_at: datetime


@dataclass(frozen=True)
class Granted:
    """The entry, and whether an earlier request with the same Idempotency-Key created it."""

    entry: TenantGrant
    replayed: bool


async def get(services: Services, tenant: str) -> TenantBudget:
    """The tenant's budget, or an empty, unstored one. Raises ApiError NOT_FOUND for an invalid tenant name."""
    if not re.fullmatch(TENANT_NAME, tenant):
        raise ApiError("NOT_FOUND", "Invalid tenant name.", {"tenant": tenant[:64]})
    found = await services.firestore.get(TenantBudget, tenant)
    return found or TenantBudget(id=tenant, tenant=tenant, updated_at=services.clock())


async def look(services: Services, caller: Caller, tenant: str) -> TenantBudget:
    """Any tenant's budget, for an operator; recorded in the audit log."""
    budget = await get(services, tenant)
    audit.record("tenant_viewed_as_operator", caller, viewed_tenant=budget.tenant)
    return budget


def give(budget: TenantBudget, amount: int) -> TenantBudget:
    """Deduct a grant to a user from the budget. Raises ApiError TENANT_BUDGET_EXCEEDED."""
    return _within(budget.changed(given=budget.given + amount), required=amount, left=budget.left)


def _within(budget: TenantBudget, required: int, left: int) -> TenantBudget:
    if budget.left < 0:
        details = {"required": required, "available": left, "deficit": -budget.left}
        raise ApiError(
            "TENANT_BUDGET_EXCEEDED", f"This grant needs {required} credits; the tenant has {left} left.", details
        )
    return budget


async def grant(services: Services, caller: Caller, tenant: str, body: GrantToTenant, key: str | None) -> Granted:
    """Grant credits to a tenant, once per Idempotency-Key, in one commit with the operator's account.

    Raises ApiError NOT_FOUND, INVALID_REQUEST without a key, TENANT_BUDGET_EXCEEDED when taking back more than is left,
    or IDEMPOTENCY_KEY_REUSED if the key was used with another amount or description.
    """
    id_ = ids.derived("tenant-grant-", tenant, given_key(key))

    async def granted(entry: TenantGrant | None) -> Batch[TenantGrant] | None:
        return await _grant(services, caller, tenant, body, id_) if entry is None else None

    edited = await commits.edit(services, TenantGrant, id_, granted)
    entry = edited.document
    if (entry.amount, entry.description) != (body.amount, body.description):
        raise ApiError("IDEMPOTENCY_KEY_REUSED", details={"tenant_grant": entry.id})
    if edited.written:
        audit.record("tenant_credits_granted", caller, to_tenant=tenant, amount=body.amount, grant=entry.id)
    return Granted(entry, replayed=not edited.written)


async def _grant(services: Services, caller: Caller, tenant: str, body: GrantToTenant, id_: str) -> Batch[TenantGrant]:
    budget = await get(services, tenant)
    actor = await accounts.acting(services, caller)
    now = services.clock()
    granted = budget.changed(granted=budget.granted + body.amount, updated_at=now, change_id=services.ids())
    entry = TenantGrant(
        id=id_,
        tenant=budget.tenant,
        amount=body.amount,
        granted_after=granted.granted,
        description=body.description,
        operator=caller.account,
        created_at=now,
    )
    return Batch(entry, [_within(granted, required=-body.amount, left=budget.left), actor])


def given_key(key: str | None) -> str:
    """Return the Idempotency-Key. Raises ApiError INVALID_REQUEST if it's missing."""
    if key is None:
        message = "this header is required, so that nothing is granted twice"
        fields = [{"field": "Idempotency-Key", "message": message}]
        raise ApiError("INVALID_REQUEST", f"Idempotency-Key: {message}", {"fields": fields})
    return key


def view(budget: TenantBudget) -> TenantBudgetView:
    return TenantBudgetView(tenant=budget.tenant, granted=budget.granted, given=budget.given, left=budget.left)


def entry_view(entry: TenantGrant) -> TenantGrantView:
    return TenantGrantView(
        id=entry.id,
        tenant=entry.tenant,
        amount=entry.amount,
        granted_after=entry.granted_after,
        description=entry.description,
        created_at=entry.created_at,
    )
