"""Limits how many concurrent attempts an account or a host may have, and counts failures to pause endpoints.

Kept in memory, because the deliver function has one instance. A receiver that accepts connections and never responds
holds its slot for 15 s per attempt, so the limits on slots per account and host bound the damage.
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

# Out of the 40 concurrent requests of the function (infra/functions.tf).
AT_ONCE_OF_ACCOUNT: Final = 4
AT_ONCE_OF_HOST: Final = 8
# From this many taken slots on, each account gets one, so that a few accounts can't take the rest.
CROWDED_FROM: Final = 24
# Messages without a free slot come back one at a time per account, this far apart.
TURN: Final = timedelta(seconds=0.25)
SHORTEST_WAIT: Final = timedelta(seconds=1)
LONGEST_QUEUE: Final = timedelta(minutes=10)
# Consecutive failures after which an endpoint is paused; the pauses double until one of them is an hour.
PAUSED_AFTER: Final = 5
FIRST_PAUSE_S: Final = 60
LONGEST_PAUSE_S: Final = 3_600
# How long other messages wait while one probes a paused endpoint: as long as the probe can take.
PROBE: Final = timedelta(seconds=20)
REMEMBERED: Final = 10_000


@dataclass(frozen=True)
class Failures:
    """How many consecutive attempts failed, and since when."""

    count: int
    since: datetime


class Receivers:
    """The slots in use, and the recent failures of each endpoint."""

    def __init__(self) -> None:
        self._of_account: Counter[str] = Counter()
        self._of_host: Counter[str] = Counter()
        self._turns: Cache[str, datetime] = Cache(REMEMBERED)
        self._failures: Cache[str, Failures] = Cache(REMEMBERED)
        self._probing: set[str] = set()

    @contextmanager
    def place(self, account: str, host: str) -> Iterator[bool]:
        """Take a slot for one attempt until the block ends; False if the account or the host has none left."""
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
        """When a message without a slot should come back: 0.25 s after the account's previous one."""
        earliest = now + SHORTEST_WAIT
        turn = max(earliest, (self._turns.get(account, now) or earliest) + TURN)
        if turn > now + LONGEST_QUEUE:
            turn = earliest
        self._turns.put(account, turn, until=turn)
        return turn

    @contextmanager
    def probe(self, endpoint: str) -> Iterator[bool]:
        """Take the right to probe a paused endpoint until the block ends; False while another message has it."""
        if endpoint in self._probing:
            yield False
            return
        self._probing.add(endpoint)
        try:
            yield True
        finally:
            self._probing.discard(endpoint)

    def failed(self, endpoint: str, now: datetime) -> Failures:
        """Count another consecutive failure."""
        before = self._failures.get(endpoint, now)
        failures = Failures(before.count + 1, before.since) if before else Failures(1, now)
        self._failures.put(endpoint, failures)
        return failures

    def answered(self, endpoint: str) -> None:
        """Reset the endpoint's failures after it accepted a message."""
        self._failures.drop(endpoint)


def pause(pauses: int) -> timedelta:
    """How long the next pause is for an endpoint that was paused `pauses` times in a row."""
    return schedule.backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, pauses + 1)


def _release(counter: Counter[str], name: str) -> None:
    counter[name] -= 1
    if not counter[name]:
        del counter[name]
