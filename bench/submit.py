"""Submit and status compared with the bare minimum of the same work (bench/bare), and the rate of an instance."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle, islice

from google.cloud import firestore

from bench import machine, report
from bench.environment import Stand, bearer, known
from bench.goals import Goal, Part, at_least, at_most, ratio, run_alone
from bench.load import Load, load, request
from bench.servers import ROOT, Server, function

# Twice as many as ask at once: no two requests meet in one account.
USERS = 64
ROUNDS = 5
WARM_UP = 64
# Requests of one round: enough for a steady median, few enough for five rounds of everything within a minute.
ALONE, TOGETHER = 80, 256
CONCURRENCY = 32
BODY = {"prompt": "A paper boat sails down a rainy street"}


@dataclass(frozen=True)
class Side:
    """One of two servers that are compared: where it listens, and its requests for ever."""

    port: int
    group: int
    requests: Iterator[bytes]


@dataclass(frozen=True)
class Round:
    """Ours and the bare minimum, one directly after the other; CPU seconds of the server a request."""

    ours: Load
    bare: Load
    ours_cpu_s: float
    bare_cpu_s: float

    @property
    def p50_ratio(self) -> float:
        return self.ours.p50_s / self.bare.p50_s

    @property
    def rate_ratio(self) -> float:
        return self.ours.rate / self.bare.rate


def bare_function(stand: Stand) -> AbstractContextManager[Server]:
    """The function of bench/bare, with the stand's services."""
    return function("bare", ROOT / "bench" / "bare" / "main.py", stand.directory / "bare.log", stand.environ)


def measure(stand: Stand) -> Part:
    with bare_function(stand) as bare, stand.firestore() as database:
        users = [stand.user() for _ in range(USERS)]
        accounts = [known(stand, user) for user in users]
        ours_create = Side(
            stand.port("submit"),
            stand.group("submit"),
            cycle([request("POST", "/v1/videos", bearer(user), BODY) for user in users]),
        )
        bare_create = Side(
            bare.port, bare.group, cycle([request("POST", f"/submit/{account}") for account in accounts])
        )

        def emptied() -> None:
            _forget_active(database, accounts)

        creates = _rounds(ours_create, bare_create, 202, ALONE, 1, emptied)
        crowds = _rounds(ours_create, bare_create, 202, TOGETHER, CONCURRENCY, emptied)
        job = users[0].create(BODY["prompt"])["id"]
        ours_look = Side(
            stand.port("history"),
            stand.group("history"),
            cycle([request("GET", f"/v1/videos/{job}", bearer(users[0]))]),
        )
        bare_look = Side(bare.port, bare.group, cycle([request("GET", f"/look/{job}")]))
        looks = _rounds(ours_look, bare_look, 200, ALONE, 1)
        busy_looks = _rounds(ours_look, bare_look, 200, TOGETHER, CONCURRENCY)
    goals = [
        at_most("Submit: p50, compared with the bare minimum", [each.p50_ratio for each in creates], 1.25),
        at_least(
            f"Submits per second of one instance at concurrency {CONCURRENCY}, compared with the bare minimum",
            [each.rate_ratio for each in crowds],
            0.8,
        ),
        at_most("Status: p50, compared with one bare read", [each.p50_ratio for each in looks], 1.3),
        Goal(
            f"Status requests per second of one instance at concurrency {CONCURRENCY}, compared with bare reads",
            ratio([each.rate_ratio for each in busy_looks]),
        ),
    ]
    rows = [
        *_rows("submit", creates, crowds),
        *_rows("status", looks, busy_looks),
    ]
    head = (
        "",
        "p50 alone, ms",
        "CPU alone, ms",
        f"per second, {CONCURRENCY} at once",
        f"CPU, {CONCURRENCY} at once, ms",
    )
    return Part(goals, report.table(rows, head))


def _rounds(
    ours: Side, bare: Side, status: int, count: int, concurrency: int, before: Callable[[], None] = lambda: None
) -> list[Round]:
    for side in (ours, bare):
        before()
        _played(side, status, WARM_UP, concurrency)
    rounds = []
    for number in range(ROUNDS):
        order = (ours, bare) if number % 2 == 0 else (bare, ours)
        found = {}
        for side in order:
            before()
            found[side.port] = _played(side, status, count, concurrency)
        rounds.append(Round(found[ours.port][0], found[bare.port][0], found[ours.port][1], found[bare.port][1]))
    return rounds


def _played(side: Side, status: int, count: int, concurrency: int) -> tuple[Load, float]:
    cpu_s = machine.cpu_s(side.group)
    result = asyncio.run(load(side.port, islice(side.requests, count), concurrency)).check(status)
    return result, (machine.cpu_s(side.group) - cpu_s) / count


def _forget_active(database: firestore.Client, accounts: Sequence[str]) -> None:
    """Both sides begin each round with accounts of the same size: no job ends here, and their ids pile up in them."""
    batch = database.batch()
    for account in accounts:
        batch.update(database.collection("accounts").document(account), {"active_jobs": []})
    batch.commit()


def _rows(what: str, alone: list[Round], together: list[Round]) -> Iterator[tuple[str, ...]]:
    for side in ("ours", "bare"):
        name = f"{what}, Rushes" if side == "ours" else f"{what}, bare minimum"
        yield (
            name,
            f"{statistics.median(getattr(each, side).p50_s * 1_000 for each in alone):.1f}",
            f"{statistics.median(getattr(each, f'{side}_cpu_s') * 1_000 for each in alone):.1f}",
            f"{statistics.median(getattr(each, side).rate for each in together):.0f}",
            f"{statistics.median(getattr(each, f'{side}_cpu_s') * 1_000 for each in together):.1f}",
        )


if __name__ == "__main__":
    run_alone("submit", measure)
