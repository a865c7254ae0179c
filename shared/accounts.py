"""Edits of an account's document: read, change, commit if nobody wrote meanwhile, else again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from shared import jobs
from shared.errors import Conflict, Unavailable
from shared.models import Account

if TYPE_CHECKING:
    from shared.services import Services


async def edit(services: Services, account_id: str, change: Callable[[Account], Account]) -> Account:
    """The account after `change`, which is called again whenever somebody else wrote first.

    Where `change` leaves the account as it is, nothing is written. What `change` raises ends the edit. Raises KeyError
    when there is no such account; Unavailable.
    """
    tried: set[str] = set()
    async with jobs.account_lock(account_id):
        async for _ in jobs.Tries(services):
            account = await services.store.get(Account, account_id)
            if account is None:
                raise KeyError(account_id)
            if account.change_id in tried:
                return account
            changed = change(account)
            if changed == account:
                return account
            changed = changed.changed(change_id=services.ids())
            tried.add(changed.change_id)
            try:
                return (await services.store.commit([changed]))[0]
            except (Conflict, Unavailable):
                continue
    raise Unavailable(f"others kept writing to account {account_id}")
