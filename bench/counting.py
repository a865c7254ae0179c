"""Videos from submission to one view, through the functions' own apps, with every operation counted.

The gateways are those in memory, in virtual time; each function is one process that keeps its caches, and the provider
takes the expected time of its model. The client polls every two seconds, as the OpenAI SDK does, or holds one stream.
"""

from __future__ import annotations

import asyncio
import builtins
import importlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, BinaryIO, Final, TypeVar
from unittest import mock

import httpx2
from google.cloud.storage.fileio import BlobReader

from local.memory.live import MemoryChangeFeed
from local.memory.media import MemoryObjectStore
from local.memory.queue import Dispatcher, MemoryTaskQueue
from local.memory.store import MemoryFirestore
from shared.api.routing import FUNCTIONS, Function
from shared.core.catalog import MODELS
from shared.core.documents import Job
from shared.core.lifecycle import Task
from shared.gateways.cloud_storage import READ_AHEAD_BYTES
from shared.gateways.live_settings import StoredLiveSettings
from shared.http import routes
from shared.http.app import application
from shared.media.image_workers import ImageWorkers
from shared.platform import log
from shared.platform.identity import Identity
from shared.platform.ports import Services, SignedUrl, StoredObject
from shared.platform.provider import Create, Providers
from shared.platform.settings import Settings
from testing.faults import films
from testing.faults.provider import Fate, Generation, Provider
from testing.faults.virtual_time import VirtualLoop

T = TypeVar("T")

VIDEOS: Final = 20
EVERY_S: Final = 15.0
SIGNED_UP_S: Final = 300.0
# As openai-poll-after-ms tells the OpenAI SDK.
POLLED_EVERY_S: Final = 2.0
SETTINGS: Final = Settings(
    google_cloud_project="rushes", bucket="videos", vertex_project="rushes", gemini_api_key="key", signup_credits=500
)
# What one call takes from Cloud Run to a service in the same region, and a provider's answers: assumptions.
WAITS_S: Final = {
    "read": 0.01,
    "commit": 0.02,
    "task": 0.02,
    "object": 0.05,
    "sign": 0.05,
    "create": 1.0,
    "poll": 0.3,
    "download": 1.0,
}


@dataclass(frozen=True)
class Life:
    """How a video is made, and how its client waits for it."""

    model: str
    events: bool
    polling: str = "often"
    streams: bool = False


@dataclass
class _Request:
    """One request of a function, while it is handled."""

    function: Function
    waits_s: float = 0.0
    storing: int = 0


_CURRENT: ContextVar[_Request | None] = ContextVar("request", default=None)


@dataclass
class Video:
    """What one video took, on the average of those that were played."""

    played: int
    operations: dict[str, float]
    requests: dict[Function, float]
    log_bytes: float
    streaming_s: float
    waits: dict[Function, list[tuple[float, int]]]
    stored: int = 1


@dataclass
class Tally:
    """What was counted."""

    operations: Counter[str] = field(default_factory=Counter)
    requests: Counter[Function] = field(default_factory=Counter)
    waits: dict[Function, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    log_bytes: int = 0
    streaming_s: float = 0.0

    def clear(self) -> None:
        """What comes from now on counts."""
        fresh = Tally()
        self.operations, self.requests, self.waits = fresh.operations, fresh.requests, fresh.waits
        self.log_bytes, self.streaming_s = 0, 0.0

    def add(self, operation: str, count: int, wait: str) -> None:
        self.operations[operation] += count
        self.waited(wait)

    def waited(self, wait: str) -> None:
        request = _CURRENT.get()
        if request is not None:
            request.waits_s += WAITS_S[wait]
            request.storing += wait == "download"


@dataclass(frozen=True)
class CountedStore:
    """Firestore: a document is a read or a write, and a query that finds nothing is a read as well.

    Also, how many documents of which collection are written.
    """

    store: MemoryFirestore
    tally: Tally

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.store, name)

        async def called(*args: Any, **kwargs: Any) -> Any:
            answer = await method(*args, **kwargs)
            if name == "commit":
                self.tally.add("Firestore writes", len(args[0]), "commit")
                self.tally.operations.update(f"writes of {document.collection}" for document in args[0])
                self.tally.operations["Firestore deletes"] += sum(len(removed) for removed in args[1:])
            else:
                # Counts and sums are a read for each thousand of what they go over.
                found = len(answer) if isinstance(answer, list) else 1
                self.tally.add("Firestore reads", max(1, found), "read")
            return answer

        return called


@dataclass(frozen=True)
class CountedQueue:
    """Cloud Tasks: each create is an operation; deliveries are counted where they are made."""

    queue: MemoryTaskQueue
    tally: Tally

    async def create(self, task: Task) -> None:
        self.tally.add("Cloud Tasks operations", 1, "task")
        await self.queue.create(task)

    async def exists(self, ref: Any) -> bool:
        self.tally.add("Cloud Tasks operations", 1, "task")
        return await self.queue.exists(ref)

    async def delete(self, ref: Any) -> None:
        self.tally.add("Cloud Tasks operations", 1, "task")
        await self.queue.delete(ref)


