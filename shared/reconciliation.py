"""Daily: every account's balance against its ledger. People edit documents in the console, and nothing else would tell.

A difference is reported, never repaired: which of the two is right only a person can say. A pass ends in bounded time,
and the next one continues behind the last account that was compared.
"""

from __future__ import annotations

from shared import log, passes
from shared.errors import Unavailable
from shared.models import Account
from shared.ports import Place, Services

# An account that is written to while it is compared is read again.
TRIES = 5
CURSOR = "reconcile"


async def reconcile(services: Services) -> dict[str, int]:
    """Compare accounts, from where the pass before stopped, until all were seen or the pass has taken its time.

    How many were seen, differ, and could not be compared. Each difference is an error log. Raises Unavailable.
    """
    seen = differing = failed = 0
    until = services.clock() + passes.PASS_FOR
    cursor = await passes.cursor(services, CURSOR)
    last = cursor.place.id if cursor.place is not None else None
    while page := await services.store.accounts(last, passes.PAGE):
        results = await passes.for_each(page, lambda account: _agrees(services, account))
        seen += len(page)
        differing += sum(result is False for result in results)
        failed += sum(result is None for result in results)
        last = page[-1].id
        if services.clock() >= until:
            break
    else:
        last = None
    await passes.keep(services, cursor.changed(place=Place(id=last) if last is not None else None))
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
