"""What unit tests get: Rushes in memory, with a clock that is moved by hand, gateways that fail on demand, and
small real videos."""

from __future__ import annotations

import asyncio
import heapq
import io
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from unittest import mock
from weakref import WeakValueDictionary

import av
import pytest
from av.video.frame import VideoFrame

from local.memory.generator import Script, ScriptedGenerator
from local.memory.images import ImagesHere
from local.memory.live import MemoryChangeFeed
from local.memory.media import MemoryObjectStore
from local.memory.queue import Entry, MemoryTaskQueue
from local.memory.store import MemoryFirestore
from shared.accounts import data_rights
from shared.admin import tenants, users
from shared.admin.tenants import TenantBudget, TenantGrant
from shared.api.tenants import GrantToTenant
from shared.api.users import GrantCredits
from shared.api.videos import CreateVideo
from shared.core import ledger
from shared.core.documents import Account, Job, LiveSettings, Transaction
from shared.core.errors import ApiError, Unavailable
from shared.gateways.live_settings import StoredLiveSettings
from shared.jobs import submission, worker
from shared.jobs.worker import TaskResult
from shared.platform import commits
from shared.platform.identity import Caller, Identity
from shared.platform.ports import HttpAnswer, NotReached, Services
from shared.platform.provider import Providers
from shared.platform.settings import Settings
from shared.webhooks import deliveries
from shared.webhooks.receivers import Receivers
from testing import invariants

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BUCKET = "videos"
SETTINGS = Settings(
    google_cloud_project="rushes-test",
    bucket=BUCKET,
    signup_credits=500,
    allowed_origins="https://studio.example, https://other.example",
)


