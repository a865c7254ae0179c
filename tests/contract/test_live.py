"""What the code relies on of Firestore's Listen, and finds in memory too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from local.memory.live import MemoryChangeFeed
from local.memory.store import MemoryFirestore
from local.ports import HOST
from shared.core.documents import Job, Stage
from shared.platform.ports import ChangeFeed, Firestore, new_id, utc_now
from shared.platform.settings import Settings
from shared.platform.subscription import Subscription
from tests.contract.conftest import Console, FirestoreConsole, MemoryConsole
from tests.contract.test_store import OTHERS, a_job, saved

WITHIN_S = 60.0


class Wire:
    """A TCP connection to the emulator that can be cut: while it is, nothing gets through."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._writers: set[asyncio.StreamWriter] = set()
        self.is_cut = False
        self.connections = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._carry, HOST, 0)
        try:
            yield f"{HOST}:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        self.is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self.is_cut = False

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        self.connections += 1
        there, back = await asyncio.open_connection(*self._target)
        ends = {writer, back}
        self._writers |= ends
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


@dataclass(frozen=True)
class Scene:
    """An empty store and its subscribers. `wire` is None without a network."""

    store: Firestore
    live: ChangeFeed
    console: Console
    wire: Wire | None

    @property
    def watched(self) -> int:
        """How many jobs and accounts are watched."""
        live: Any = self.live
        return len(live._targets) if self.wire else len(live._by_job) + len(live._by_account)

    async def remove(self, job: Job) -> None:
        console: Any = self.console
        if self.wire is None:
            console._store.remove(Job.collection, job.id)
        else:
            await console._client.collection(Job.collection).document(job.id).delete()


