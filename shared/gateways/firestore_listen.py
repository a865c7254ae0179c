"""Firestore's Listen: every commit to watched jobs, over one stream for the whole process.

Each watched job or account is a target of that stream, shared by its subscriptions. (The library's on_snapshot would
need two threads and a stream for each.) If the stream breaks, it is reopened with the targets' resume tokens, so that
every subscription gets the latest state. Changes are delivered once Firestore reports a consistent snapshot, so nobody
sees a later change before an earlier one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from google.api_core import exceptions
from google.cloud.firestore import AsyncClient
from google.cloud.firestore_v1.types import (
    DocumentChange,
    DocumentDelete,
    DocumentRemove,
    ExistenceFilter,
    ListenRequest,
    ListenResponse,
    StructuredQuery,
    Target,
    TargetChange,
    Value,
)

from shared.core.documents import Job
from shared.gateways.firestore_codec import read
from shared.gateways.firestore_documents import readable
from shared.platform import log
from shared.platform.ports import CHANGES_SETTLE_IN, utc_now
from shared.platform.settings import Settings
from shared.platform.subscription import Subscription

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 10.0
# Per target. Changes settle within seconds, so after a minute most known documents were delivered long ago.
MAX_KNOWN = 1_000
NARROWED_EVERY = timedelta(minutes=1)


class _Unreadable(Exception):  # noqa: N818
    """gRPC returns None for a message it can't parse; the emulator corrupts messages that two of its threads send at
    once."""


# After these errors the resume tokens may be invalid.
_TOKENS_REFUSED = (exceptions.ClientError, exceptions.DataLoss, _Unreadable)
_TOKENS_KEPT = (exceptions.Cancelled, exceptions.TooManyRequests, exceptions.Aborted, exceptions.Unauthenticated)
_Change = TargetChange.TargetChangeType


@dataclass(eq=False)
class _Target:
    """One watched job or account, with its subscriptions.

    `known`: update times of the documents in the target's result. `before`: those from before the last reset, which
    the result may or may not still contain.
    """

    key: tuple[str, ...]
    make_spec: Callable[[], dict[str, Any]]
    narrowed_at: datetime
    spec: dict[str, Any] = field(init=False)
    number: int = 0
    watches: set[Subscription] = field(default_factory=set)
    token: bytes = b""
    current: bool = False
    known: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    changed: dict[str, Job | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.spec = self.make_spec()

    def narrow(self, now: datetime) -> None:
        """Restart with a query for recent changes only: forget older documents without reporting them as removed."""
        self.spec, self.narrowed_at = self.make_spec(), now
        self.known, self.before = {}, {}
        self.token = b""
        self.current = False

    def reset(self) -> None:
        self.before |= self.known
        self.known = {}
        self.token = b""
        self.current = False

    def has(self, id_: str, update_time: Any) -> bool:
        """Whether this version of the document was already delivered; marks it as delivered."""
        delivered: bool = (self.known.get(id_) or self.before.get(id_)) == update_time
        self.known[id_] = update_time
        self.before.pop(id_, None)
        return delivered

    def remove(self, id_: str) -> None:
        self.known.pop(id_, None)
        self.before.pop(id_, None)
        self.changed[id_] = None

    def deliver(self) -> None:
        """Deliver the collected changes to all subscriptions; the snapshot is consistent."""
        if self.current:
            for id_ in list(self.before):
                self.remove(id_)
        changed, self.changed = self.changed, {}
        for watch in self.watches:
            for id_, job in changed.items():
                watch.offer(id_, job)


class FirestoreChangeFeed:
    """Subscriptions to changes of one project's jobs. Use it from one event loop."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = utc_now) -> None:
        self._settings = settings
        self._clock = clock
        self._targets: dict[tuple[str, ...], _Target] = {}
        self._numbers: dict[int, _Target] = {}
        self._last_number = 0
        self._outbox: asyncio.Queue[ListenRequest | None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._wait_s = FIRST_WAIT_S

    @cached_property
    def _client(self) -> AsyncClient:
        return AsyncClient(project=self._settings.google_cloud_project)

    def watch_job(self, job: str) -> AbstractContextManager[Subscription]:
        name = f"{self._settings.database}/documents/{Job.collection}/{job}"
        return self._watch(("job", job), lambda: {"documents": Target.DocumentsTarget(documents=[name])})

    def watch_account(self, tenant: str, account: str) -> AbstractContextManager[Subscription]:
        return self._watch(("account", tenant, account), lambda: {"query": self._changes(tenant, account)})

    def _changes(self, tenant: str, account: str) -> Target.QueryTarget:
        since = self._clock() - CHANGES_SETTLE_IN
        return Target.QueryTarget(
            parent=f"{self._settings.database}/documents", structured_query=_changes_query(tenant, account, since)
        )

    async def close(self) -> None:
        """Close the stream. Only tests need it; a process keeps its stream open."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if "_client" in self.__dict__:
            await self._client._firestore_api.transport.close()

    @contextmanager
    def _watch(self, key: tuple[str, ...], make_spec: Callable[[], dict[str, Any]]) -> Iterator[Subscription]:
        watch = Subscription()
        target = self._targets.get(key)
        if target is None:
            target = self._targets[key] = _Target(key, make_spec, self._clock())
            self._add(target)
        target.watches.add(watch)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        try:
            yield watch
        finally:
            target.watches.discard(watch)
            if not target.watches and self._targets.get(key) is target:
                self._release(target)

    def _release(self, target: _Target) -> None:
        del self._targets[target.key]
        self._remove(target)
        if not self._targets and self._running is not None:
            self._running.cancel()
            self._running = None

    def _add(self, target: _Target) -> None:
        """Add the target under a new number, so that late messages for an earlier one are ignored."""
        self._last_number += 1
        target.number = self._last_number
        self._numbers[target.number] = target
        self._send_target(target)

    def _remove(self, target: _Target) -> None:
        del self._numbers[target.number]
        self._send(ListenRequest(database=self._settings.database, remove_target=target.number))

    def _send_target(self, target: _Target) -> None:
        spec = Target(target_id=target.number, resume_token=target.token or None, **target.spec)
        self._send(ListenRequest(database=self._settings.database, add_target=spec))

    def _send(self, request: ListenRequest) -> None:
        # Nothing is lost if there is no stream: a new one starts with all targets.
        if self._outbox is not None:
            self._outbox.put_nowait(request)

    # --- the stream ---

    async def _run(self) -> None:
        """Keep a stream open until canceled."""
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - logged; whatever broke the stream, subscribers need a new one
                log.warning("listen_broke", error=f"{type(error).__name__}: {error}"[:500], targets=len(self._targets))
                if isinstance(error, _TOKENS_REFUSED) and not isinstance(error, _TOKENS_KEPT):
                    for target in self._targets.values():
                        target.reset()
            await asyncio.sleep(random.uniform(0.5, 1.0) * self._wait_s)  # noqa: S311 - jitter, not a secret
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)

    async def _listen(self) -> None:
        outbox: asyncio.Queue[ListenRequest | None] = asyncio.Queue()
        self._outbox = outbox
        for target in self._targets.values():
            target.current = False
            if not target.token:
                target.reset()
            self._send_target(target)
        call = await self._client._firestore_api.listen(
            requests=_each(outbox), retry=None, timeout=None, metadata=self._client._rpc_metadata
        )
        try:
            async for response in call:
                if response is None:
                    raise _Unreadable("a message of Listen could not be read")
                self._handle(response)
        finally:
            if self._outbox is outbox:
                self._outbox = None
            call.cancel()
            # If the call ended by itself, its request iterator still waits for another request.
            outbox.put_nowait(None)

    def _handle(self, response: ListenResponse) -> None:
        if "target_change" in response:
            self._target_changed(response.target_change)
        elif "document_change" in response:
            self._document_changed(response.document_change)
        elif "document_delete" in response:
            self._document_lost(response.document_delete)
        elif "document_remove" in response:
            self._document_lost(response.document_remove)
        elif "filter" in response:
            self._count(response.filter)

    def _numbered(self, numbers: Iterable[int]) -> list[_Target]:
        return [self._numbers[number] for number in numbers if number in self._numbers]

    def _target_changed(self, change: TargetChange) -> None:
        targets = self._numbered(change.target_ids) if change.target_ids else list(self._targets.values())
        kind = change.target_change_type
        if kind == _Change.REMOVE:
            self._rejected(targets, change)
            return
        for target in targets:
            if kind == _Change.RESET:
                target.reset()
            elif kind == _Change.CURRENT:
                target.current = True
            # A token covers everything sent before it, and a target has received that only once it is current.
            if change.resume_token and target.current:
                target.token = change.resume_token
        if kind == _Change.NO_CHANGE and not change.target_ids and "read_time" in change:
            self._wait_s = FIRST_WAIT_S
            for target in targets:
                target.deliver()
                self._bound(target)

    def _bound(self, target: _Target) -> None:
        """Narrow a target that has grown too large: the result of an account that is always watched never shrinks."""
        now = self._clock()
        if len(target.known) > MAX_KNOWN and now - target.narrowed_at > NARROWED_EVERY:
            self._remove(target)
            target.narrow(now)
            self._add(target)

    def _rejected(self, targets: list[_Target], change: TargetChange) -> None:
        """End the subscriptions of targets that Firestore rejected, for example because an index is missing."""
        for target in targets:
            log.error("listen_target_refused", target=target.key, code=change.cause.code, error=change.cause.message)
            del self._targets[target.key], self._numbers[target.number]
            for watch in target.watches:
                watch.end()

    def _document_changed(self, change: DocumentChange) -> None:
        id_ = _id(change.document.name)
        for target in self._numbered(change.removed_target_ids):
            target.remove(id_)
        update_time = change.document.update_time
        targets = [one for one in self._numbered(change.target_ids) if not one.has(id_, update_time)]
        if not targets:
            return
        document = DocumentChange.pb(change).document
        job = readable(Job, id_, read(document.fields), document.update_time)
        if job is not None:
            for target in targets:
                target.changed[id_] = job

    def _document_lost(self, change: DocumentDelete | DocumentRemove) -> None:
        for target in self._numbered(change.removed_target_ids):
            target.remove(_id(change.document))

    def _count(self, count: ExistenceFilter) -> None:
        """Compare Firestore's document count with ours; if they differ, request the target again."""
        for target in self._numbered([count.target_id]):
            if count.count != len(target.known):
                self._remove(target)
                target.reset()
                self._add(target)


async def _each(outbox: asyncio.Queue[ListenRequest | None]) -> AsyncIterator[ListenRequest]:
    while (request := await outbox.get()) is not None:
        yield request


def _id(name: str) -> str:
    return name.rpartition("/")[2]


def _changes_query(tenant: str, account: str, since: datetime) -> StructuredQuery:
    """Query the account's jobs that changed since `since`; a job that changes again stays in the result."""
    q = StructuredQuery

    def where(path: str, operator: str, value: Value) -> StructuredQuery.Filter:
        field_filter = q.FieldFilter(field=q.FieldReference(field_path=path), op=operator, value=value)
        return q.Filter(field_filter=field_filter)

    filters = [
        where("tenant", "EQUAL", Value(string_value=tenant)),
        where("account", "EQUAL", Value(string_value=account)),
        where("updated_at", "GREATER_THAN_OR_EQUAL", Value(timestamp_value=since)),
    ]
    return q(
        from_=[q.CollectionSelector(collection_id=Job.collection)],
        where=q.Filter(composite_filter=q.CompositeFilter(op="AND", filters=filters)),
        order_by=[q.Order(field=q.FieldReference(field_path="updated_at"), direction="ASCENDING")],
    )