class Clock:
    """Time that moves only when somebody sleeps: then to the moment at which the first sleeper wakes."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now
        self._sleepers: list[tuple[datetime, int]] = []
        self._numbers = count()

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        me = (self.now + timedelta(seconds=seconds), next(self._numbers))
        heapq.heappush(self._sleepers, me)
        try:
            # Tasks just started get the chance to sleep for a shorter time.
            for _ in range(3):
                await asyncio.sleep(0)
            while self.now < me[0]:
                if self._sleepers[0] == me:
                    self.now = me[0]
                else:
                    await asyncio.sleep(0)
        finally:
            self._sleepers.remove(me)
            heapq.heapify(self._sleepers)


class Shaky:
    """A gateway some of whose calls go wrong, each plan for one call: failed, lost after they took effect, or raced."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._plans: dict[str, deque[Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]]] = defaultdict(deque)
        self.calls: dict[str, int] = defaultdict(int)

    def fail(self, method: str, times: int = 1, error: type[Exception] = Unavailable) -> None:
        """The next calls do nothing and raise."""

        async def failed(_: Callable[[], Awaitable[Any]]) -> Any:
            raise error(method)

        self._plans[method].extend([failed] * times)

    def lose(self, method: str, times: int = 1) -> None:
        """The next calls take effect, and their answers are lost."""

        async def lost(call: Callable[[], Awaitable[Any]]) -> Any:
            await call()
            raise Unavailable(method)

        self._plans[method].extend([lost] * times)

    def before(self, method: str, first: Callable[[], Awaitable[Any]], times: int = 1) -> None:
        """Another process does something just before the next calls."""

        async def raced(call: Callable[[], Awaitable[Any]]) -> Any:
            # Turns are taken within a process only: behind its own caller's, `first` would wait for ten seconds.
            with mock.patch.object(commits, "_turns", WeakValueDictionary()):
                await first()
            return await call()

        self._plans[method].extend([raced] * times)

    def let_pass(self, method: str, times: int = 1) -> None:
        """The next calls go well; for plans that are to begin later."""

        async def passed(call: Callable[[], Awaitable[Any]]) -> Any:
            return await call()

        self._plans[method].extend([passed] * times)

    def calm(self) -> None:
        """All plans that are left are forgotten."""
        self._plans.clear()

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if not asyncio.iscoroutinefunction(attribute):
            return attribute

        async def called(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            plans = self._plans[name]
            if plans:
                return await plans.popleft()(lambda: attribute(*args, **kwargs))
            return await attribute(*args, **kwargs)

        return called


class FixedConfig:
    """Live settings that a test sets."""

    def __init__(self, config: LiveSettings) -> None:
        self.config = config

    async def get(self) -> LiveSettings:
        return self.config


class NameVerifier:
    """Tokens are names: "alice" proves alice, who signed in just now, and "alice~" alice of an hour ago.

    "alice?" has an address that is not verified.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock

    async def verify(self, token: str) -> Identity:
        if token == "wrong":
            raise ApiError("UNAUTHENTICATED", headers={"WWW-Authenticate": "Bearer"})
        name, age = token.rstrip("?~"), timedelta(hours=1 if token.endswith("~") else 0)
        verified = not token.endswith("?")
        return Identity(
            "https://issuer.example", name, "default", f"{name}@example.com", verified, signed_in_at=self._clock() - age
        )


class ScriptedInternet:
    """Servers outside, by what they answer: a status, or the reason why they are not reached. Others answer 200."""

    def __init__(self) -> None:
        self.answers: deque[int | str | HttpAnswer] = deque()
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        # What each of the next posts waits for before it is answered.
        self.meanwhile: deque[Callable[[], Awaitable[object]]] = deque()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        self.posts.append((url, dict(headers), body))
        if self.meanwhile:
            await self.meanwhile.popleft()()
        answer = self.answers.popleft() if self.answers else 200
        if isinstance(answer, str):
            raise NotReached(answer)
        return answer if isinstance(answer, HttpAnswer) else HttpAnswer(answer)

    async def fetch(self, url: str, max_bytes: int, accept: str = "*/*") -> HttpAnswer:
        raise NotReached("there are no files")


@dataclass
class House:
    """Everything in memory, and what tests do with it."""

    clock: Clock = field(default_factory=Clock)
    config: FixedConfig = field(default_factory=lambda: FixedConfig(LiveSettings(signup_credits=500)))

    def __post_init__(self) -> None:
        # Its own process: no waiting for turns of another test.
        commits._turns.clear()
        self.media: Any = Shaky(MemoryObjectStore(BUCKET, clock=self.clock))
        self.store: Any = Shaky(MemoryFirestore(self.clock))
        self.live = MemoryChangeFeed(self.store)
        self.queue: Any = Shaky(MemoryTaskQueue(self.clock))
        self.internet = ScriptedInternet()
        self.receivers = Receivers()
        self.omni = ScriptedGenerator()
        self.veo = ScriptedGenerator(media=self.media)
        numbers = count()
        self.services = Services(
            settings=SETTINGS,
            firestore=self.store,
            changes=self.live,
            tasks=self.queue,
            objects=self.media,
            providers=Providers({"vertex": self.veo, "gemini": self.omni}),
            live_settings=self.config,
            verifier=NameVerifier(self.clock),
            public_http=self.internet,
            images=ImagesHere(),
            clock=self.clock,
            ids=lambda: f"id{next(numbers):020d}",
            sleep=self.clock.sleep,
        )

    def configure(self, **changes: Any) -> None:
        self.config.config = self.config.config.model_copy(update=changes)

    def with_stored_config(self) -> None:
        """Live settings come from the store's config documents from now on."""
        self.services = replace(self.services, live_settings=StoredLiveSettings(SETTINGS, self.store, self.clock))

    def script(self, **script: Any) -> None:
        """The results of all jobs' creates, polls and downloads."""
        self.omni.script = self.veo.script = Script(**script)

    @property
    def creates(self) -> int:
        return len(self.omni.creates) + len(self.veo.creates)

    async def sign_up(self, name: str = "alice", **changes: Any) -> Caller:
        """An account with 500 credits, unless `changes` say otherwise of the account."""
        fresh = Account(
            id=name, issuer="i", sub=name, tenant="default", created_at=self.clock(), change_id=self.services.ids()
        )
        opened, *rest = ledger.open_account(fresh, True, LiveSettings(signup_credits=500), self.clock())
        account = opened.changed(**changes)
        assert isinstance(account, Account)
        await self.store.commit([account, *rest])
        return Caller(name, account.tenant, account.role, account.plan, None)

    async def fund(self, tenant: str = "default", amount: int = 100_000) -> None:
        """An operator grants to the tenant, out of which its administrators may give."""
        name = f"operator-{self.services.ids()}"
        operator = await self.sign_up(name, role="operator")
        body = GrantToTenant(amount=amount, description="For tests")
        await tenants.grant(self.services, operator, tenant, body, name)

    async def give(self, account: str, amount: int) -> None:
        """An administrator of the account's tenant gives it credits."""
        tenant, name = (await self.account(account)).tenant, f"giver-{self.services.ids()}"
        await self.fund(tenant, amount)
        giver = await self.sign_up(name, role="admin", tenant=tenant)
        # Users' ids have 22 characters; those of tests are names.
        body = GrantCredits(amount=amount, description="For tests")
        batch = await users._grant(self.services, giver, await self.account(account), body, f"grant-{name}")
        await self.services.firestore.commit([batch.document, *batch.others])

    async def submit(self, caller: Caller, key: str | None = None, **body: Any) -> Job:
        """A small Omni video unless the body says otherwise."""
        wanted = {"prompt": "a paper boat", "model": "omni-flash", "seconds": 3, "resolution": "360p"} | body
        return (await submission.submit(self.services, caller, CreateVideo.model_validate(wanted), key)).job

    async def submit_veo(self, caller: Caller, **body: Any) -> Job:
        """The smallest video of a provider that writes files into our bucket itself."""
        return await self.submit(caller, **{"model": "veo-3.1-fast", "seconds": 4, "resolution": "720p"} | body)

    async def job(self, id: str) -> Job:  # noqa: A002
        job = await self.store.get(Job, id)
        assert job is not None
        return job  # type: ignore[no-any-return]

    async def job_of_alice(self) -> Job:
        """Any of alice's jobs."""
        return next(job for job in self.store.documents(Job) if job.account == "alice")

    async def account(self, name: str = "alice") -> Account:
        found = await self.store.get(Account, name)
        assert found is not None
        return found  # type: ignore[no-any-return]

    def amounts(self, job: Job) -> list[int]:
        """What the ledger holds of the job, the charge first."""
        entries = [entry for entry in self.store.documents(Transaction) if entry.job == job.id]
        return [entry.amount for entry in sorted(entries, key=lambda entry: entry.sequence)]

    async def deliver(self, job: Job, step: int | None = None) -> TaskResult:
        """One delivery of the job's current task, or of another step's."""
        step = (await self.job(job.id)).step if step is None else step
        return await worker.deliver(self.services, job.id, step)

    async def deliver_next(self) -> Entry | None:
        """Deliver the queue's next task at its time, and report the result to the queue."""
        entries = self.queue.entries()
        if not entries:
            return None
        entry: Entry = entries[0]
        self.clock.now = max(self.clock.now, entry.due_at)
        self.queue.begin(entry)
        result = await self._handle(entry)
        self.queue.finish(entry, result.value)
        return entry

    async def _handle(self, entry: Entry) -> TaskResult:
        body = entry.task.body
        match entry.task.path:
            case "/tasks/webhook":
                return await deliveries.deliver(self.services, self.receivers, body["id"], body["step"])
            case "/tasks/chore":
                return await data_rights.deliver(self.services, body["id"], body["step"])
        return await worker.deliver(self.services, body["job"], body["step"])

    async def run(self, job: Job, stop: Callable[[Job], bool] = lambda job: job.final and job.due_at is None) -> Job:
        """Deliver all that the queue holds, in its order, until the job is as wanted."""
        for _ in range(2_000):
            found = await self.job(job.id)
            if stop(found):
                return found
            assert await self.deliver_next() is not None, f"the queue is empty, the job {found.stage}"
        raise AssertionError("the job does not get there")

    async def until(self, job: Job, stage: str) -> Job:
        return await self.run(job, lambda found: found.stage == stage)

    async def files(self) -> list[str]:
        return [item.name for item in await self.media.list("")]

    def check(self) -> None:
        """All promises that hold at every moment."""
        invariants.check(self.records(), self.config.config, self.read)

    def records(self) -> invariants.Records:
        return invariants.Records(
            self.store.documents(Job),
            self.store.documents(Account),
            self.store.documents(Transaction),
            self.store.documents(TenantBudget),
            self.store.documents(TenantGrant),
        )

    def read(self, name: str) -> bytes | None:
        files = self.media._files
        record = files.find(name)
        return None if record is None else files.open(record).read()


def film(seconds: float, width: int, height: int, container: str = "mp4") -> bytes:
    """A video of two frames a second."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream("libx264", rate=2, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(round(seconds * 2)):
            frame = VideoFrame(width, height, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([40 + number % 200]) * plane.buffer_size)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture(scope="session")
def small_video() -> bytes:
    """The video that a 3 s job of Omni at 360p asks for."""
    return film(3, 640, 360)


@pytest.fixture(scope="session")
def veo_video() -> bytes:
    """The video that a 4 s job of Veo at 720p asks for."""
    return film(4, 1280, 720)


@pytest.fixture
def house(small_video: bytes, veo_video: bytes) -> House:
    made = House()
    made.omni.video = small_video
    made.veo.video = veo_video
    return made