@pytest.fixture(params=["memory", "firestore"])
async def scene(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    if request.param == "memory":
        memory = MemoryFirestore()
        yield Scene(memory, MemoryChangeFeed(memory), MemoryConsole(memory), None)
        return
    from shared.gateways.firestore import GoogleFirestore
    from shared.gateways.firestore_listen import FirestoreChangeFeed

    emulator = request.getfixturevalue("emulator")
    settings = Settings(google_cloud_project=f"live-{new_id().lower().replace('_', '-').strip('-')}", bucket="contract")
    wire = Wire(emulator)
    async with wire.listening() as address:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", address)
        live = FirestoreChangeFeed(settings)
        assert live._client is not None
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", emulator)
        yield Scene(GoogleFirestore(settings), live, FirestoreConsole(settings.google_cloud_project), wire)
        await live.close()


def a_new_job(id_: str = "video_a", **changes: Any) -> Job:
    """One whose last change is now, as that of every committed job is."""
    now = utc_now()
    return a_job(id_, created_at=now, updated_at=now, **changes)


def changed(job: Job, **changes: Any) -> Job:
    return job.changed(version=job.version + 1, updated_at=utc_now(), change_id=new_id(), **changes)


async def told(watch: Subscription, enough: Callable[[dict[str, Job | None]], bool]) -> dict[str, Job | None]:
    """The latest reported state of each job, once the condition holds."""
    latest: dict[str, Job | None] = {}
    async with asyncio.timeout(WITHIN_S):
        while not enough(latest):
            latest |= await watch.take(WITHIN_S)
    return latest


async def begun(scene: Scene, watch: Subscription, *jobs: Job) -> None:
    """The watch is at the present state: the emulator alone loses a commit made before it is (a reader helps then)."""
    if scene.wire is not None:
        await told(watch, lambda latest: all(at(job)(latest) for job in jobs))


def at(job: Job) -> Callable[[dict[str, Job | None]], bool]:
    """Whether the job's latest state is at least this version."""

    def there(latest: dict[str, Job | None]) -> bool:
        found = latest.get(job.id)
        return found is not None and found.version >= job.version

    return there


async def test_commit_is_reported_as_stored(scene: Scene) -> None:
    (job,) = await saved(scene.store, a_new_job())
    with scene.live.watch_job(job.id) as watch:
        await begun(scene, watch, job)
        (job,) = await saved(scene.store, changed(job, stage=Stage.STARTING))
        assert (await told(watch, at(job)))[job.id] == job == await scene.store.get(Job, job.id)
        (job,) = await saved(scene.store, changed(job, stage=Stage.GENERATING))
        assert (await told(watch, at(job)))[job.id] == job


async def test_fifty_subscriptions_each_get_their_own_job(scene: Scene) -> None:
    jobs = [a_new_job(f"video_{number:022d}") for number in range(50)]
    jobs = await saved(scene.store, *jobs)
    with ExitStack() as stack:
        watches = [stack.enter_context(scene.live.watch_job(job.id)) for job in jobs]
        for watch, job in zip(watches, jobs, strict=True):
            await begun(scene, watch, job)
        jobs = await saved(scene.store, *[changed(job) for job in jobs])
        for watch, job in zip(watches, jobs, strict=True):
            assert set(await told(watch, at(job))) == {job.id}
        assert scene.watched == 50
        if scene.wire is not None:
            assert scene.wire.connections == 1
    assert scene.watched == 0


async def test_fifty_subscriptions_of_one_job_all_get_it(scene: Scene) -> None:
    (job,) = await saved(scene.store, a_new_job())
    with ExitStack() as stack:
        first = stack.enter_context(scene.live.watch_job(job.id))
        await begun(scene, first, job)
        (job,) = await saved(scene.store, changed(job))
        await told(first, at(job))
        # Later subscribers share an existing target.
        watches = [stack.enter_context(scene.live.watch_job(job.id)) for _ in range(49)]
        (job,) = await saved(scene.store, changed(job))
        for watch in (first, *watches):
            await told(watch, at(job))
        assert scene.watched == 1


async def test_account_gets_all_its_jobs_and_no_others(scene: Scene) -> None:
    mine = a_new_job("video_mine")
    (first,) = await saved(scene.store, a_new_job("video_first"))
    with scene.live.watch_account(mine.tenant, mine.account) as watch:
        await begun(scene, watch, first)
        (other,) = await saved(scene.store, a_new_job("video_other", account=OTHERS))
        (elsewhere,) = await saved(scene.store, a_new_job("video_elsewhere", tenant="acme"))
        (mine,) = await saved(scene.store, mine)
        await told(watch, at(mine))
        await saved(scene.store, changed(other), changed(elsewhere))
        second, mine = await saved(scene.store, a_new_job("video_second"), changed(mine))
        latest = await told(watch, lambda latest: at(mine)(latest) and at(second)(latest))
        assert set(latest) == {"video_mine", "video_second"}


async def test_old_job_is_reported_once_it_changes(scene: Scene) -> None:
    job, first = await saved(scene.store, a_job(updated_at=utc_now() - timedelta(days=3)), a_new_job("video_first"))
    with scene.live.watch_account(job.tenant, job.account) as watch:
        await begun(scene, watch, first)
        (fresh,) = await saved(scene.store, a_new_job("video_fresh"))
        assert set(await told(watch, at(fresh))) == {fresh.id}
        (job,) = await saved(scene.store, changed(job))
        assert set(await told(watch, at(job))) == {job.id}


async def test_deleted_video_is_reported(scene: Scene) -> None:
    (job,) = await saved(scene.store, a_new_job(stage=Stage.COMPLETED))
    with scene.live.watch_account(job.tenant, job.account) as watch:
        await begun(scene, watch, job)
        (job,) = await saved(scene.store, changed(job, deleted_at=utc_now()))
        found = (await told(watch, at(job)))[job.id]
        assert found is not None
        assert found.deleted_at is not None


async def test_missing_document_is_reported_to_all(scene: Scene) -> None:
    (job,) = await saved(scene.store, a_new_job())
    with (
        scene.live.watch_job(job.id) as one,
        scene.live.watch_account(job.tenant, job.account) as all_,
    ):
        await begun(scene, one, job)
        await begun(scene, all_, job)
        (job,) = await saved(scene.store, changed(job))
        await told(one, at(job))
        await told(all_, at(job))
        await scene.remove(job)
        for watch in (one, all_):
            assert await told(watch, lambda latest: job.id in latest and latest[job.id] is None)


async def test_slow_reader_gets_only_the_latest_state(scene: Scene) -> None:
    (job,) = await saved(scene.store, a_new_job())
    with scene.live.watch_job(job.id) as slow, scene.live.watch_job(job.id) as quick:
        await begun(scene, quick, job)
        for _ in range(5):
            (job,) = await saved(scene.store, changed(job))
            await told(quick, at(job))
        assert dict(await slow.take(WITHIN_S)) == {job.id: job}


async def test_invalid_document_does_not_affect_others(scene: Scene) -> None:
    spoiled, job = await saved(scene.store, a_new_job("video_spoiled"), a_new_job())
    with scene.live.watch_account(job.tenant, job.account) as watch:
        await begun(scene, watch, spoiled, job)
        await scene.console.edit(Job.collection, spoiled.id, {"stage": "lost", "updated_at": utc_now()})
        (job,) = await saved(scene.store, changed(job))
        await told(watch, at(job))


async def test_after_a_disconnect_every_subscription_has_the_latest_state(scene: Scene) -> None:
    if scene.wire is None:
        pytest.skip("there is no network to cut")
    jobs = await saved(scene.store, *[a_new_job(f"video_{number:022d}") for number in range(50)])
    removed = (await saved(scene.store, a_new_job("video_removed")))[0]
    with ExitStack() as stack:
        watches = [stack.enter_context(scene.live.watch_job(job.id)) for job in jobs]
        account = stack.enter_context(scene.live.watch_account("default", "ann"))
        of_removed = stack.enter_context(scene.live.watch_job(removed.id))
        await begun(scene, account, *jobs, removed)
        await begun(scene, of_removed, removed)
        for watch, job in zip(watches, jobs, strict=True):
            await begun(scene, watch, job)
        for round_ in range(3):
            jobs = await saved(scene.store, *[changed(job) for job in jobs])
            for watch, job in zip(watches, jobs, strict=True):
                await told(watch, at(job))
            await told(account, lambda latest: all(at(job)(latest) for job in jobs))  # noqa: B023
            scene.wire.cut()
            jobs = await saved(scene.store, *[changed(job, stage=Stage.GENERATING) for job in jobs])
            if round_ == 2:
                await scene.remove(removed)
            scene.wire.mend()
            for watch, job in zip(watches, jobs, strict=True):
                assert (await told(watch, at(job)))[job.id] == job
            await told(account, lambda latest: all(at(job)(latest) for job in jobs))  # noqa: B023
        await told(of_removed, lambda latest: removed.id in latest and latest[removed.id] is None)
        # One connection at first, and one after each cut.
        assert scene.wire.connections >= 4


async def test_subscription_started_during_a_disconnect_is_served_afterwards(scene: Scene) -> None:
    if scene.wire is None:
        pytest.skip("there is no network to cut")
    (job,) = await saved(scene.store, a_new_job())
    scene.wire.cut()
    with scene.live.watch_job(job.id) as watch:
        assert await watch.take(0.3) == {}
        scene.wire.mend()
        await begun(scene, watch, job)
        (job,) = await saved(scene.store, changed(job))
        await told(watch, at(job))


async def test_changed_jobs_are_read_from_a_position_in_order_and_pages(scene: Scene) -> None:
    start = utc_now()
    moments = {"video_b": 1, "video_a": 1, "video_c": 2, "video_before": -1}
    jobs = [a_job(id_, updated_at=start + timedelta(seconds=second)) for id_, second in moments.items()]
    others = [a_new_job("video_other", account=OTHERS), a_new_job("video_elsewhere", tenant="acme")]
    deleted = a_job("video_deleted", updated_at=start + timedelta(seconds=3), deleted_at=start)
    await saved(scene.store, *jobs, *others, deleted)
    first = await scene.store.changed_jobs("default", "ann", start, None, 3)
    assert [job.id for job in first] == ["video_a", "video_b", "video_c"]
    rest = await scene.store.changed_jobs("default", "ann", start, first[-1], 3)
    assert [job.id for job in rest] == ["video_deleted"]
    assert await scene.store.changed_jobs("default", "ann", start, first[0], 1) == [first[1]]
