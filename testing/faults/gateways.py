"""The in-memory gateways as handlers see them in a test: every call is an effect at which a fault may happen."""

from __future__ import annotations

import builtins
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO, Protocol, TypeVar

from local.memory.media import MemoryObjectStore
from local.memory.queue import MemoryTaskQueue
from local.memory.store import MemoryFirestore
from shared.core.documents import Account, Document, Job, Status, TaskRef, Transaction
from shared.core.errors import Unavailable
from shared.core.lifecycle import Task
from shared.platform.ports import HttpAnswer, JobsQuery, NotReached, Place, SignedUrl, StoredObject
from shared.platform.provider import Create, PollResult, Throttled
from testing.faults.effects import BUCKET_READ_FAULTS, BUCKET_WRITE_FAULTS, CURRENT, READ_FAULTS, WRITE_FAULTS, Fault
from testing.faults.names import commit_name
from testing.faults.provider import Provider
from testing.faults.watch import Watch

D = TypeVar("D", bound=Document)
T = TypeVar("T")


class Effects(Protocol):
    """Decides what happens at each effect: the plan of one schedule, or the random choices of the simulation."""

    async def effect(
        self,
        name: str,
        act: Callable[[], Awaitable[T]],
        failure: type[Exception],
        faults: tuple[Fault, ...],
        refusal: type[Exception] | None = None,
        change_id: str = "",
    ) -> T: ...

    def blocking(self, name: str, act: Callable[[], T], half: Callable[[], None]) -> T: ...

    async def sleep(self, seconds: float) -> None: ...


class WatchedStore(MemoryFirestore):
    """The database itself: each commit is checked as soon as it is made."""

    def __init__(self, clock: Callable[[], datetime], watch: Watch) -> None:
        super().__init__(clock)
        self._watch = watch

    async def commit(self, documents: Sequence[D], removed: Sequence[Document] = ()) -> list[D]:
        committed = await super().commit(documents, removed)
        self._watch.committed(committed)
        return committed


@dataclass(frozen=True)
class FaultyFirestore:
    """Firestore, over a network that can fail."""

    effects: Effects
    store: WatchedStore
    watch: Watch

    async def get(self, kind: type[D], id: str) -> D | None:  # noqa: A002
        name = f"{kind.__name__.lower()}.read"
        return await self._read(name, lambda: self.store.get(kind, id))

    async def get_all(self, references: Sequence[tuple[type[Document], str]]) -> list[Document | None]:
        return await self._read("both.read", lambda: self.store.get_all(references))

    async def commit(self, documents: Sequence[D], removed: Sequence[Document] = ()) -> list[D]:
        job = next((document for document in documents if isinstance(document, Job)), None)
        before = self.watch.jobs.get(job.id) if job is not None else None
        swept = before is not None and CURRENT.get().kind == "sweep"
        name = "swept.commit" if swept else commit_name(documents, before)
        if job is not None and name == "lost.commit":
            self.watch.gives_up_start(job, job.updated_at, CURRENT.get().process)
        change_id = job.change_id if job is not None else ""
        return await self.effects.effect(
            name, lambda: self.store.commit(documents, removed), Unavailable, WRITE_FAULTS, change_id=change_id
        )

    async def get_many(self, kind: type[D], ids: Sequence[str]) -> dict[str, D]:
        return await self._read(f"{kind.__name__.lower()}s.read", lambda: self.store.get_many(kind, ids))

    async def due(self, kind: type[D], before: datetime, after: Place | None, limit: int) -> list[D]:
        name = "due.read" if kind is Job else f"{kind.__name__.lower()}s.due"
        return await self._read(name, lambda: self.store.due(kind, before, after, limit))

    async def expired(self, kind: type[D], before: datetime, limit: int) -> list[D]:
        name = f"{kind.__name__.lower()}s.expired"
        return await self._read(name, lambda: self.store.expired(kind, before, limit))

    async def expired_jobs(self, before: datetime, after: Place | None, limit: int) -> list[Job]:
        return await self._read("expired.read", lambda: self.store.expired_jobs(before, after, limit))

    async def ended_jobs(self, since: datetime, until: datetime, after: Job | None, limit: int) -> list[Job]:
        return await self._read("ended.read", lambda: self.store.ended_jobs(since, until, after, limit))

    async def count_jobs(self, status: Status) -> int:
        return await self._read("count.read", lambda: self.store.count_jobs(status))

    async def list_jobs(self, tenant: str, account: str, query: JobsQuery) -> list[Job]:
        return await self._read("jobs.read", lambda: self.store.list_jobs(tenant, account, query))

    async def changed_jobs(
        self, tenant: str, account: str, since: datetime, after: Job | None, limit: int
    ) -> list[Job]:
        return await self._read(
            "changed-jobs.read", lambda: self.store.changed_jobs(tenant, account, since, after, limit)
        )

    async def newest(self, kind: type[D], where: Mapping[str, Any], after: D | None, limit: int) -> list[D]:
        return await self._read("newest.read", lambda: self.store.newest(kind, where, after, limit))

    async def accounts(self, after: str | None, limit: int) -> list[Account]:
        return await self._read("accounts.read", lambda: self.store.accounts(after, limit))

    async def ledger_totals(self, account: str) -> tuple[int, int]:
        return await self._read("totals.read", lambda: self.store.ledger_totals(account))

    async def list_transactions(self, tenant: str, account: str, after: str | None, limit: int) -> list[Transaction]:
        return await self._read("ledger.read", lambda: self.store.list_transactions(tenant, account, after, limit))

    async def job_of_operation(self, operation: str) -> Job | None:
        return await self._read("operation.read", lambda: self.store.job_of_operation(operation))

    async def read_config(self, name: str) -> dict[str, Any]:
        return await self._read("config.read", lambda: self.store.read_config(name))

    async def _read(self, name: str, act: Callable[[], Awaitable[T]]) -> T:
        return await self.effects.effect(name, act, Unavailable, READ_FAULTS)


