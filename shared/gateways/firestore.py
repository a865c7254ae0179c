"""Firestore: read documents, commit several atomically with preconditions, query.

Never uses a transaction or `set`: an existing document is written only if it hasn't changed since it was read, a new
one only if it doesn't exist. Measured on one hot account, this is about a hundred times as fast as transactions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

from google.api_core import exceptions
from google.api_core.retry import AsyncRetry, if_exception_type
from google.cloud.firestore import AsyncClient
from google.cloud.firestore_v1.async_aggregation import AsyncAggregationQuery
from google.cloud.firestore_v1.async_query import AsyncQuery
from google.cloud.firestore_v1.base_document import DocumentSnapshot
from google.cloud.firestore_v1.base_query import FieldFilter
from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient
from google.cloud.firestore_v1.types import (
    BatchGetDocumentsRequest,
    BatchGetDocumentsResponse,
    CommitRequest,
    CommitResponse,
    RunQueryRequest,
    RunQueryResponse,
    StructuredQuery,
)

from shared.core import storable
from shared.core.documents import Account, Document, Job, Status, Transaction
from shared.core.errors import Conflict, NotStorable, Unavailable
from shared.gateways.firestore_codec import fill, read
from shared.gateways.firestore_documents import decode, readable
from shared.platform.caching import Cache
from shared.platform.ports import JobsQuery, Place
from shared.platform.settings import Settings

CALL_TIMEOUT_S = 5.0
PLACES_KEPT = 10_000
# The client's own retry takes up to a minute. Retrying a commit is safe because of its preconditions, and
# transitions.py recognizes a commit whose first response was lost.
_RETRY = AsyncRetry(
    predicate=if_exception_type(exceptions.ServiceUnavailable, exceptions.ResourceExhausted),
    initial=0.1,
    maximum=1.0,
    multiplier=1.5,
    timeout=CALL_TIMEOUT_S,
)
# The plain protobuf classes that the client's own classes wrap.
_GetRequest = BatchGetDocumentsRequest.pb()
_CommitRequest = CommitRequest.pb()
_QueryRequest = RunQueryRequest.pb()
D = TypeVar("D", bound=Document)
T = TypeVar("T")

_PRECONDITION = (exceptions.FailedPrecondition, exceptions.AlreadyExists, exceptions.Aborted, exceptions.NotFound)
_NO_ANSWER = (
    exceptions.ServerError,
    exceptions.TooManyRequests,
    exceptions.Cancelled,
    exceptions.RetryError,
)


@dataclass(frozen=True)
class _Place:
    """A job's position in its account's list, which never changes."""

    account: str
    created_at: datetime


class GoogleFirestore:
    """The database of one project."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places: Cache[str, _Place] = Cache(PLACES_KEPT)

    @cached_property
    def _client(self) -> AsyncClient:
        return AsyncClient(project=self._settings.google_cloud_project)

    @property
    def _api(self) -> FirestoreAsyncClient:
        """The underlying generated client, which takes plain messages; it has no public name."""
        api: FirestoreAsyncClient = self._client._firestore_api
        return api

    @property
    def _options(self) -> dict[str, Any]:
        """Options for every call of the generated client, with the same metadata that the official client sends."""
        return {"metadata": self._client._rpc_metadata, "timeout": CALL_TIMEOUT_S, "retry": _RETRY}

    def _path(self, kind: type[Document], id_: str) -> str:
        return f"{self._settings.database}/documents/{kind.collection}/{id_}"

    async def get(self, kind: type[D], id: str) -> D | None:  # noqa: A002
        path = self._path(kind, id)
        return _decode(kind, (await self._get((path,))).get(path))

    async def get_all(self, references: Sequence[tuple[type[Document], str]]) -> list[Document | None]:
        paths = [self._path(kind, id_) for kind, id_ in references]
        found = await self._get(paths)
        return [_decode(kind, found.get(path)) for (kind, _), path in zip(references, paths, strict=True)]

    async def get_many(self, kind: type[D], ids: Sequence[str]) -> dict[str, D]:
        if not ids:
            return {}
        found = await self._get([self._path(kind, id_) for id_ in dict.fromkeys(ids)])
        documents = (readable(kind, _id(one), read(one.fields), one.update_time) for one in found.values())
        return {document.id: document for document in documents if document is not None}

    async def _get(self, paths: Sequence[str]) -> dict[str, Any]:
        """Return the Document messages that exist, by path, in one round trip.

        Invalid document ids are skipped: Firestore would reject the whole request.
        """
        start = len(f"{self._settings.database}/documents/")
        possible = [path for path in paths if storable.id_problem(path[start:].partition("/")[2]) is None]
        if not possible:
            return {}
        asked = _GetRequest(database=self._settings.database, documents=possible)

        async def answers() -> dict[str, Any]:
            stream = await self._api.batch_get_documents(BatchGetDocumentsRequest.wrap(asked), **self._options)
            messages = [BatchGetDocumentsResponse.pb(answer) async for answer in stream]
            return {message.found.name: message.found for message in messages if message.HasField("found")}

        return await _answer(answers())

    async def commit(self, documents: Sequence[D], removed: Sequence[Document] = ()) -> list[D]:
        request = _CommitRequest(database=self._settings.database)
        for document in documents:
            self._write(request.writes.add(), document)
        for gone in removed:
            self._remove(request.writes.add(), gone)
        try:
            response = await _answer(self._api.commit(CommitRequest.wrap(request), **self._options))
        except _PRECONDITION as error:
            raise Conflict(str(error)) from error
        except exceptions.InvalidArgument as error:
            raise NotStorable("(document)", error.message) from error
        results = CommitResponse.pb(response).write_results
        return [
            document.changed(revision=result.update_time)
            for document, result in zip(documents, results[: len(documents)], strict=True)
        ]

    def _write(self, write: Any, document: Document) -> None:
        """Fill the Write message: a new document must not exist yet, a known one must not have changed."""
        fields = _encode(document)
        storable.check(f"{document.collection}/{document.id}", fields)
        write.update.name = self._path(type(document), document.id)
        fill(write.update.fields, fields)
        if document.revision is None:
            write.current_document.exists = False
            return
        write.current_document.update_time.CopyFrom(document.revision)
        # Fields that are in the mask but not in the message are removed.
        write.update_mask.field_paths.extend(fields.keys() | document.absent_when_none)

    def _remove(self, write: Any, document: Document) -> None:
        """Fill the Write message: delete the document if it hasn't changed since it was read."""
        write.delete = self._path(type(document), document.id)
        write.current_document.update_time.CopyFrom(document.revision)

    async def due(self, kind: type[D], before: datetime, after: Place | None, limit: int) -> list[D]:
        return await self._read(kind, self._past(kind, "due_at", before, after), limit)

    async def expired_jobs(self, before: datetime, after: Place | None, limit: int) -> list[Job]:
        return await self._read(Job, self._past(Job, "expires_at", before, after), limit)

    def _past(self, kind: type[Document], moment: str, before: datetime, after: Place | None) -> AsyncQuery:
        """Query documents whose field `moment` is before `before`, earliest first."""
        collection = self._client.collection(kind.collection)
        past = collection.where(filter=FieldFilter(moment, "<", before)).order_by(moment).order_by("__name__")
        if after is None:
            return past
        return past.start_after({moment: after.moment, "__name__": collection.document(after.id)})

    async def expired(self, kind: type[D], before: datetime, limit: int) -> list[D]:
        return await self._read(kind, self._past(kind, "expires_at", before, None), limit)

    async def ended_jobs(self, since: datetime, until: datetime, after: Job | None, limit: int) -> list[Job]:
        collection = self._client.collection(Job.collection)
        jobs = (
            collection.where(filter=FieldFilter("completed_at", ">=", since))
            .where(filter=FieldFilter("completed_at", "<", until))
            .order_by("completed_at")
            .order_by("__name__")
        )
        if after is not None:
            jobs = jobs.start_after({"completed_at": after.completed_at, "__name__": collection.document(after.id)})
        return await self._read(Job, jobs, limit)

    async def count_jobs(self, status: Status) -> int:
        jobs = self._client.collection(Job.collection).where(filter=FieldFilter("status", "==", str(status)))
        counted = AsyncAggregationQuery(jobs).count(alias="jobs")
        rows = await _answer(counted.get(timeout=CALL_TIMEOUT_S, retry=_RETRY))
        return int(rows[0][0].value)

    async def list_jobs(self, tenant: str, account: str, query: JobsQuery) -> list[Job]:
        jobs = (
            self._client.collection(Job.collection)
            .where(filter=FieldFilter("tenant", "==", tenant))
            .where(filter=FieldFilter("account", "==", account))
            .where(filter=FieldFilter("deleted_at", "==", None))
        )
        for path, value in (("status", query.status), ("request.model", query.model), ("project", query.project)):
            if value is not None:
                storable.check_queried(path, str(value))
                jobs = jobs.where(filter=FieldFilter(path, "==", str(value)))
        for operator, seconds in ((">=", query.created_after), ("<", query.created_before)):
            if seconds is not None:
                moment = datetime.fromtimestamp(seconds, UTC)
                jobs = jobs.where(filter=FieldFilter("created_at", operator, moment))
        direction = AsyncQuery.DESCENDING if query.order == "desc" else AsyncQuery.ASCENDING
        jobs = jobs.order_by("created_at", direction=direction).order_by("__name__", direction=direction)
        if query.after is not None:
            place = self._places.get(query.after, datetime.now(UTC)) or await self._place(query.after)
            if place is None or place.account != account:
                return []
            reference = self._client.collection(Job.collection).document(query.after)
            jobs = jobs.start_after({"created_at": place.created_at, "__name__": reference})
        found = await self._read(Job, jobs, query.limit + 1)
        if len(found) > query.limit:
            self._remember(found[query.limit - 1])
        return found

    async def _place(self, id_: str) -> _Place | None:
        job = await self.get(Job, id_)
        return None if job is None else _Place(job.account, job.created_at)

    def _remember(self, job: Job) -> None:
        """Cache the position of a page's last job: a request for the next page here needn't read it again."""
        self._places.put(job.id, _Place(job.account, job.created_at))

    async def changed_jobs(
        self, tenant: str, account: str, since: datetime, after: Job | None, limit: int
    ) -> list[Job]:
        collection = self._client.collection(Job.collection)
        jobs = (
            collection.where(filter=FieldFilter("tenant", "==", tenant))
            .where(filter=FieldFilter("account", "==", account))
            .where(filter=FieldFilter("updated_at", ">=", since))
            .order_by("updated_at")
            .order_by("__name__")
        )
        if after is not None:
            jobs = jobs.start_after({"updated_at": after.updated_at, "__name__": collection.document(after.id)})
        return await self._read(Job, jobs, limit)

    async def list_transactions(self, tenant: str, account: str, after: str | None, limit: int) -> list[Transaction]:
        entries = (
            self._client.collection(Transaction.collection)
            .where(filter=FieldFilter("tenant", "==", tenant))
            .where(filter=FieldFilter("account", "==", account))
            .order_by("sequence", direction=AsyncQuery.DESCENDING)
        )
        if after is not None:
            last = await self.get(Transaction, after)
            if last is None or last.account != account:
                return []
            entries = entries.start_after({"sequence": last.sequence})
        return await self._read(Transaction, entries, limit + 1)

    async def newest(self, kind: type[D], where: Mapping[str, Any], after: D | None, limit: int) -> list[D]:
        collection = self._client.collection(kind.collection)
        query = collection.order_by("created_at", direction=AsyncQuery.DESCENDING)
        query = query.order_by("__name__", direction=AsyncQuery.DESCENDING)
        for path, value in where.items():
            storable.check_queried(path, value)
            query = query.where(filter=FieldFilter(path, "==", value))
        if after is not None:
            created_at = after.model_dump(include={"created_at"})["created_at"]
            query = query.start_after({"created_at": created_at, "__name__": collection.document(after.id)})
        return await self._read(kind, query, limit)

    async def accounts(self, after: str | None, limit: int) -> list[Account]:
        collection = self._client.collection(Account.collection)
        accounts = collection.order_by("__name__")
        if after is not None:
            accounts = accounts.start_after({"__name__": collection.document(after)})
        return await self._read(Account, accounts, limit)

    async def ledger_totals(self, account: str) -> tuple[int, int]:
        entries = self._client.collection(Transaction.collection).where(filter=FieldFilter("account", "==", account))
        totals = AsyncAggregationQuery(entries).count(alias="entries").sum("amount", alias="total")
        rows = await _answer(totals.get(timeout=CALL_TIMEOUT_S, retry=_RETRY))
        values = {result.alias: int(result.value or 0) for result in rows[0]}
        return values["entries"], values["total"]

    async def job_of_operation(self, operation: str) -> Job | None:
        storable.check_queried("operation", operation)
        jobs = self._client.collection(Job.collection).where(filter=FieldFilter("operation", "==", operation))
        return next(iter(await self._read(Job, jobs, 1)), None)

    async def read_config(self, name: str) -> dict[str, Any]:
        snapshot = await _answer(
            self._client.collection("config").document(name).get(timeout=CALL_TIMEOUT_S, retry=_RETRY)
        )
        return snapshot.to_dict() or {}

    async def _read(self, kind: type[D], query: AsyncQuery, limit: int) -> list[D]:
        """Return up to `limit` documents; invalid ones are skipped and don't count."""
        found: list[D] = []
        while True:
            wanted = limit - len(found)
            messages = await self._query(query.limit(wanted))
            documents = (readable(kind, _id(one), read(one.fields), one.update_time) for one in messages)
            found += [document for document in documents if document is not None]
            if len(messages) < wanted or len(found) == limit:
                return found
            query = query.start_after(self._snapshot(kind, messages[-1]))

    def _snapshot(self, kind: type[Document], message: Any) -> DocumentSnapshot[Any]:
        """Wrap a Document message as the official client's snapshot, to use it as a query cursor."""
        reference = self._client.collection(kind.collection).document(_id(message))
        return DocumentSnapshot(reference, read(message.fields), True, None, None, None)

    async def _query(self, query: AsyncQuery) -> list[Any]:
        """Run the query and return its Document messages."""
        asked = _QueryRequest(
            parent=f"{self._settings.database}/documents", structured_query=StructuredQuery.pb(query._to_protobuf())
        )

        async def answers() -> list[Any]:
            stream = await self._api.run_query(RunQueryRequest.wrap(asked), **self._options)
            messages = [RunQueryResponse.pb(answer) async for answer in stream]
            return [message.document for message in messages if message.HasField("document")]

        return await _answer(answers())


def _encode(document: Document) -> dict[str, Any]:
    """Return the stored fields, without those that must not be indexed when they are None."""
    fields = document.model_dump(mode="python", exclude={"id"})
    for name in document.absent_when_none:
        if fields[name] is None:
            del fields[name]
    return fields


def _decode(kind: type[D], message: Any) -> D | None:
    if message is None:
        return None
    return decode(kind, _id(message), read(message.fields), message.update_time)


def _id(message: Any) -> str:
    return str(message.name.rpartition("/")[2])


async def _answer(call: Awaitable[T]) -> T:
    try:
        return await call
    except _PRECONDITION:
        raise
    except _NO_ANSWER as error:
        raise Unavailable(f"Firestore: {error}") from error