@dataclass(frozen=True)
class CountedMedia:
    """Cloud Storage, with the requests that shared/gateways/cloud_storage.py makes for each call. Deletes are free."""

    media: MemoryObjectStore
    tally: Tally

    @property
    def bucket(self) -> str:
        return self.media.bucket

    def _read(self) -> None:
        self.tally.add("Cloud Storage class B", 1, "object")

    async def stat(self, name: str) -> StoredObject | None:
        self._read()
        return await self.media.stat(name)

    async def list(self, prefix: str) -> list[StoredObject]:
        self.tally.add("Cloud Storage class A", 1, "object")
        return await self.media.list(prefix)

    async def page(self, prefix: str, after: str, end: str, limit: int) -> builtins.list[StoredObject]:
        self.tally.add("Cloud Storage class A", 1, "object")
        return await self.media.page(prefix, after, end, limit)

    async def write(self, name: str, produce: Callable[[BinaryIO], None], content_type: str) -> StoredObject:
        # The upload, and what is known of the object afterwards.
        self.tally.add("Cloud Storage class A", 1, "object")
        self._read()
        return await self.media.write(name, produce, content_type)

    async def describe(self, name: str, disposition: str, metadata: Mapping[str, str]) -> None:
        self.tally.add("Cloud Storage class A", 1, "object")
        await self.media.describe(name, disposition, metadata)

    async def use(self, name: str, use: Callable[[BinaryIO], T]) -> T:
        self._read()

        def ranged(file: BinaryIO) -> T:
            data = file.read()

            class Ranges:
                size = len(data)

                def reload(self, **_: Any) -> None:
                    return None

                def download_as_bytes(inner, start: int = 0, end: int | None = None, **_: Any) -> bytes:  # noqa: N805
                    self._read()
                    return data[start : None if end is None else end + 1]

            return use(BlobReader(Ranges(), chunk_size=READ_AHEAD_BYTES))  # type: ignore[arg-type, no-untyped-call]

        return await self.media.use(name, ranged)

    def stream(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        return self.media.stream(name, start, end)

    async def sign(self, name: str, filename: str, download: bool = False) -> SignedUrl:
        self.tally.waited("sign")
        return await self.media.sign(name, filename, download)

    async def delete(self, prefix: str) -> int:
        self.tally.add("Cloud Storage class A", 1, "object")
        return await self.media.delete(prefix)


@dataclass(frozen=True)
class CountedGenerator:
    """A provider: its answers take a while. Its price is not ours."""

    provider: Provider
    tally: Tally

    async def prepare(self, job: Any) -> Create:
        return partial(self._start, await self.provider.prepare(job))

    async def _start(self, start: Create, job: Any, prefix: str) -> str:
        self.tally.waited("create")
        return await start(job, prefix)

    async def poll(self, operation: str) -> Any:
        self.tally.waited("poll")
        return await self.provider.poll(operation)

    def download(self, uri: str, destination: BinaryIO) -> None:
        self.tally.waited("download")
        self.provider.download(uri, destination)

    async def cancel(self, operation: str) -> None:
        await self.provider.cancel(operation)


class Names:
    """Tokens are names."""

    async def verify(self, token: str) -> Identity:
        return Identity("names", token, "default", f"{token}@example.com", email_verified=True)


class Counted:
    """All functions over counted gateways."""

    def __init__(self, life: Life) -> None:
        self.loop = VirtualLoop()
        self.tally = Tally()
        self.life = life
        self.store = MemoryFirestore(self.loop.clock)
        self.store.edit_config("video", {"polling": life.polling})
        self.queue = MemoryTaskQueue(self.loop.clock)
        self.media = MemoryObjectStore("videos", clock=self.loop.clock, finalized=self._finalized)
        expected_s = MODELS[life.model].expected_s
        fate = Fate(takes_s=expected_s)
        self.provider = Provider(self.loop, self.media, lambda job: fate, self._ended)
        self._events: set[asyncio.Task[None]] = set()
        self._clients: dict[Function, httpx2.AsyncClient] = {name: self._client(name) for name in FUNCTIONS}

    def _client(self, name: Function) -> httpx2.AsyncClient:
        """One process of that function: its own settings in force, its own callers known."""
        store = CountedStore(self.store, self.tally)
        generator = CountedGenerator(self.provider, self.tally)
        services = Services(
            settings=SETTINGS,
            firestore=store,
            changes=MemoryChangeFeed(self.store),
            tasks=CountedQueue(self.queue, self.tally),
            objects=CountedMedia(self.media, self.tally),
            providers=Providers({"vertex": generator, "gemini": generator}),
            live_settings=StoredLiveSettings(SETTINGS, store, self.loop.clock),  # type: ignore[arg-type]
            verifier=Names(),
            images=ImageWorkers(),
            clock=self.loop.clock,
        )
        app = application(routes.of(name), importlib.import_module(f"functions.{name}.main").HANDLERS, lambda: services)
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://rushes")

    async def call(self, function: Function, method: str, path: str, **options: Any) -> httpx2.Response:
        """One request, counted, with what it waited for."""
        self.tally.requests[function] += 1
        request = _Request(function)
        token = _CURRENT.set(request)
        try:
            answer = await self._clients[function].request(method, path, **options)
        finally:
            _CURRENT.reset(token)
            self.tally.waits[function].append((request.waits_s, request.storing))
        assert answer.status_code < 400, answer.text
        return answer

    async def deliver(self, path: str, body: Mapping[str, Any]) -> int:
        self.tally.operations["Cloud Tasks operations"] += 1
        return (await self.call("poll", "POST", path, json=dict(body))).status_code

    def _finalized(self, record: Any) -> None:
        if self.life.events:
            # Of the poster too.
            attributes = {"objectId": record.name, "objectGeneration": str(record.generation)}
            self._event("poll", "/tasks/object-finalized", {"message": {"attributes": attributes}})

    def _ended(self, generation: Generation) -> None:
        if self.life.events and self.life.model.startswith("omni"):
            self._later(self._gemini(generation.operation))

    async def _gemini(self, operation: str) -> None:
        from shared.webhooks import signing

        with mock.patch.multiple(signing, check_headers=mock.DEFAULT, verify=mock.DEFAULT):
            body = {"type": "done", "data": {"id": operation}}
            await self.call("submit", "POST", "/hooks/gemini", json=body, headers={"webhook-id": operation})

    def _event(self, function: Function, path: str, body: Any) -> None:
        async def tell() -> None:
            await self.call(function, "POST", path, json=body)

        self._later(tell())

    def _later(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._events.add(task)
        task.add_done_callback(self._events.discard)

    async def user(self, number: int) -> None:
        """A person makes one video, waits for it, and watches it once."""
        headers = {"Authorization": f"Bearer user{number}"}
        # Signing up is not part of a video, nor is what the first request of a process reads.
        await self.call("history", "GET", "/v1/account", headers=headers)
        await asyncio.sleep(SIGNED_UP_S - self.loop.time() + EVERY_S * number)
        body = {"prompt": "a paper boat", "model": self.life.model, "seconds": 8, "size": "1280x720"}
        made = (await self.call("submit", "POST", "/v1/videos", json=body, headers=headers)).json()
        path = f"/v1/videos/{made['id']}"
        began_s = self.loop.time()
        if self.life.streams:
            await self.call("stream", "GET", f"{path}/events", headers=headers)
            self.tally.streaming_s += self.loop.time() - began_s
            # The connection that all streams share receives each change: a read.
            changes = next(job.version for job in self.store.documents(Job) if job.id == made["id"])
            self.tally.operations["Firestore reads"] += changes
        else:
            while (await self.call("history", "GET", path, headers=headers)).json()["status"] != "completed":
                await asyncio.sleep(POLLED_EVERY_S)
        await self.call("stream", "GET", f"{path}/content", headers=headers)
        # The player's own request, which the signed URL is for.
        self.tally.operations["Cloud Storage class B"] += 1

    async def live(self) -> None:
        dispatching = asyncio.ensure_future(Dispatcher(self.queue, self.deliver).run())
        self.loop.call_later(SIGNED_UP_S / 2, self.tally.clear)
        await asyncio.gather(*(self.user(number) for number in range(VIDEOS)))
        await asyncio.sleep(EVERY_S)
        dispatching.cancel()
        await asyncio.gather(dispatching, return_exceptions=True)

    def run(self, main: Awaitable[T]) -> T:
        def noted(severity: str, event: str, fields: dict[str, Any]) -> None:
            self.tally.log_bytes += len(repr(fields)) + len(event) + len(severity)

        with mock.patch.object(log, "_emit", noted), films.seen_once():
            try:
                return self.loop.run_until_complete(main)
            finally:
                self.loop.close()


def play(life: Life) -> Video:
    """Twenty people make a video each; what one of them took."""
    counted = Counted(life)
    counted.run(counted.live())
    tally = counted.tally
    return Video(
        VIDEOS,
        defaultdict(float, {name: count / VIDEOS for name, count in tally.operations.items()}),
        defaultdict(float, {name: count / VIDEOS for name, count in tally.requests.items()}),
        tally.log_bytes / VIDEOS,
        tally.streaming_s / VIDEOS,
        tally.waits,
    )


@cache
def sweep() -> tuple[dict[str, int], int]:
    """The operations of one sweep that finds nothing, and the bytes that it logs."""
    counted = Counted(Life("veo-3.1-fast", events=False))

    async def main() -> None:
        await counted.call("cleanup", "POST", "/tasks/sweep")

    counted.run(main())
    return dict(counted.tally.operations), counted.tally.log_bytes
