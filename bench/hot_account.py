"""Simultaneous submits of one account, compared with the same rules in a Firestore transaction."""

from __future__ import annotations

import asyncio

from bench import report
from bench.environment import Stand, bearer, known
from bench.goals import Part, at_least, run_alone
from bench.load import Load, load, request
from bench.submit import BODY, bare_function

ROUNDS = 2
SUBMITS = 64
# Transactions wait for each other's locks, the longer the more they are; as many as are done in this time count.
TRANSACTIONS = 8
PATIENCE_S = 15.0


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
            transactions.append(asyncio.run(load(bare.port, transacted, TRANSACTIONS, PATIENCE_S)).check(202))
    # Where not one was done, one is counted: the ratio is then the least that it can be.
    rates = [max(theirs.rate, 1 / theirs.wall_s) for theirs in transactions]
    ratios = [mine.rate / theirs for mine, theirs in zip(ours, rates, strict=True)]
    goal = at_least(
        f"Rate of {SUBMITS} simultaneous submits of one account, compared with {TRANSACTIONS} in transactions",
        ratios,
        30,
    )
    rows = [
        (
            f"round {number + 1}",
            f"{mine.rate:.0f}",
            f"{mine.p95_s:.2f}",
            f"{len(theirs.seconds)} of {TRANSACTIONS}",
            f"{theirs.wall_s:.1f}",
        )
        for number, (mine, theirs) in enumerate(zip(ours, transactions, strict=True))
    ]
    head = ("", "Rushes, per second", "p95, s", "transactions done", "in, s")
    return Part([goal], report.table(rows, head))


def _at_once(port: int, requests: list[bytes]) -> Load:
    """How all at once went. Raises AssertionError when one was refused."""
    return asyncio.run(load(port, requests, len(requests))).check(202)


if __name__ == "__main__":
    run_alone("hot-account", measure)
