"""One virtual cloud: the product over in-memory gateways, with virtual time and possible faults at every effect."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar, cast
from unittest import mock

from starlette.datastructures import Headers

from local.memory.live import MemoryChangeFeed
from local.memory.media import MemoryObjectStore
from local.memory.queue import Entry, MemoryTaskQueue, limits_of
from local.storage.objects import StoredObject as Record
from shared.api.videos import CreateVideo
from shared.core import lifecycle
from shared.core.documents import Account, Job, LiveSettings, Transaction
from shared.core.errors import ApiError, Unavailable
from shared.core.lifecycle import Task
from shared.gateways.live_settings import StoredLiveSettings
from shared.jobs import provider_events, submission, worker
from shared.maintenance import sweeper
from shared.media.image_workers import ImageWorkers
from shared.platform import commits, durable_tasks, log
from shared.platform.commits import Turn
from shared.platform.identity import Caller, Identity
from shared.platform.ports import Services
from shared.platform.provider import Providers
from shared.platform.settings import Settings
from shared.webhooks import deliveries
from shared.webhooks.deliveries import Delivery
from shared.webhooks.receivers import Receivers
from testing import invariants
from testing.faults import films
from testing.faults.effects import CURRENT, Death, Process, Run
from testing.faults.gateways import (
    Effects,
    FaultyFirestore,
    FaultyObjectStore,
    FaultyProvider,
    FaultyPublicHttp,
    FaultyTaskQueue,
    Posted,
    WatchedStore,
)
from testing.faults.provider import Fate, Generation, Provider
from testing.faults.virtual_time import Alarm, VirtualLoop
from testing.faults.watch import Watch

T = TypeVar("T")

BUCKET = "videos"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"a secret of these tests").decode()
SETTINGS = Settings(
    google_cloud_project="rushes",
    bucket=BUCKET,
    vertex_project="rushes",
    gemini_api_key="key",
    gemini_webhook_secret=WEBHOOK_SECRET,
    signup_credits=0,
)
NO_ANSWER = 504
# A given-up generation is watched for a day, in the end once an hour. Nothing here runs for so long: a few of these
# rounds show what all of them would.
TIDY_FOR_S = 3 * 3_600.0
SWEEP_EVERY_S = 60.0
# What a push is worth: Pub/Sub and the Gemini API repeat it for longer, but a job must not need it.
PUSHES = 4
PUSH_AGAIN_S = 10.0


class Turns(MutableMapping[str, Turn]):
    """Stands for the turns in one process's memory: each process of the world sees its own."""

    def __getitem__(self, id_: str) -> Turn:
        return CURRENT.get().process.turns[id_]

    def __setitem__(self, id_: str, turn: Turn) -> None:
        CURRENT.get().process.turns[id_] = turn

    def __delitem__(self, id_: str) -> None:
        del CURRENT.get().process.turns[id_]

    def __iter__(self) -> Iterator[str]:
        return iter(CURRENT.get().process.turns)

    def __len__(self) -> int:
        return len(CURRENT.get().process.turns)


@dataclass(frozen=True)
class Answer:
    """What a caller of a handler got: a value, an error of the catalog, or nothing (died, frozen, timed out)."""

    value: Any = None
    error: ApiError | None = None
    unknown: bool = False

    @property
    def ok(self) -> bool:
        return self.error is None and not self.unknown


