"""How much of the function deliver one account, or one host, may hold at a time, and when an endpoint is left alone.

Kept in the process's memory: the function has one instance. A receiver that accepts and never answers holds its slot
for the 15 s of a try, so what bounds the harm is how many slots its account and its host can have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.core import schedule
from shared.platform.caching import Cache

# Of the 40 requests that the function takes at once (infra/functions.tf).
AT_ONCE_OF_ACCOUNT: Final = 4
AT_ONCE_OF_HOST: Final = 8
# From so many on, an account gets one place only, so that a few accounts cannot fill the rest.
CROWDED_FROM: Final = 24
# Whoever finds no place comes back when it is their turn: one of an account's messages after the other.
TURN: Final = timedelta(seconds=0.25)
SHORTEST_WAIT: Final = timedelta(seconds=1)
LONGEST_QUEUE: Final = timedelta(minutes=10)
# Consecutive failures after which an endpoint is paused; the pauses double until one of them is an hour.
PAUSED_AFTER: Final = 5
FIRST_PAUSE_S: Final = 60
LONGEST_PAUSE_S: Final = 3_600
# While one message finds out whether a paused endpoint answers again, the others wait as long as that can take.
PROBE: Final = timedelta(seconds=20)
REMEMBERED: Final = 10_000


@dataclass(frozen=True)
class Failures:
    """How many tries in a row have failed, and since when."""

    count: int
    since: datetime


class Receivers:
    """The places that are taken now, and the recent failures of each endpoint."""

    def __init__(self) -> None:
        self._of_account: Counter[str] = Counter()
        self._of_host: Counter[str] = Counter()
        self._turns: Cache[str, datetime] = Cache(REMEMBERED)
        self._failures: Cache[str, Failures] = Cache(REMEMBERED)
        self._probing: set[str] = set()

    @contextmanager
    def place(self, account: str, host: str) -> Iterator[bool]:
        """A place for one try, held until the block ends; False when the account or the host has enough."""
        crowded = self._of_account.total() >= CROWDED_FROM
        limit = 1 if crowded else AT_ONCE_OF_ACCOUNT
        if self._of_account[account] >= limit or self._of_host[host] >= AT_ONCE_OF_HOST:
            yield False
            return
        self._of_account[account] += 1
        self._of_host[host] += 1
        try:
            yield True
        finally:
            _release(self._of_account, account)
            _release(self._of_host, host)

    def turn(self, account: str, now: datetime) -> datetime:
        """When a message that found no place should come back: a quarter of a second after the account's one before."""
        earliest = now + SHORTEST_WAIT
        turn = max(earliest, (self._turns.get(account, now) or earliest) + TURN)
        if turn > now + LONGEST_QUEUE:
            turn = earliest
        self._turns.put(account, turn, until=turn)
        return turn

    @contextmanager
    def probe(self, endpoint: str) -> Iterator[bool]:
        """The right to find out whether a paused endpoint answers again; False while another message does that."""
        if endpoint in self._probing:
            yield False
            return
        self._probing.add(endpoint)
        try:
            yield True
        finally:
            self._probing.discard(endpoint)

    def failed(self, endpoint: str, now: datetime) -> Failures:
        """Count one more failed try in a row."""
        before = self._failures.get(endpoint, now)
        failures = Failures(before.count + 1, before.since) if before else Failures(1, now)
        self._failures.put(endpoint, failures)
        return failures

    def answered(self, endpoint: str) -> None:
        """The endpoint took a message: what failed before it does not count any more."""
        self._failures.drop(endpoint)


def pause(pauses: int) -> timedelta:
    """How long an endpoint is left alone the time after it was paused `pauses` times in a row."""
    return schedule.backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, pauses + 1)


def _release(counter: Counter[str], name: str) -> None:
    counter[name] -= 1
    if not counter[name]:
        del counter[name]
