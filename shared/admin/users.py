"""Administration of a tenant's users, and credit grants to them.

Administrators can't see other tenants' users. Role and plan come from the account, never from a token; a tenant's first
administrator is appointed in the Firestore console. Grants are deducted from the tenant's budget, and administrators
can't grant credits to themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from shared.admin import tenants
from shared.admin.tenants import given_key
from shared.api.users import USER_ID, GrantCredits, ListUsersQuery, UpdateUser, UserPage, UserView
from shared.core import ledger, plans
from shared.core.documents import Account, Transaction
from shared.core.errors import ApiError
from shared.platform import accounts, audit, commits, ids, lists
from shared.platform.commits import Batch
from shared.platform.identity import Caller
from shared.platform.ports import Services

# Firestore reserves these names.
RESERVED = re.compile(r"__.*__")


@dataclass(frozen=True)
class Granted:
    """The ledger entry, and whether an earlier request with the same Idempotency-Key created it."""

    entry: Transaction
    replayed: bool


async def page(services: Services, caller: Caller, query: ListUsersQuery) -> list[Account]:
    """The tenant's users, newest first, and one more when there is a next page."""
    filters = {"email": query.email} if query.email is not None else {}
    found = await lists.newest(services, Account, {"tenant": caller.tenant}, query.after, query.limit, filters)
    audit.record("users_listed_as_admin", caller, users=[account.id for account in found[: query.limit]])
    return found


async def get(services: Services, caller: Caller, user: str) -> Account:
    """Get a user. Raises ApiError NOT_FOUND, also for another tenant's user."""
    account = await _known(services, caller, user)
    audit.record("user_viewed_as_admin", caller, viewed=account.id)
    return account


async def update(services: Services, caller: Caller, user: str, body: UpdateUser) -> Account:
    """Update a user, in one commit with the caller's account.

    Administrators can't disable or demote themselves, so that a tenant always has one. Operators can only be changed in
    the Firestore console. Raises ApiError NOT_FOUND, FORBIDDEN, or INVALID_REQUEST for an unknown plan.
    """
    await _known(services, caller, user)
    changes = body.model_dump(exclude_none=True)
    if user == caller.account and (changes.get("disabled") or changes.get("role") == "user"):
        raise ApiError("FORBIDDEN", "You can't disable or demote yourself.")
    await _check_plan(services, body.plan)
    account = await accounts.edit(services, user, lambda account: _changed(account, changes), caller)
    audit.record("user_changed", caller, changed=user, changes=changes)
    return account


def _changed(account: Account, changes: dict[str, Any]) -> Account:
    changed = account.changed(**changes)
    if account.role == "operator" and (changed.role, changed.disabled) != (account.role, account.disabled):
        raise ApiError("FORBIDDEN", "Operators can only be changed in the Firestore console.")
    return changed


async def _check_plan(services: Services, plan: str | None) -> None:
    allowed = plans.names(await services.live_settings.get())
    if plan is not None and plan not in allowed:
        message = f"unknown plan; use one of {', '.join(sorted(allowed))}"
        raise ApiError("INVALID_REQUEST", f"plan: {message}", {"fields": [{"field": "plan", "message": message}]})


async def grant(services: Services, caller: Caller, user: str, body: GrantCredits, key: str | None) -> Granted:
    """Grant credits, once per Idempotency-Key: repeating the key returns the same entry.

    One commit writes the user's balance, the ledger entry, the tenant's budget and the caller's account. Raises
    ApiError NOT_FOUND, FORBIDDEN for the caller's own account, TENANT_BUDGET_EXCEEDED, INVALID_REQUEST without a key,
    or IDEMPOTENCY_KEY_REUSED if the key was used with another amount or description.
    """
    id_ = ids.derived("grant-", caller.tenant, user, given_key(key))
    await _known(services, caller, user)
    if user == caller.account:
        raise ApiError("FORBIDDEN", "You can't grant credits to your own account.")

    async def given(entry: Transaction | None) -> Batch[Transaction] | None:
        if entry is not None:
            return None
        return await _grant(services, caller, await _known(services, caller, user), body, id_)

    async with commits.account_lock(user):
        edited = await commits.edit(services, Transaction, id_, given)
    entry = edited.document
    if (entry.amount, entry.description) != (body.amount, body.description):
        raise ApiError("IDEMPOTENCY_KEY_REUSED", details={"transaction": entry.id})
    if edited.written:
        audit.record("credits_granted", caller, to=user, amount=body.amount, transaction=entry.id)
    return Granted(entry, replayed=not edited.written)


async def _grant(
    services: Services, caller: Caller, account: Account, body: GrantCredits, id_: str
) -> Batch[Transaction]:
    actor = await accounts.acting(services, caller)
    budget = await tenants.get(services, caller.tenant)
    now = services.clock()
    stamped = account.changed(change_id=services.ids())
    credited, entry = ledger.grant(stamped, id_, body.amount, body.description, now)
    given = tenants.give(budget, body.amount).changed(updated_at=now, change_id=services.ids())
    return Batch(entry, [credited, given, actor])


async def _known(services: Services, caller: Caller, user: str) -> Account:
    account = await _find(services, caller, user)
    if account is None:
        raise ApiError("NOT_FOUND", "User not found.", {"user": user[:64]})
    return account


async def _find(services: Services, caller: Caller, user: str) -> Account | None:
    if not re.fullmatch(USER_ID, user) or RESERVED.fullmatch(user):
        return None
    account = await services.firestore.get(Account, user)
    return account if account is not None and account.tenant == caller.tenant else None


def view(account: Account) -> UserView:
    return UserView(
        id=account.id,
        email=account.email,
        email_verified=account.email_verified,
        display_name=account.display_name,
        locale=account.locale,
        tenant=account.tenant,
        role=account.role,
        plan=account.plan,
        disabled=account.disabled,
        closed_at=account.closed_at,
        balance=account.balance,
        active_jobs=list(account.active_jobs),
        created_at=account.created_at,
    )


def page_view(found: list[Account], limit: int) -> UserPage:
    return UserPage.of([view(account) for account in found[:limit]], has_more=len(found) > limit)
