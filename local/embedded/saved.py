"""What an embedded process keeps on disk: its database in one file, its objects in the storage server's layout.

The database's file is whole at any moment and at most SAVE_EVERY_S behind; objects are there as soon as they exist.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Final

from local.files import read_json, write_atomically
from local.memory.store import MemoryFirestore

SAVE_EVERY_S: Final = 2.0
STORE: Final = Path("embedded") / "store.json"
STORAGE: Final = "storage"


class SavedStore:
    """The database of an embedded process, and its file.

    Whoever reads the file of a running process sees all that happened before anything that it finds in it.
    """

    def __init__(self, directory: Path) -> None:
        self.store = MemoryFirestore()
        self._path = directory / STORE
        if (saved := read_json(self._path)) is not None:
            self.store.load(saved)
        self._saved = self.store.changes

    async def keep_saving(self) -> None:
        """Never returns; ends by cancellation."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            await self.save()

    async def save(self) -> None:
        """Bring the file up to date."""
        if self._saved != self.store.changes:
            changes, frozen = self.store.changes, self.store.copy()
            await asyncio.to_thread(lambda: write_atomically(self._path, json.dumps(frozen.snapshot()).encode()))
            self._saved = changes


def saved_object(directory: Path, bucket: str, name: str) -> bytes | None:
    """An object's bytes, or None when there is none; without opening the storage, which tidies up as it opens."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    stem = directory / STORAGE / "buckets" / bucket / digest[:2] / digest
    record = read_json(stem.with_suffix(".json"))
    return stem.with_suffix(f".{record['generation']}").read_bytes() if record is not None else None
