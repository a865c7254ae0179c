"""One user in a great hurry: submits of one account, all at once, beside the same rules in a Firestore transaction."""

from __future__ import annotations

import asyncio

from bench import report
from bench.load import Load, load, request
from bench.performance import Part, at_least, run_alone
from bench.stand import Stand, bearer, known
from bench.submit import BODY, bare_function

ROUNDS = 3
SUBMITS = 64
# A transaction that waits for others is slow: as many as make a fair rate, and no more.
TRANSACTIONS = 8


def measure(stand: Stand) -> Part:
    ours, transactions = [], []
    with bare_function(stand) as bare:
        for _ in range(ROUNDS):
            user = stand.user()
            known(stand, user)
            submits = [request("POST", "/v1/videos", bearer(user), BODY)] * SUBMITS
            ours.append(_at_once(stand.port("submit"), submits))
            account = known(stand, stand.user())
            transacted = [request("POST", f"/transact/{account}")] * TRANSACTIONS
            transactions.append(_at_once(bare.port, transacted))
    ratios = [mine.rate / theirs.rate for mine, theirs in zip(ours, transactions, strict=True)]
    goal = at_least(f"{SUBMITS} submits of one account at once, over {TRANSACTIONS} in transactions: rate", ratios, 30)
    rows = [
        (f"round {number + 1}", f"{mine.rate:.0f}", f"{mine.p95_s:.2f}", f"{theirs.rate:.1f}", f"{theirs.p95_s:.2f}")
        for number, (mine, theirs) in enumerate(zip(ours, transactions, strict=True))
    ]
    head = ("", "Rushes, a second", "p95, s", "transactions, a second", "p95, s")
    return Part([goal], report.table(rows, head))


def _at_once(port: int, requests: list[bytes]) -> Load:
    """No error, or it is no rate. Raises AssertionError."""
    return asyncio.run(load(port, requests, len(requests))).check(202)


if __name__ == "__main__":
    run_alone("hot-account", measure)
