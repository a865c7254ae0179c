"""Limits on open event streams: a stream occupies one of an instance's few places for minutes.

Each account has a limit, and each of its API keys a lower one, so that a program can't lock out its own user's pages.
An idle account, without credits and unfinished jobs, has hardly any events: it gets a few streams, and all idle
accounts together at most a quarter of an instance. So someone who signs up many times can't fill more than that.

Each process counts for itself, and Cloud Run distributes an account's requests over instances, so an account can have
up to the limit times the running instances (`max` in infra/functions.tf). What matters, one account's share of each
instance, is limited exactly.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import TracebackType

from shared.core.errors import ApiError
from shared.platform.identity import Caller

# Tabs, phones and programs of one user; an instance has 200 places.
PER_ACCOUNT = 16
PER_KEY = 8
PER_IDLE_ACCOUNT = 4
ALL_IDLE = 50
# A closed page releases its place within about a second.
RETRY_AFTER_S = 10


@dataclass(eq=False)
class Place:
    """The place of one open stream; releasing it twice is harmless."""

    places: Places
    caller: Caller
    released: bool = False

    def release(self) -> None:
        if not self.released:
            self.released = True
            self.places._count(self.caller, -1)

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Places:
    """The places of one process."""

    def __init__(self) -> None:
        self._accounts: Counter[str] = Counter()
        self._keys: Counter[str] = Counter()
        self._idle = 0

    @property
    def taken(self) -> int:
        return self._accounts.total()

    def check(self, caller: Caller) -> None:
        """Raises ApiError TOO_MANY_STREAMS if the caller can't open another stream."""
        if caller.key is not None and self._keys[caller.key] >= PER_KEY:
            raise _full("key", PER_KEY, f"An API key can have {PER_KEY} open event streams.")
        limit = PER_IDLE_ACCOUNT if caller.idle else PER_ACCOUNT
        if self._accounts[caller.account] >= limit:
            what = "An account without credits and unfinished videos" if caller.idle else "An account"
            raise _full("account", limit, f"{what} can have {limit} open event streams.")
        if caller.idle and self._idle >= ALL_IDLE:
            message = "Too many accounts without credits and unfinished videos have event streams open."
            raise _full("idle_accounts", ALL_IDLE, message)

    def take(self, caller: Caller) -> Place:
        """Take a place for one stream. Raises ApiError TOO_MANY_STREAMS."""
        self.check(caller)
        self._count(caller, 1)
        return Place(self, caller)

    def _count(self, caller: Caller, change: int) -> None:
        self._idle += change * caller.idle
        counted = [(self._accounts, caller.account)]
        if caller.key is not None:
            counted.append((self._keys, caller.key))
        for counter, name in counted:
            counter[name] += change
            if not counter[name]:
                del counter[name]


def _full(scope: str, limit: int, message: str) -> ApiError:
    return ApiError("TOO_MANY_STREAMS", message, {"limit": limit, "of": scope}, retry_after_s=RETRY_AFTER_S)