@dataclass(frozen=True)
class FaultyTaskQueue:
    """Cloud Tasks, over a network that can fail."""

    effects: Effects
    queue: MemoryTaskQueue
    watch: Watch

    async def create(self, task: Task) -> None:
        async def act() -> None:
            self.watch.task(task)
            await self.queue.create(task)

        await self.effects.effect("task.create", act, Unavailable, WRITE_FAULTS)

    async def exists(self, ref: TaskRef) -> bool:
        return await self.effects.effect("task.exists", lambda: self.queue.exists(ref), Unavailable, READ_FAULTS)

    async def delete(self, ref: TaskRef) -> None:
        await self.effects.effect("task.delete", lambda: self.queue.delete(ref), Unavailable, WRITE_FAULTS)


@dataclass(frozen=True)
class FaultyObjectStore:
    """The bucket, over a network that can fail."""

    effects: Effects
    media: MemoryObjectStore

    @property
    def bucket(self) -> str:
        return self.media.bucket

    async def stat(self, name: str) -> StoredObject | None:
        return await self.effects.effect("object.stat", lambda: self.media.stat(name), Unavailable, BUCKET_READ_FAULTS)

    async def list(self, prefix: str) -> list[StoredObject]:
        return await self.effects.effect(
            "objects.list", lambda: self.media.list(prefix), Unavailable, BUCKET_READ_FAULTS
        )

    async def page(self, prefix: str, after: str, end: str, limit: int) -> builtins.list[StoredObject]:
        return await self.effects.effect(
            "objects.page", lambda: self.media.page(prefix, after, end, limit), Unavailable, READ_FAULTS
        )

    async def write(self, name: str, produce: Callable[[BinaryIO], None], content_type: str) -> StoredObject:
        what = "poster" if content_type == "image/jpeg" else "video"
        return await self.effects.effect(
            f"{what}.write", lambda: self.media.write(name, produce, content_type), Unavailable, BUCKET_WRITE_FAULTS
        )

    async def describe(self, name: str, disposition: str, metadata: Mapping[str, str]) -> None:
        await self.effects.effect(
            "video.describe",
            lambda: self.media.describe(name, disposition, metadata),
            Unavailable,
            BUCKET_WRITE_FAULTS,
        )

    async def use(self, name: str, use: Callable[[BinaryIO], T]) -> T:
        return await self.effects.effect(
            "video.use", lambda: self.media.use(name, use), Unavailable, BUCKET_READ_FAULTS
        )

    def stream(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        return self.media.stream(name, start, end)

    async def sign(self, name: str, filename: str, download: bool = False) -> SignedUrl:
        return await self.media.sign(name, filename, download)

    async def delete(self, prefix: str) -> int:
        return await self.effects.effect(
            "objects.delete", lambda: self.media.delete(prefix), Unavailable, BUCKET_WRITE_FAULTS
        )


@dataclass(frozen=True)
class FaultyProvider:
    """A provider, over a network that can fail."""

    effects: Effects
    provider: Provider
    watch: Watch

    async def prepare(self, job: Job) -> Create:
        start = await self.effects.effect(
            "provider.prepare", lambda: self.provider.prepare(job), ConnectionError, READ_FAULTS
        )
        return partial(self._start, start)

    async def _start(self, start: Create, job: Job, prefix: str) -> str:
        self.watch.create(job, self.provider.loop.clock(), CURRENT.get().process)
        return await self.effects.effect(
            "provider.create", lambda: start(job, prefix), ConnectionError, WRITE_FAULTS, Throttled
        )

    async def poll(self, operation: str) -> PollResult:
        return await self.effects.effect(
            "provider.poll", lambda: self.provider.poll(operation), ConnectionError, READ_FAULTS
        )

    def download(self, uri: str, destination: BinaryIO) -> None:
        self.effects.blocking(
            "provider.download",
            lambda: self.provider.download(uri, destination),
            lambda: _write(destination, b"half of"),
        )

    async def cancel(self, operation: str) -> None:
        await self.effects.effect(
            "provider.cancel", lambda: self.provider.cancel(operation), ConnectionError, WRITE_FAULTS
        )


@dataclass(frozen=True)
class Posted:
    """A message that the server of a user's webhook took."""

    id: str
    type: str
    job: str


@dataclass(frozen=True)
class FaultyPublicHttp:
    """The server of a user's webhook, which takes everything."""

    effects: Effects
    posted: list[Posted]

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        async def act() -> HttpAnswer:
            message = json.loads(body)
            self.posted.append(Posted(headers["webhook-id"], message["type"], message["data"]["id"]))
            return HttpAnswer(200)

        return await self.effects.effect("webhook.post", act, NotReached, WRITE_FAULTS)

    async def fetch(self, url: str, max_bytes: int, accept: str = "*/*") -> HttpAnswer:
        raise AssertionError("nothing is fetched from users' servers here")


def _write(destination: BinaryIO, data: bytes) -> None:
    destination.write(data)
