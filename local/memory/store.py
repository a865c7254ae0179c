"""Firestore in memory: the same stored form, preconditions, queries and order.

Documents are held as Firestore would hold them, never as models, so what cannot be stored or read back fails here too.
Every method does its work without giving way: to the event loop each call is one indivisible effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from local.memory.values import NUMBER, Fields, Json, from_json, same_type, sort_key, stored, to_json
from shared.core import storable
from shared.core.documents import Account, Document, Job, Status, Transaction
from shared.core.errors import Conflict
from shared.gateways.firestore_documents import decode, readable
from shared.platform.ports import JobsQuery, Place, utc_now

D = TypeVar("D", bound=Document)

TICK = timedelta(microseconds=1)
_MISSING = object()


@dataclass(frozen=True)
class Snapshot:
    """One stored document. `fields` is never changed in place."""

    id: str
    fields: Fields
    update_time: datetime

    def value(self, path: str) -> Any:
        """The field at a dotted path, or _MISSING."""
        value: Any = self.fields
        for name in path.split("."):
            if not isinstance(value, Mapping) or name not in value:
                return _MISSING
            value = value[name]
        return value


class MemoryFirestore:
    """One database. `clock` gives the update times, which serve as revisions and always grow."""

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._collections: dict[str, dict[str, Snapshot]] = {}
        self._last_update = datetime.min.replace(tzinfo=UTC)
        # Grows with every change, so that a saver knows whether it must save.
        self.changes = 0
        # Called with every change: the collection, the document before and after. They must not raise.
        self.listeners: list[Callable[[str, Snapshot | None, Snapshot | None], None]] = []

    # What handlers may do

    async def get(self, kind: type[D], id: str) -> D | None:  # noqa: A002 - Firestore's own word
        return _decode(kind, self._find(kind.collection, id))

    async def get_all(self, references: Sequence[tuple[type[Document], str]]) -> list[Document | None]:
        return [_decode(kind, self._find(kind.collection, id_)) for kind, id_ in references]

    async def get_many(self, kind: type[D], ids: Sequence[str]) -> dict[str, D]:
        found = [self._find(kind.collection, id_) for id_ in dict.fromkeys(ids)]
        documents = _decoded(kind, [snapshot for snapshot in found if snapshot is not None])
        return {document.id: document for document in documents}

    async def commit(self, documents: Sequence[D], removed: Sequence[Document] = ()) -> list[D]:
        encoded = [_storable(document) for document in documents]
        self._check([*documents, *removed])
        now = self._next_update_time()
        changes = [
            (document.collection, self._changed(document, fields, now))
            for document, fields in zip(documents, encoded, strict=True)
        ]
        before = [self._find(collection, snapshot.id) for collection, snapshot in changes]
        for collection, snapshot in changes:
            self._collections.setdefault(collection, {})[snapshot.id] = snapshot
        self.changes += 1
        for (collection, snapshot), earlier in zip(changes, before, strict=True):
            self._tell(collection, earlier, snapshot)
        for document in removed:
            self.remove(document.collection, document.id)
        return [
            document.changed(revision=snapshot.update_time)
            for document, (_, snapshot) in zip(documents, changes, strict=True)
        ]

    async def due(self, kind: type[D], before: datetime, after: Place | None, limit: int) -> list[D]:
        return _decoded(kind, self._past(kind, "due_at", before, after), limit)

    async def expired_jobs(self, before: datetime, after: Place | None, limit: int) -> list[Job]:
        return _decoded(Job, self._past(Job, "expires_at", before, after), limit)

    async def expired(self, kind: type[D], before: datetime, limit: int) -> list[D]:
        return _decoded(kind, self._past(kind, "expires_at", before, None), limit)

    def _past(self, kind: type[Document], moment: str, before: datetime, after: Place | None) -> list[Snapshot]:
        past = [snapshot for snapshot in self._all(kind) if _is_less(snapshot.value(moment), before)]
        past.sort(key=lambda snapshot: _order(snapshot, moment))
        if after is None:
            return past
        last = sort_key(stored(after.moment)), after.id.encode()
        return [snapshot for snapshot in past if _order(snapshot, moment) > last]

    async def ended_jobs(self, since: datetime, until: datetime, after: Job | None, limit: int) -> list[Job]:
        ended = [
            job
            for job in self._all(Job)
            if _is_at_least(job.value("completed_at"), since) and _is_less(job.value("completed_at"), until)
        ]
        ended.sort(key=lambda snapshot: _order(snapshot, "completed_at"))
        if after is not None:
            last = sort_key(stored(after.completed_at)), after.id.encode()
            ended = [job for job in ended if _order(job, "completed_at") > last]
        return _decoded(Job, ended, limit)

    async def count_jobs(self, status: Status) -> int:
        return len(self._matching(Job, {"status": str(status)}))

    async def list_jobs(self, tenant: str, account: str, query: JobsQuery) -> list[Job]:
        wanted = {
            "tenant": tenant,
            "account": account,
            "deleted_at": None,
            **_given({"status": query.status, "request.model": query.model, "project": query.project}),
        }
        jobs = [snapshot for snapshot in self._matching(Job, wanted) if _created_within(snapshot, query)]
        jobs.sort(key=lambda snapshot: _order(snapshot, "created_at"))
        cursor = self._find(Job.collection, query.after) if query.after is not None else None
        if query.after is not None and (cursor is None or cursor.value("account") != account):
            return []
        if query.order == "desc":
            jobs.reverse()
        return _decoded(Job, _after(jobs, cursor, query.order), query.limit + 1)

    async def changed_jobs(
        self, tenant: str, account: str, since: datetime, after: Job | None, limit: int
    ) -> list[Job]:
        jobs = self._matching(Job, {"tenant": tenant, "account": account})
        jobs = [job for job in jobs if _is_at_least(job.value("updated_at"), since)]
        jobs.sort(key=lambda snapshot: _order(snapshot, "updated_at"))
        if after is not None:
            last = sort_key(stored(after.updated_at)), after.id.encode()
            jobs = [job for job in jobs if _order(job, "updated_at") > last]
        return _decoded(Job, jobs, limit)

    async def list_transactions(self, tenant: str, account: str, after: str | None, limit: int) -> list[Transaction]:
        wanted = {"tenant": tenant, "account": account}
        # What lacks the field that is ordered by is not in the result.
        entries = [entry for entry in self._matching(Transaction, wanted) if entry.value("sequence") is not _MISSING]
        entries.sort(key=lambda snapshot: _order(snapshot, "sequence"), reverse=True)
        if after is not None:
            cursor = self._find(Transaction.collection, after)
            if cursor is None or cursor.value("account") != account:
                return []
            last = sort_key(cursor.value("sequence"))
            entries = [entry for entry in entries if sort_key(entry.value("sequence")) < last]
        return _decoded(Transaction, entries, limit + 1)

    async def newest(self, kind: type[D], where: Mapping[str, Any], after: D | None, limit: int) -> list[D]:
        found = [one for one in self._matching(kind, where) if one.value("created_at") is not _MISSING]
        found.sort(key=lambda snapshot: _order(snapshot, "created_at"), reverse=True)
        cursor = self._find(kind.collection, after.id) if after is not None else None
        return _decoded(kind, _after(found, cursor, "desc"), limit)

    async def accounts(self, after: str | None, limit: int) -> list[Account]:
        found = sorted(self._all(Account), key=lambda snapshot: snapshot.id.encode())
        if after is not None:
            found = [snapshot for snapshot in found if snapshot.id.encode() > after.encode()]
        return _decoded(Account, found, limit)

    async def ledger_totals(self, account: str) -> tuple[int, int]:
        amounts = [entry.value("amount") for entry in self._matching(Transaction, {"account": account})]
        # An aggregation is over the documents that have its field; of those it counts all and adds up the numbers.
        there = [amount for amount in amounts if amount is not _MISSING]
        return len(there), int(sum(amount for amount in there if sort_key(amount)[0] == NUMBER))

    async def job_of_operation(self, operation: str) -> Job | None:
        found = sorted(self._matching(Job, {"operation": operation}), key=lambda snapshot: snapshot.id.encode())
        return _decode(Job, found[0] if found else None)

    async def read_config(self, name: str) -> dict[str, Any]:
        return self.fields("config", name)

    # What an administrator may do in the console

    def edit(self, collection: str, id: str, fields: Fields) -> None:  # noqa: A002
        """Set these fields of a document, made if it is not there, as an edit in the console does."""
        current = self._find(collection, id)
        self._put(collection, id, {**(current.fields if current is not None else {}), **stored(fields)})

    def edit_config(self, name: str, fields: Fields) -> None:
        """Replace the document config/NAME."""
        self._put("config", name, stored(fields))

    def drop_field(self, collection: str, id: str, name: str) -> None:  # noqa: A002
        """Remove one field of a document that is there."""
        current = self._collections[collection][id]
        self._put(collection, id, {key: value for key, value in current.fields.items() if key != name})

    def remove(self, collection: str, id: str) -> None:  # noqa: A002
        """Delete a document, if it is there."""
        removed = self._collections.get(collection, {}).pop(id, None)
        self.changes += 1
        self._tell(collection, removed, None)

    # What tests and the embedded form look at

    def fields(self, collection: str, id: str) -> dict[str, Any]:  # noqa: A002
        """A document as it is stored; empty when there is none."""
        snapshot = self._find(collection, id)
        # A copy: what a caller does with it must not change the database.
        return dict(stored(snapshot.fields)) if snapshot is not None else {}

    def documents(self, kind: type[D]) -> list[D]:
        """All documents of a kind, by id."""
        return _decoded(kind, sorted(self._all(kind), key=lambda snapshot: snapshot.id.encode()))

    def copy(self) -> MemoryFirestore:
        """Another database with the same documents, which are shared because none is ever changed in place."""
        copied = MemoryFirestore(self._clock)
        copied._collections = {name: dict(documents) for name, documents in self._collections.items()}
        copied._last_update = self._last_update
        return copied

    def snapshot(self) -> Json:
        """Everything as a JSON value: {collection: {id: {"fields": {...}, "updateTime": ...}}}."""
        return {
            collection: {
                id_: {
                    "fields": {name: to_json(value) for name, value in snapshot.fields.items()},
                    "updateTime": snapshot.update_time.isoformat(),
                }
                for id_, snapshot in documents.items()
            }
            for collection, documents in self._collections.items()
        }

    def load(self, saved: Json) -> None:
        """Replace everything by what snapshot() gave."""
        self._collections = {
            collection: {
                id_: Snapshot(
                    id_,
                    {name: from_json(value) for name, value in document["fields"].items()},
                    datetime.fromisoformat(document["updateTime"]),
                )
                for id_, document in documents.items()
            }
            for collection, documents in saved.items()
        }
        times = (snapshot.update_time for documents in self._collections.values() for snapshot in documents.values())
        self._last_update = max([self._last_update, *times])

    def _find(self, collection: str, id_: str) -> Snapshot | None:
        return self._collections.get(collection, {}).get(id_)

    def _all(self, kind: type[Document]) -> Iterator[Snapshot]:
        return iter(self._collections.get(kind.collection, {}).values())

    def _matching(self, kind: type[Document], wanted: Mapping[str, Any]) -> list[Snapshot]:
        for path, value in wanted.items():
            storable.check_queried(path, value)
        return [
            snapshot
            for snapshot in self._all(kind)
            if all(_is_equal(snapshot.value(path), value) for path, value in wanted.items())
        ]

    def _check(self, documents: Sequence[Document]) -> None:
        for document in documents:
            name = f"{document.collection}/{document.id}"
            current = self._find(document.collection, document.id)
            if document.revision is None and current is not None:
                raise Conflict(f"{name} exists already")
            if document.revision is not None and (current is None or current.update_time != document.revision):
                raise Conflict(f"{name} is not what was read")

    def _changed(self, document: Document, fields: Fields, now: datetime) -> Snapshot:
        current = self._find(document.collection, document.id)
        if current is None:
            return Snapshot(document.id, fields, now)
        kept = {name: value for name, value in current.fields.items() if name not in document.absent_when_none}
        fields = {**kept, **fields}
        # A write that changes nothing keeps its update time, so that two such writers both pass.
        return current if _same(fields, current.fields) else Snapshot(document.id, fields, now)

    def _put(self, collection: str, id_: str, fields: Fields) -> None:
        storable.check(f"{collection}/{id_}", fields)
        current = self._find(collection, id_)
        if current is None or not _same(fields, current.fields):
            documents = self._collections.setdefault(collection, {})
            documents[id_] = Snapshot(id_, fields, self._next_update_time())
            self.changes += 1
            self._tell(collection, current, documents[id_])

    def _tell(self, collection: str, before: Snapshot | None, after: Snapshot | None) -> None:
        for listener in self.listeners:
            listener(collection, before, after)

    def _next_update_time(self) -> datetime:
        self._last_update = max(stored(self._clock()), self._last_update + TICK)
        return self._last_update


def _storable(document: Document) -> Json:
    """The stored form; raises NotStorable, as Firestore rejects it."""
    fields = _encode(document)
    storable.check(f"{document.collection}/{document.id}", fields)
    return fields


def _encode(document: Document) -> Json:
    fields: Json = stored(document.model_dump(mode="python", exclude={"id"}))
    return {name: value for name, value in fields.items() if value is not None or name not in document.absent_when_none}


def _decode(kind: type[D], snapshot: Snapshot | None) -> D | None:
    if snapshot is None:
        return None
    return decode(kind, snapshot.id, snapshot.fields, snapshot.update_time)


def _decoded(kind: type[D], snapshots: Sequence[Snapshot], limit: int | None = None) -> list[D]:
    """As many documents as there are, up to the limit; spoiled ones are passed over, not counted."""
    found = (readable(kind, one.id, one.fields, one.update_time) for one in snapshots)
    return list(islice((document for document in found if document is not None), limit))


def _same(one: Fields, other: Fields) -> bool:
    # Python holds 1, 1.0 and True to be equal; Firestore does not.
    return one == other and to_json(one) == to_json(other)


def _is_equal(value: Any, wanted: Any) -> bool:
    return value is not _MISSING and same_type(value, stored(wanted)) and bool(value == wanted)


def _is_less(value: Any, limit: datetime) -> bool:
    return value is not _MISSING and same_type(value, limit) and bool(value < limit)


def _is_at_least(value: Any, limit: datetime) -> bool:
    return value is not _MISSING and same_type(value, limit) and bool(value >= limit)


def _created_within(snapshot: Snapshot, query: JobsQuery) -> bool:
    created_at = snapshot.value("created_at")
    if created_at is _MISSING:
        return False
    if query.created_after is None and query.created_before is None:
        return True
    if not isinstance(created_at, datetime):
        return False
    after, before = (
        datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
        for seconds in (query.created_after, query.created_before)
    )
    return (after is None or created_at >= after) and (before is None or created_at < before)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {path: str(value) for path, value in values.items() if value is not None}


def _order(snapshot: Snapshot, path: str) -> tuple[tuple[int, Any], bytes]:
    return sort_key(snapshot.value(path)), snapshot.id.encode()


def _after(jobs: list[Snapshot], cursor: Snapshot | None, order: str) -> list[Snapshot]:
    if cursor is None:
        return jobs
    last = _order(cursor, "created_at")
    if order == "desc":
        return [job for job in jobs if _order(job, "created_at") < last]
    return [job for job in jobs if _order(job, "created_at") > last]
