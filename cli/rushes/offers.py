"""Offers that an assistant made to a user: what was proposed, so that only that is done, and once.

Some clients start a process for every call, so an offer is a small file: only the process that is asked to act on it
needs to find it. Each has a name of its own and is written in one step, so processes don't disturb each other.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rushes import files

KEPT_FOR_S: Final = 600.0
MAX_OFFERS: Final = 200
ID_BYTES: Final = 16
ID: Final = re.compile(r"offer-[A-Za-z0-9_-]{22}")


@dataclass(frozen=True)
class Offer:
    """`id` is also the Idempotency-Key: however often an accepted offer comes back, it is done once.

    `subject` is a digest of what was asked for, and by whom: the file has no prompt in it. `terms` are what the user
    agrees to: an estimate's quote, or the credits that come back.
    """

    id: str
    subject: str
    terms: Any
    made_at: float

    @property
    def expires_at(self) -> int:
        """In Unix seconds."""
        return int(self.made_at + KEPT_FOR_S)


class Offers:
    """The offers of the last ten minutes, of all processes with the same settings directory."""

    def __init__(self, directory: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._given = directory
        self._clock = clock

    def make(self, subject: Any, terms: Any) -> Offer:
        """An offer that is on no disk yet. `subject` is JSON."""
        return Offer(f"offer-{secrets.token_urlsafe(ID_BYTES)}", _digest(subject), terms, self._clock())

    def keep(self, offer: Offer) -> None:
        """Let a later call, of any process, find it. Raises Failure when it can't be written."""
        try:
            self._tidy()
        except OSError as error:
            raise files.not_written(self._directory, error) from None
        files.write_private(self._path(offer.id), asdict(offer))

    def get(self, offer_id: str | None, subject: Any) -> Offer | None:
        """The offer of that id, if it was made for that subject and has not expired."""
        if offer_id is None or not ID.fullmatch(offer_id):
            return None
        try:
            offer = Offer(**files.read_json(self._path(offer_id)))
            fresh = abs(self._clock() - offer.made_at) < KEPT_FOR_S
        except (OSError, TypeError):
            return None
        # On some systems the names of two files can't differ in case only.
        return offer if fresh and offer.id == offer_id and offer.subject == _digest(subject) else None

    @property
    def _directory(self) -> Path:
        return self._given or files.home() / "offers"

    def _path(self, offer_id: str) -> Path:
        return self._directory / f"{offer_id}.json"

    def _tidy(self) -> None:
        """Remove what has expired, half-written files of dead processes too, and the oldest of too many."""
        aged = sorted(((_written_at(path), path) for path in self._directory.glob("*")), reverse=True)
        for place, (written_at, path) in enumerate(aged, start=1):
            if place >= MAX_OFFERS or self._clock() - written_at >= KEPT_FOR_S:
                path.unlink(missing_ok=True)


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        # Another process has just removed it.
        return 0.0


def _digest(subject: Any) -> str:
    return hashlib.sha256(json.dumps(subject, sort_keys=True).encode()).hexdigest()
