"""Daily: compare every account's balance with its ledger, since people can edit documents in the console.

A difference is reported, never repaired: only a person can tell which of the two is right. A pass ends in bounded time,
and the next one continues after the last account that was compared.
"""

from __future__ import annotations

from shared.core.documents import Account
from shared.core.errors import Unavailable
from shared.platform import log, passes
from shared.platform.ports import Place, Services

# If an account changes during the comparison, it is read again.
TRIES = 5
CURSOR = "reconcile"


async def reconcile(services: Services) -> dict[str, int]:
    """Compare accounts, starting where the last pass stopped, until all were seen or time is up.

    Returns how many were seen, differ, and couldn't be compared. Logs an error per difference. Raises Unavailable.
    """
    cursor = await passes.cursor(services, CURSOR)
    start = cursor.place.id if cursor.place is not None else None

    async def read(last: Account | None) -> list[Account]:
        return await services.firestore.accounts(last.id if last is not None else start, passes.PAGE)

    pages = passes.Pages(read, passes.time_is_up(services))
    counts = await passes.for_all(pages, lambda account: _compare(services, account))
    place = Place(id=pages.last.id) if pages.last is not None and not pages.ended else None
    await passes.keep(services, cursor.changed(place=place))
    compared = {name: counts[name] for name in ("seen", "differing", "failed")}
    log.info("reconciled", **compared)
    return compared


async def _compare(services: Services, account: Account) -> str | None:
    """Return "differing", "failed" if the comparison wasn't possible, or None if they agree."""
    try:
        for _ in range(TRIES):
            entries, total = await services.firestore.ledger_totals(account.id)
            again = await services.firestore.get(Account, account.id)
            if again is None:
                return "failed"
            if again.revision == account.revision:
                break
            account = again
        else:
            log.warning("account_too_busy_to_reconcile", account=account.id)
            return "failed"
    except Unavailable as error:
        log.warning("account_not_reconciled", account=account.id, error=str(error))
        return "failed"
    if (account.sequence, account.balance) == (entries, total):
        return None
    log.error(
        "ledger_differs",
        account=account.id,
        tenant=account.tenant,
        balance=account.balance,
        sum_of_entries=total,
        sequence=account.sequence,
        entries=entries,
    )
    return "differing"
