"""Idempotency keys that outlive the command: who runs a command again because it broke off pays once.

A command that costs something notes its key before it asks, and strikes the note when it has ended as it should. The
same command that finds a note left behind by one that died goes on with that key. A note that a living command holds is
left alone: two of the same command at once are two videos.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from rushes import files
from rushes.arguments import idempotency_key

# After that, the same command means another video.
KEPT_FOR_S: Final = 24 * 3600.0
KEY_BYTES: Final = 18


@dataclass
class Pending:
    """One command in progress. `resumed`: it continues an earlier, interrupted one with the same request.

    Without a `path` nothing is noted: the caller chose the key, and keeps it.
    """

    path: Path | None
    key: str
    resumed: bool = False
    quote: str | None = None

    def renew(self) -> None:
        """What the key stood for has ended: ask again, under a new one."""
        self.key, self.resumed, self.quote = _new_key(), False, None
        self._write()

    def agree(self, quote: str) -> None:
        """Save the price that the request agrees to: if it is sent again, it agrees to no other."""
        self.quote = quote
        self._write()

    def _write(self) -> None:
        if self.path is not None:
            files.write_private(self.path, {"key": self.key, "quote": self.quote, "noted_at": time.time()})

    def done(self) -> None:
        """Nothing is left to go on with."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


@contextmanager
def pending(request: Any, *, fresh: bool = False, key: str | None = None) -> Iterator[Pending]:
    """The note of a command: `request` is everything that makes two commands the same, as JSON.

    `fresh`: go on with nothing. `key`: one of the caller's own choice. The note stays unless `done` is called. Raises
    Failure for a key that can't be sent, and when the note can't be written.
    """
    if key is not None:
        yield Pending(None, idempotency_key(key))
        return
    directory = files.private_directory(files.home() / "pending")
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    _tidy(directory)
    left = [] if fresh else sorted(directory.glob(f"{digest}-*.json"))
    for path in (*left, directory / f"{digest}-{secrets.token_hex(8)}.json"):
        lock = FileLock(path.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        except OSError as error:
            raise files.not_written(path, error) from None
        try:
            yield _noted(path)
            return
        finally:
            lock.release()
            if not path.exists():
                path.with_suffix(".lock").unlink(missing_ok=True)


def _noted(path: Path) -> Pending:
    note = files.read_json(path)
    if isinstance(note, dict) and "key" in note:
        quote = note.get("quote")
        return Pending(path, str(note["key"]), resumed=True, quote=str(quote) if quote else None)
    made = Pending(path, "")
    made.renew()
    return made


def _new_key() -> str:
    return f"cli-{secrets.token_urlsafe(KEY_BYTES)}"


def _tidy(directory: Path) -> None:
    """Notes that are too old to be gone on with."""
    for path in directory.glob("*.json"):
        note = files.read_json(path)
        if not isinstance(note, dict) or time.time() - float(note.get("noted_at", 0.0)) > KEPT_FOR_S:
            path.unlink(missing_ok=True)
            path.with_suffix(".lock").unlink(missing_ok=True)
