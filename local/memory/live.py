"""The changes of jobs in memory: sent by the store, at once and in its order, to all subscribers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from local.memory.store import MemoryFirestore, Snapshot
from shared.core.documents import Job
from shared.gateways.firestore_documents import readable
from shared.platform.subscription import Subscription

K = TypeVar("K")


class MemoryChangeFeed:
    """The changes of one MemoryFirestore."""

    def __init__(self, store: MemoryFirestore) -> None:
        self._by_job: dict[str, set[Subscription]] = {}
        self._by_account: dict[tuple[str, str], set[Subscription]] = {}
        store.listeners.append(self._changed)

    @contextmanager
    def watch_job(self, job: str) -> Iterator[Subscription]:
        with _watching(self._by_job, job) as watch:
            yield watch

    @contextmanager
    def watch_account(self, tenant: str, account: str) -> Iterator[Subscription]:
        with _watching(self._by_account, (tenant, account)) as watch:
            yield watch

    def _changed(self, collection: str, before: Snapshot | None, after: Snapshot | None) -> None:
        newest = after or before
        if collection != Job.collection or newest is None or before == after:
            return
        account = (str(newest.fields.get("tenant")), str(newest.fields.get("account")))
        watches = [*self._by_job.get(newest.id, ()), *self._by_account.get(account, ())]
        if not watches:
            return
        job = readable(Job, newest.id, newest.fields, newest.update_time) if after is not None else None
        if job is not None or after is None:
            for watch in watches:
                watch.offer(newest.id, job)


@contextmanager
def _watching(watches: dict[K, set[Subscription]], key: K) -> Iterator[Subscription]:
    watch = Subscription()
    watches.setdefault(key, set()).add(watch)
    try:
        yield watch
    finally:
        watches[key].discard(watch)
        if not watches[key]:
            del watches[key]
