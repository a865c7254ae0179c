"""Resumable upload sessions. A session and the bytes it has survive a restart of the server."""

import asyncio
import dataclasses
import json
import time
import uuid
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

from local.storage import errors
from local.storage.objects import Conditions, StoredObject
from local.storage.writer import Writer

# Cloud Storage keeps whole multiples of this of a chunk that breaks off.
QUANTUM_BYTES: Final = 256 * 1024
LIFETIME_S: Final = 7 * 24 * 3600
ENDED_KEPT: Final = 1000


@dataclasses.dataclass
class Session:
    """One upload under way.

    `stated` holds the checksums the client gave at its start, `total` the size in bytes once the client has said it.
    """

    id: str
    bucket: str
    name: str
    stated: dict[str, str]
    fields: dict[str, Any]
    conditions: Conditions
    total: int | None
    writer: Writer
    lock: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)


class Sessions:
    """All sessions, each a JSON file and a part file in `directory`; whatever else is in there is removed at start."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: dict[str, Session] = {}
        # What has ended, so that a repeated last request is answered alike: the object, or None when canceled.
        self._ended: OrderedDict[str, StoredObject | None] = OrderedDict()
        self._load()

    def start(
        self,
        bucket: str,
        name: str,
        stated: dict[str, str],
        fields: dict[str, Any],
        conditions: Conditions,
        total: int | None,
    ) -> Session:
        """Opens a session for an object-to-be."""
        identity = uuid.uuid4().hex
        document = {
            "bucket": bucket,
            "name": name,
            "stated": stated,
            "fields": fields,
            "conditions": dataclasses.asdict(conditions),
            "total": total,
        }
        self._path(identity, "json").write_text(json.dumps(document), "utf-8")
        writer = Writer(self._path(identity, "part"))
        session = Session(identity, bucket, name, stated, fields, conditions, total, writer)
        self._open[identity] = session
        return session

    def find(self, identity: str) -> Session | StoredObject:
        """The open session, or the object it has become. Raises 404 for an unknown one, 499 for a canceled one."""
        if identity in self._open:
            return self._open[identity]
        if identity not in self._ended:
            raise errors.StorageError(404, "notFound", "NoSuchUpload", "Upload session not found.")
        stored = self._ended[identity]
        if stored is None:
            raise errors.StorageError(499, "canceled", "RequestCanceled", "Upload was canceled.")
        return stored

    def finish(self, session: Session, stored: StoredObject) -> None:
        """Ends a session whose object is committed."""
        self._end(session, stored)

    def cancel(self, session: Session) -> None:
        """Ends a session and drops its bytes."""
        session.writer.discard()
        self._end(session, None)

    def _end(self, session: Session, stored: StoredObject | None) -> None:
        if self._open.pop(session.id, None) is None:
            return
        self._path(session.id, "json").unlink(missing_ok=True)
        self._ended[session.id] = stored
        while len(self._ended) > ENDED_KEPT:
            self._ended.popitem(last=False)

    def _path(self, identity: str, suffix: str) -> Path:
        return self._directory / f"{identity}.{suffix}"

    def _load(self) -> None:
        kept: set[Path] = set()
        for path in self._directory.glob("*.json"):
            part = path.with_suffix(".part")
            if not part.exists() or time.time() - path.stat().st_mtime > LIFETIME_S:
                continue
            try:
                document = json.loads(path.read_text("utf-8"))
            except ValueError:
                # Killed while the session was being opened: no client knows of it.
                continue
            size = part.stat().st_size // QUANTUM_BYTES * QUANTUM_BYTES
            document["conditions"] = Conditions(**document["conditions"])
            self._open[path.stem] = Session(path.stem, writer=Writer.resume(part, size), **document)
            kept |= {path, part}
        for leftover in set(self._directory.iterdir()) - kept:
            leftover.unlink()
