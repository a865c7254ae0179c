"""Edit an account's document: read, change, and commit; if somebody else wrote first, do it again.

Changes of money, roles, keys, settings or secrets are committed together with the caller's account, as read for that
commit. If the account is disabled, closed or demoted in between, the commit fails. (A Firestore commit can't verify a
document without writing it, so the account gets a fresh change_id.)
"""

from __future__ import annotations

from collections.abc import Callable

from shared.core import admission
from shared.core.documents import Account
from shared.core.errors import ApiError
from shared.platform import commits
from shared.platform.commits import Batch
from shared.platform.identity import Caller
from shared.platform.ports import Services

_ORDER = ("user", "admin", "operator")


def check_open(account: Account) -> None:
    """Raises ApiError ACCOUNT_CLOSED or ACCOUNT_DISABLED."""
    refusal = admission.closed(account)
    if refusal is not None:
        raise refusal


async def acting(services: Services, caller: Caller) -> Account:
    """The caller's current account with a fresh change_id, to be committed with what the caller does.

    Raises ApiError UNAUTHENTICATED, ACCOUNT_CLOSED or ACCOUNT_DISABLED, and FORBIDDEN when the account no longer has
    the role that let the caller in.
    """
    return allowed(services, caller, await services.firestore.get(Account, caller.account))


def allowed(services: Services, caller: Caller, account: Account | None) -> Account:
    """Like `acting`, for the caller's account as just read."""
    if account is None:
        raise ApiError("UNAUTHENTICATED", "This user's account no longer exists.")
    check_open(account)
    if _ORDER.index(account.role) < _ORDER.index(caller.role):
        raise ApiError("FORBIDDEN", f"Your account no longer has the role {caller.role}.")
    return account.changed(change_id=services.ids())


async def edit(
    services: Services, account_id: str, change: Callable[[Account], Account], caller: Caller | None = None
) -> Account:
    """Apply `change` to the account and return the result; `change` is called again if somebody else wrote first.

    With a `caller`, the edit is made only while the caller's own account allows it (see `acting`). If `change` returns
    the account unchanged, nothing is written. Exceptions of `change` propagate. Raises KeyError if there is no such
    account; ApiError as `acting` does; Unavailable.
    """

    async def changed(account: Account | None) -> Batch[Account]:
        if account is None:
            raise KeyError(account_id)
        actor = await acting(services, caller) if caller is not None else None
        # A caller who edits their own account is already checked by the edit.
        return Batch(change(account), [actor] if actor is not None and actor.id != account_id else [])

    return (await commits.edit(services, Account, account_id, changed)).document


def check_verified(account: Account) -> None:
    """Raises ApiError EMAIL_NOT_VERIFIED: nothing that outlives a sign-in is given out for an unproven address."""
    if not account.email_verified:
        raise ApiError("EMAIL_NOT_VERIFIED")