class World:
    """The cloud. `effects` decides what happens at each effect, `fate_of` the outcome of each accepted request."""

    def __init__(
        self,
        effects: Effects,
        fate_of: Callable[[Job], Fate],
        seed: int = 0,
        hinted: bool = True,
        watch: Watch | None = None,
        tidy_for_s: float = TIDY_FOR_S,
    ) -> None:
        self.loop = VirtualLoop()
        self.effects = effects
        self.watch = watch or Watch()
        self.store = WatchedStore(self.clock, self.watch)
        self.queue = MemoryTaskQueue(self.clock, cache(limits_of))
        self.media = MemoryObjectStore(BUCKET, clock=self.clock, finalized=self._object_finalized)
        self.provider = Provider(self.loop, self.media, fate_of, self._generation_finished)
        self.hinted = hinted
        self._tidy_for_s = tidy_for_s
        self.signals: Counter[str] = Counter()
        self.unexpected: list[str] = []
        self.runs: set[asyncio.Task[Any]] = set()
        self._processes: set[Process] = set()
        self._ids = 0
        self._random = random.Random(seed)
        self.posted: list[Posted] = []
        self.receivers = Receivers()
        self._seam_store = seam_store = FaultyFirestore(effects, self.store, self.watch)
        self._config = self.new_config()
        generator = FaultyProvider(effects, self.provider, self.watch)
        self.services = Services(
            settings=SETTINGS,
            firestore=seam_store,
            changes=MemoryChangeFeed(self.store),
            tasks=FaultyTaskQueue(effects, self.queue, self.watch),
            objects=FaultyObjectStore(effects, self.media),
            providers=Providers({"vertex": generator, "gemini": generator}),
            live_settings=_ConfigOfProcess(self),
            verifier=_Nobody(),
            images=ImageWorkers(),
            public_http=FaultyPublicHttp(effects, self.posted),
            clock=self.clock,
            ids=self.new_id,
            sleep=effects.sleep,
        )

    # --- what the product is given ---

    def clock(self) -> datetime:
        return self.loop.clock()

    def new_id(self) -> str:
        self._ids += 1
        return f"{self._ids:022d}"

    def new_config(self) -> StoredLiveSettings:
        """The live settings as a process reads them."""
        return StoredLiveSettings(SETTINGS, self._seam_store, self.clock)

    def config_of(self, process: Process) -> StoredLiveSettings:
        """The settings that a process has read; in a schedule all share them, in the simulation each has its own."""
        return self._config

    # --- running it ---

    def run(self, main: Awaitable[T]) -> T:
        """Run `main` to its end, then kill everything still running."""
        with self._inside():
            try:
                return self.loop.run_until_complete(main)
            finally:
                self._end()

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """What is global in a process becomes this world's own, for as long as it runs."""
        saved = random.getstate()
        random.setstate(self._random.getstate())
        self.loop.set_exception_handler(self._lost)
        try:
            with (
                mock.patch.object(log, "_emit", self._noted),
                mock.patch.object(commits, "_turns", Turns()),
                mock.patch.object(lifecycle, "TIDY_FOR_S", self._tidy_for_s),
                films.seen_once(),
            ):
                yield
        finally:
            random.setstate(saved)

    def _end(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        for process in self._processes:
            process.dead = True
        left = asyncio.all_tasks(self.loop)
        if left:
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()

    def _lost(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), Death):
            self.unexpected.append(f"{context['message']}: {context.get('exception')!r}")

    def _noted(self, severity: str, event: str, fields: dict[str, Any]) -> None:
        self.signals[event] += 1

    async def call(
        self,
        kind: str,
        process: Process,
        handler: Callable[[], Awaitable[T]],
        patience_s: float,
        job: str | None = None,
    ) -> Answer:
        """Call a handler as its caller sees it: the answer, or none when it dies, freezes or takes too long."""
        answered = Alarm(self.loop)
        process.callers.append(answered)
        running = self.loop.create_task(self._handle(Run(kind, process, job), handler))
        self.runs.add(running)
        running.add_done_callback(self.runs.discard)
        running.add_done_callback(answered.ring)
        try:
            await answered.wait(patience_s)
        finally:
            process.callers.remove(answered)
        return running.result() if running.done() else Answer(unknown=True)

    async def _handle(self, run: Run, handler: Callable[[], Awaitable[T]]) -> Answer:
        CURRENT.set(run)
        try:
            return Answer(await handler())
        except Death:
            return Answer(unknown=True)
        except ApiError as error:
            return Answer(error=error)
        except Unavailable:
            return Answer(error=ApiError("UNAVAILABLE", retry_after_s=5))
        except Exception as error:  # noqa: BLE001 - a 500 that somebody would see
            self.unexpected.append(f"{run.kind}: {error!r}")
            return Answer(error=ApiError("INTERNAL"))

    # --- handlers ---

    async def deliver(self, task: Task, process: Process, patience_s: float = 960.0) -> int:
        """One delivery of a task; answers the status that the queue sees."""
        step = task.body["step"]
        if task.path == Delivery.path:
            id_ = task.body["id"]
            answer = await self.call(
                "webhook", process, lambda: deliveries.deliver(self.services, self.receivers, id_, step), patience_s
            )
        else:
            job = task.body["job"]
            answer = await self.call("step", process, lambda: worker.deliver(self.services, job, step), patience_s, job)
        if answer.unknown:
            return NO_ANSWER
        return int(answer.value.value) if answer.error is None else answer.error.entry.status

    async def deliver_entry(self, entry: Entry, process: Process) -> int:
        """One delivery of a task that the queue has started; reports its result to the queue."""
        status = NO_ANSWER
        try:
            status = await self.deliver(entry.task, process)
        finally:
            self.queue.finish(entry, status)
        return status

    async def submit(
        self, caller: Caller, body: CreateVideo, key: str | None, process: Process, patience_s: float = 60.0
    ) -> Answer:
        return await self.call(
            "submit", process, lambda: submission.submit(self.services, caller, body, key), patience_s
        )

    async def cancel(self, caller: Caller, job_id: str, process: Process) -> Answer:
        return await self.call("cancel", process, lambda: submission.cancel(self.services, caller, job_id), 60.0)

    async def sweep(self, process: Process) -> Answer:
        async def sweep() -> None:
            await sweeper.sweep(self.services)
            await durable_tasks.sweep(self.services, Delivery)

        return await self.call("sweep", process, sweep, 540.0)

    def something_is_overdue(self) -> bool:
        """Whether a sweep would find anything: one that does not changes nothing, and need not be run."""
        before = self.clock() - timedelta(seconds=lifecycle.SWEEP_AFTER_S)
        return any(one.due_at is not None and one.due_at < before for one in self.watch.due.values())

    # --- events of others ---

    def process_for_event(self) -> Process:
        """Where an event is handled; the simulation has a few processes, a schedule one for each call."""
        return self.new_process()

    def new_process(self) -> Process:
        process = Process()
        self._processes.add(process)
        return process

    def _object_finalized(self, record: Record) -> None:
        if self.hinted:
            attributes = {"objectId": record.name, "objectGeneration": str(record.generation)}
            self._push(lambda: provider_events.object_finalized(self.services, attributes))

    def _generation_finished(self, generation: Generation) -> None:
        if self.hinted and generation.job.provider == "gemini":
            raw = json.dumps({"type": "done", "data": {"id": generation.operation}}).encode()
            self._push(lambda: self._gemini_event(generation.operation, raw))

    async def _gemini_event(self, id_: str, raw: bytes) -> None:
        timestamp = str(int(self.clock().timestamp()))
        key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
        digest = hmac.new(key, f"{id_}.{timestamp}.".encode() + raw, hashlib.sha256).digest()
        signature = "v1," + base64.b64encode(digest).decode()
        headers = Headers({"webhook-id": id_, "webhook-timestamp": timestamp, "webhook-signature": signature})

        async def body() -> bytes:
            return raw

        await provider_events.gemini_event(self.services, headers, body)

    def _push(self, handler: Callable[[], Awaitable[None]]) -> None:
        async def push() -> None:
            for _ in range(PUSHES):
                if (await self.call("hint", self.process_for_event(), handler, 60.0)).ok:
                    return
                await asyncio.sleep(PUSH_AGAIN_S)

        pushing = self.loop.create_task(push())
        self.runs.add(pushing)
        pushing.add_done_callback(self.runs.discard)

    # --- how it stands ---

    @property
    def idle(self) -> bool:
        """Every job has ended with nothing left to do, and nothing is in progress."""
        return not (self.watch.due or self.runs or self.queue.entries() or self.provider.busy)

    def check(self, config: LiveSettings | None = None, with_files: bool = True) -> None:
        """Check all that must hold once nothing is in progress; raises AssertionError."""
        assert not self.watch.broken, "; ".join(self.watch.broken[:3])
        assert not self.unexpected, "; ".join(sorted(set(self.unexpected))[:3])
        records = invariants.Records(
            self.store.documents(Job), self.store.documents(Account), self.store.documents(Transaction)
        )
        with films.seen_once():
            invariants.check(records, config or LiveSettings(), self.read if with_files else None)

    def read(self, name: str) -> bytes | None:
        reading = self.media.use(name, lambda reader: reader.read())
        try:
            reading.send(None)
        except StopIteration as done:
            return cast(bytes, done.value)
        except FileNotFoundError:
            return None
        raise AssertionError("the bucket in memory waited")

    def objects(self) -> list[str]:
        listing = self.media.list("")
        try:
            listing.send(None)
        except StopIteration as done:
            return [item.name for item in done.value]
        raise AssertionError("the bucket in memory waited")


@dataclass(frozen=True)
class _ConfigOfProcess:
    """The live settings, as the process that asks has read them."""

    world: World

    async def get(self) -> LiveSettings:
        return await self.world.config_of(CURRENT.get().process).get()


class _Nobody:
    """No request of these tests carries a token: the callers are known."""

    async def verify(self, token: str) -> Identity:
        raise AssertionError("nobody signs in here")
