"""Changes that users can make to their own account."""

from __future__ import annotations

from typing import Any

from shared.api.accounts import UpdateAccount
from shared.core.documents import Account
from shared.core.errors import ApiError
from shared.platform import accounts
from shared.platform.identity import Caller
from shared.platform.ports import Services


async def update(services: Services, caller: Caller, body: UpdateAccount) -> Account:
    """Update the caller's account. Raises ApiError UNAUTHENTICATED if it no longer exists, or ACCOUNT_CLOSED."""
    changes = body.model_dump(exclude_unset=True)
    try:
        return await accounts.edit(services, caller.account, lambda account: _changed(account, changes))
    except KeyError:
        raise ApiError("UNAUTHENTICATED", "This user's account no longer exists.") from None


def _changed(account: Account, changes: dict[str, Any]) -> Account:
    if account.closed_at is not None:
        raise ApiError("ACCOUNT_CLOSED")
    return account.changed(**changes)
