"""Daily: every account's balance against its ledger. People edit documents in the console, and nothing else would tell.

A difference is reported, never repaired: which of the two is right only a person can say.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shared import log
from shared.errors import Unavailable
from shared.models import Account

if TYPE_CHECKING:
    from shared.services import Services

PAGE = 200
AT_ONCE = 16
# An account that is written to while it is compared is read again.
TRIES = 5


async def reconcile(services: Services) -> dict[str, int]:
    """Compare all accounts: how many were seen, differ, and could not be compared. Each difference is an error log."""
    seen = differing = failed = 0
    last: Account | None = None
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(account: Account) -> bool | None:
        async with gate:
            return await _agrees(services, account)

    while True:
        page = await services.store.accounts(last, PAGE)
        if not page:
            break
        results = await asyncio.gather(*(one(account) for account in page))
        seen += len(page)
        differing += sum(result is False for result in results)
        failed += sum(result is None for result in results)
        last = page[-1]
    log.info("reconciled", seen=seen, differing=differing, failed=failed)
    return {"seen": seen, "differing": differing, "failed": failed}


async def _agrees(services: Services, account: Account) -> bool | None:
    """None when it could not be found out."""
    try:
        for _ in range(TRIES):
            entries, total = await services.store.ledger_totals(account.id)
            again = await services.store.get(Account, account.id)
            if again is None:
                return None
            if again.revision == account.revision:
                break
            account = again
        else:
            log.warning("account_too_busy_to_reconcile", account=account.id)
            return None
    except Unavailable as error:
        log.warning("account_not_reconciled", account=account.id, error=str(error))
        return None
    if (account.sequence, account.balance) == (entries, total):
        return True
    log.error(
        "ledger_differs",
        account=account.id,
        tenant=account.tenant,
        balance=account.balance,
        sum_of_entries=total,
        sequence=account.sequence,
        entries=entries,
    )
    return False
