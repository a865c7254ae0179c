"""Fixtures of the contract tests: each gateway in memory and for real, and ways to inspect what is behind it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, cast

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.memory.media import DiskFiles, MemoryObjectStore
from local.memory.queue import Dispatcher, Limits, MemoryTaskQueue
from local.memory.store import MemoryFirestore
from local.ports import HOST
from local.tasks.retry import RetryPolicy
from shared.platform.ports import Firestore, ObjectStore, TaskQueue, new_id, utc_now
from shared.platform.settings import Settings
from tests.contract.servers import BUCKET, QUEUES, SIGNER, firestore_emulator, storage_server, tasks_server


class Console(Protocol):
    """What an administrator can do besides."""

    async def edit(self, collection: str, id_: str, fields: Mapping[str, Any]) -> None:
        """Set these fields of one document."""

    async def drop_field(self, collection: str, id_: str, name: str) -> None:
        """Remove one field of a document."""

    async def fields(self, collection: str, id_: str) -> Mapping[str, Any]:
        """A document as it stands there."""


@dataclass(frozen=True)
class Database:
    """A store with nothing in it, and its console."""

    store: Firestore
    console: Console


class MemoryConsole:
    def __init__(self, store: MemoryFirestore) -> None:
        self._store = store

    async def edit(self, collection: str, id_: str, fields: Mapping[str, Any]) -> None:
        self._store.edit(collection, id_, fields)

    async def drop_field(self, collection: str, id_: str, name: str) -> None:
        self._store.drop_field(collection, id_, name)

    async def fields(self, collection: str, id_: str) -> Mapping[str, Any]:
        return self._store.fields(collection, id_)


class FirestoreConsole:
    def __init__(self, project: str) -> None:
        from google.cloud.firestore import AsyncClient

        self._client = AsyncClient(project=project)

    async def edit(self, collection: str, id_: str, fields: Mapping[str, Any]) -> None:
        await self._client.collection(collection).document(id_).set(dict(fields), merge=cast(bool, list(fields)))

    async def drop_field(self, collection: str, id_: str, name: str) -> None:
        from google.cloud.firestore import DELETE_FIELD

        await self._client.collection(collection).document(id_).update({name: DELETE_FIELD})

    async def fields(self, collection: str, id_: str) -> Mapping[str, Any]:
        return (await self._client.collection(collection).document(id_).get()).to_dict() or {}


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with firestore_emulator(tmp_path_factory.mktemp("firestore")) as address:
        yield address


@pytest.fixture(params=["memory", "firestore"])
async def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """Each test has a database of its own: any project's name is one in the emulator."""
    if request.param == "memory":
        memory = MemoryFirestore()
        yield Database(memory, MemoryConsole(memory))
        return
    from shared.gateways.firestore import GoogleFirestore

    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", request.getfixturevalue("emulator"))
    project = f"contract-{new_id().lower().replace('_', '-').strip('-')}"
    yield Database(
        GoogleFirestore(Settings(google_cloud_project=project, bucket="contract")), FirestoreConsole(project)
    )


@dataclass(frozen=True)
class Bucket:
    """A bucket with nothing in it, and a browser that can follow its signed URLs."""

    media: ObjectStore
    browser: httpx2.AsyncClient
    clock: Clock


class Clock:
    """The current time, plus what a test adds."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with storage_server(tmp_path_factory.mktemp("storage")) as address:
        yield address


@pytest.fixture(params=["memory", "directory", "storage"])
async def bucket(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Bucket]:
    clock = Clock()
    if request.param == "storage":
        from shared.gateways.cloud_storage import CloudStorage

        url, key = request.getfixturevalue("storage")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        settings = Settings(
            google_cloud_project="contract", bucket=BUCKET, signer_email=SIGNER, signer_key_file=str(key)
        )
        async with httpx2.AsyncClient(trust_env=False) as browser:
            media = CloudStorage(settings, clock)
            await media.delete("")
            yield Bucket(media, browser, clock)
            # Its pool of connections is the process's in production; here each test has its own.
            cast(Any, media._bucket.client).close()
        return
    files = DiskFiles(tmp_path, BUCKET) if request.param == "directory" else None
    memory = MemoryObjectStore(BUCKET, files, clock=clock, public_url="http://studio", run=asyncio.to_thread)
    app = Starlette(routes=list(memory.routes()))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as browser:
        yield Bucket(memory, browser, clock)


@dataclass
class Tasks:
    """A queue, and the function that it delivers to.

    It answers with `answers` in turn and then with 204, but no delivery is answered while `hold` is not set.
    """

    queue: TaskQueue
    delivered: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, path: str, body: Mapping[str, Any]) -> int:
        self.delivered.append((path, body))
        self.changed.set()
        status = self.answers.pop(0) if self.answers else 204
        await self.hold.wait()
        return status


@pytest.fixture(scope="session")
def cloud_tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with tasks_server(tmp_path_factory.mktemp("tasks")) as address:
        yield address


@pytest.fixture(params=["memory", "cloud_tasks"])
async def tasks(request: pytest.FixtureRequest) -> AsyncIterator[Tasks]:
    if request.param == "memory":
        retry = RetryPolicy(-1, 0, min_backoff_s=0.05, max_backoff_s=0.2, max_doublings=16)
        memory = MemoryTaskQueue(limits=lambda queue: Limits(retry=retry))
        taking = Tasks(memory)
        taking.hold.set()
        running = asyncio.create_task(Dispatcher(memory, taking.take).run())
        yield taking
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return
    address = request.getfixturevalue("cloud_tasks")
    async with _receiver() as (url, attach):
        from shared.gateways.cloud_tasks import CloudTasks

        settings = Settings(
            google_cloud_project="contract",
            bucket=BUCKET,
            poll_url=url,
            tasks_service_account="tasks@example.iam.gserviceaccount.com",
            cloud_tasks_emulator_host=address,
        )
        queue = CloudTasks(settings)
        taking = Tasks(queue)
        taking.hold.set()
        attach(taking)
        yield taking
        taking.hold.set()
        for name in QUEUES:
            # What one test leaves must not be delivered to the next one's receiver.
            await queue._client.purge_queue(name=queue._queue(name))
        await cast(Any, queue._client.transport).close()


@contextlib.asynccontextmanager
async def _receiver() -> AsyncIterator[tuple[str, Callable[[Tasks], None]]]:
    """A function on a port of its own: its URL, and a way to say whose deliveries it takes."""
    receivers: list[Tasks] = []

    async def take(request: Request) -> Response:
        return Response(status_code=await receivers[0].take(request.url.path, await request.json()))

    app = Starlette(routes=[Route("/{path:path}", take, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    with socket.create_server((HOST, 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"http://{HOST}:{listener.getsockname()[1]}", receivers.append
        server.should_exit = True
        await serving
