"""What the in-memory gateways add to the real ones: manual control, saving, and scripted replies."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from starlette.applications import Starlette

from local.embedded.saved import STORAGE, STORE, SavedStore, saved_object
from local.memory.generator import LostAnswer, MediaBuckets, MemoryGenerator, Script, ScriptedGenerator, Videos
from local.memory.media import DiskFiles, MemoryObjectStore
from local.memory.queue import Limits, MemoryTaskQueue, limits_of
from local.memory.store import MemoryFirestore
from local.providers.durations import Durations
from local.providers.engine import Engine, Generation
from local.providers.render import Film
from local.tasks.retry import RetryPolicy
from shared.core.documents import STATUS_OF, Account, Job, Stage, TaskRef, Transaction, VideoRequest
from shared.core.errors import Conflict
from shared.core.lifecycle import Task
from shared.platform.provider import Failed, Finished, PollResult, Rejected, Running, Throttled
from tests.unit.wire import started

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FILM = b"film" * 500


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def a_job(prompt: str = "a red fox", model: str = "veo-3.1-fast", count: int = 1, id_: str = "video_a") -> Job:
    request = VideoRequest(
        prompt=prompt,
        model=model,
        seconds=4,
        aspect_ratio="16:9",
        resolution="720p",
        generate_audio=True,
        count=count,
    )
    return Job(
        id=id_,
        tenant="default",
        account="ann",
        request=request,
        provider="gemini" if request.model == "omni-flash" else "vertex",
        fingerprint="f",
        status=STATUS_OF[Stage.STARTING],
        stage=Stage.STARTING,
        task=TaskRef(name="a-0", queue="poll"),
        due_at=NOON,
        expected_s=60.0,
        attempt=1,
        cost=40,
        labels={"timestampValue": "no time", "$": "x"},
        created_at=NOON,
        updated_at=NOON,
    )


# --- the store ---


async def commit(store: MemoryFirestore, *documents: Any) -> list[Any]:
    return await store.commit(cast(Sequence[Job], documents))


async def test_saved_database_round_trips_through_json(clock: Clock) -> None:
    store = MemoryFirestore(clock)
    job, account = await commit(
        store, a_job(), Account(id="ann", issuer="i", sub="s", tenant="default", created_at=NOON)
    )
    store.edit_config("video", {"a": [1, 2.0, None, True, "x", b"\x00", NOON, {"b": {}}]})
    another = MemoryFirestore(clock)
    another.load(json.loads(json.dumps(store.snapshot())))
    assert await another.get_all([(Job, "video_a"), (Account, "ann")]) == [job, account]
    assert await another.read_config("video") == await store.read_config("video")
    [after] = await commit(another, job.changed(step=1))
    assert after.revision > job.revision, "a loaded database never gives an old revision again"


async def test_revisions_increase_even_when_the_clock_stands_still(clock: Clock) -> None:
    store = MemoryFirestore(clock)
    [first] = await commit(store, a_job())
    clock.advance(-60)
    [second] = await commit(store, first.changed(step=1))
    assert second.revision > first.revision
    with pytest.raises(Conflict):
        await commit(store, first.changed(step=2))


async def test_copy_does_not_follow_its_original(clock: Clock) -> None:
    store = MemoryFirestore(clock)
    [job] = await commit(store, a_job())
    copied = store.copy()
    await commit(store, job.changed(step=1), a_job(id_="video_b"))
    assert [each.step for each in copied.documents(Job)] == [0]
    assert [each.id for each in store.documents(Job)] == ["video_a", "video_b"]
    assert store.documents(Transaction) == []


async def test_saver_can_tell_whether_something_changed(clock: Clock) -> None:
    store = MemoryFirestore(clock)
    before = store.changes
    await store.get(Job, "video_a")
    assert store.changes == before
    await commit(store, a_job())
    assert store.changes > before


# --- the queue ---

RETRY = RetryPolicy(-1, 0, min_backoff_s=1, max_backoff_s=8, max_doublings=16)


def a_queue(clock: Clock, **limits: Any) -> MemoryTaskQueue:
    return MemoryTaskQueue(clock, lambda queue: Limits(retry=RETRY, **limits))


def a_task(name: str, at: datetime | None = None, queue: str = "poll") -> Task:
    return Task(TaskRef(name=name, queue=queue), at, {"job": name})


def names(entries: Sequence[Any]) -> list[str]:
    return [entry.ref.name for entry in entries]


async def test_scheduler_sees_due_tasks_in_order_and_the_next_time(clock: Clock) -> None:
    queue = a_queue(clock)
    await queue.create(a_task("late", NOON + timedelta(seconds=5)))
    await queue.create(a_task("now"))
    await queue.create(a_task("early", NOON - timedelta(seconds=5)))
    assert names(queue.due()) == ["early", "now"]
    for entry in queue.due():
        queue.begin(entry)
        queue.finish(entry, 204)
    assert queue.due() == []
    assert queue.next_at() == NOON + timedelta(seconds=5)
    clock.advance(5)
    assert names(queue.due()) == ["late"]


async def test_task_can_be_delivered_twice_at_once(clock: Clock) -> None:
    queue = a_queue(clock)
    await queue.create(a_task("a"))
    [entry] = queue.due()
    queue.begin(entry)
    queue.begin(entry)
    queue.finish(entry, 204)
    queue.finish(entry, 500)
    assert not await queue.exists(entry.ref), "the first success removed it for good"


async def test_failed_delivery_backs_off_exponentially(clock: Clock) -> None:
    queue = a_queue(clock)
    await queue.create(a_task("a"))
    waits = []
    for _ in range(5):
        [entry] = queue.due()
        queue.begin(entry)
        assert queue.due() == [], "it is under way"
        queue.finish(entry, 500)
        waits.append((entry.due_at - clock.now).total_seconds())
        clock.now = entry.due_at
    assert waits == [1, 2, 4, 8, 8]


async def test_lost_task_blocks_its_name_for_a_day(clock: Clock) -> None:
    queue = a_queue(clock)
    await queue.create(a_task("a"))
    queue.drop(TaskRef(name="a", queue="poll"))
    await queue.create(a_task("a"))
    assert queue.entries() == []
    clock.advance(24 * 3600)
    await queue.create(a_task("a"))
    assert names(queue.entries()) == ["a"]


async def test_queue_can_be_purged_alone(clock: Clock) -> None:
    queue = a_queue(clock)
    await queue.create(a_task("a"))
    await queue.create(a_task("b", queue="generate"))
    assert queue.purge("poll") == 1
    assert names(queue.entries()) == ["b"]
    assert queue.purge() == 1


async def test_take_respects_rate_and_concurrency(clock: Clock) -> None:
    queue = a_queue(clock, max_per_s=2.0, max_concurrent=3)
    for number in range(6):
        await queue.create(a_task(str(number)))
    assert names(queue.take()) == ["0", "1"]
    assert queue.wait_s() == pytest.approx(0.5)
    clock.advance(1)
    taken = queue.take()
    assert names(taken) == ["2"], "a third is under way, and no more are allowed"
    assert queue.wait_s() is None
    queue.finish(taken[0], 204)
    assert names(queue.take()) == ["3"]


async def test_overloaded_target_slows_only_its_queue(clock: Clock) -> None:
    queue = a_queue(clock, max_per_s=1.0)
    for name in ("generate", "poll"):
        await queue.create(a_task(f"{name}-1", queue=name))
        await queue.create(a_task(f"{name}-2", queue=name))
    for entry in queue.take():
        queue.finish(entry, 503 if entry.ref.queue == "generate" else 500)
    clock.advance(1)
    assert names(queue.take()) == ["poll-2"]


def test_models_queue_is_paced_to_its_quota() -> None:
    assert limits_of("generate-veo-3-1-fast").max_per_s == pytest.approx(50 / 60)
    assert limits_of("poll").max_per_s > limits_of("generate-veo-3-1-fast").max_per_s


# --- the bucket ---


async def test_signed_url_expires(clock: Clock) -> None:
    media = MemoryObjectStore("b", clock=clock, public_url="http://studio")
    await media.write("a/film.mp4", lambda destination: cast(None, destination.write(FILM)), "video/mp4")
    signed = await media.sign("a/film.mp4", "film.mp4")
    transport = httpx2.ASGITransport(app=Starlette(routes=list(media.routes())))
    async with httpx2.AsyncClient(transport=transport) as browser:
        clock.advance(15 * 60 - 1)
        assert (await browser.get(signed.url)).content == FILM
        assert (await browser.head(signed.url)).headers["content-length"] == str(len(FILM))
        clock.advance(1)
        assert (await browser.get(signed.url)).status_code == 403


async def test_new_objects_are_announced_once(clock: Clock) -> None:
    announced: list[str] = []
    media = MemoryObjectStore("b", clock=clock, finalized=lambda record: announced.append(record.name))
    for _ in range(2):
        await media.write("a", lambda destination: cast(None, destination.write(FILM)), "video/mp4")
    assert announced == ["a"]


# --- the providers ---


async def render(film: Film) -> bytes:
    return FILM


async def settled(engine: Engine, generator: MemoryGenerator, operation: str) -> Any:
    await engine.wait(operation.rpartition("/")[2].removeprefix("v1_"))
    return await generator.poll(operation)


def a_provider(provider: Any, accepted: Callable[[Generation, str], None] = lambda generation, name: None) -> Any:
    media = MemoryObjectStore("bucket")
    engine = Engine(render, MediaBuckets(media), durations=Durations(0, 0))
    return media, engine, MemoryGenerator(provider, engine, media, accepted)


async def test_vertex_writes_every_video_under_the_prefix() -> None:
    media, engine, vertex = a_provider("vertex")
    job = a_job(count=2)
    operation = await started(vertex, job, job.prefix)
    assert await vertex.poll(operation) == Running()
    found = await settled(engine, vertex, operation)
    objects = [f"gs://bucket/{item.name}" for item in await media.list(job.prefix)]
    assert found == Finished(tuple(objects))
    assert len(objects) == 2


async def test_gemini_api_keeps_the_video_until_download_and_may_cut_it() -> None:
    media, engine, gemini = a_provider("gemini")
    job = a_job("an owl [truncated download]", "omni-flash")
    found = await settled(engine, gemini, await started(gemini, job, job.prefix))
    assert await media.list("") == []
    with pytest.raises(ConnectionError):
        gemini.download(found.uris[0], io.BytesIO())
    whole = io.BytesIO()
    gemini.download(found.uris[0], whole)
    assert whole.getvalue() == FILM


@pytest.mark.parametrize(
    ("word", "raised", "code"),
    [
        ("content blocked", Rejected, "SAFETY_BLOCKED"),
        ("create 400", Rejected, "PROMPT_REJECTED"),
        ("create 403", Rejected, "PROVIDER_DENIED"),
        ("retired", Rejected, "MODEL_RETIRED"),
        ("retired 403", Rejected, "MODEL_RETIRED"),
        ("429", Throttled, None),
        ("503", ConnectionError, None),
        ("accepted 503", ConnectionError, None),
        ("create 500", ConnectionError, None),
        ("lost answer", ConnectionError, None),
    ],
)
async def test_prompt_words_reject_a_create_as_on_the_wire(
    word: str, raised: type[Exception], code: str | None
) -> None:
    _, engine, vertex = a_provider("vertex")
    with pytest.raises(raised) as refusal:
        await started(vertex, a_job(f"an owl [{word}]"), "p/")
    assert getattr(refusal.value, "code", None) == code
    await engine.close()


@pytest.mark.parametrize(
    ("provider", "word", "found"),
    [
        ("vertex", "blocked", Finished((), 1)),
        ("gemini", "blocked", Failed("SAFETY_BLOCKED", "")),
        ("vertex-omni", "blocked", Failed("SAFETY_BLOCKED", "")),
        ("vertex", "operation error", Failed("PROVIDER_ERROR", "")),
        ("vertex", "operation error 7", Failed("PROVIDER_DENIED", "")),
        ("vertex", "empty", Failed("PROVIDER_ERROR", "")),
        ("gemini", "empty", Failed("PROVIDER_ERROR", "")),
    ],
)
async def test_prompt_words_decide_the_outcome(provider: str, word: str, found: PollResult) -> None:
    _, engine, generator = a_provider(provider)
    seen = await settled(engine, generator, await started(generator, a_job(f"an owl [{word}]"), "p/"))
    match found:
        case Failed(code):
            assert isinstance(seen, Failed)
            assert seen.code == code
        case Finished():
            assert (seen.uris, seen.filtered) == (found.uris, found.filtered)
            assert "42237218" in seen.reason


async def test_vertex_omni_writes_its_video_even_if_the_answer_is_lost() -> None:
    for prompt in ("an owl", "an owl [unnamed]"):
        media, engine, generator = a_provider("vertex-omni")
        job = a_job(prompt, "omni-flash")
        operation = await started(generator, job, job.prefix)
        if "unnamed" in prompt:
            with pytest.raises(LookupError):
                await settled(engine, generator, operation)
        else:
            (uri,) = (await settled(engine, generator, operation)).uris
            assert uri.startswith(f"gs://bucket/{job.prefix}")
        assert len(await media.list(job.prefix)) == 1


async def test_only_omni_can_be_stopped() -> None:
    for provider, stopped in (("vertex", False), ("vertex-omni", True), ("gemini", True)):
        _, engine, generator = a_provider(provider)
        operation = await started(generator, a_job("an owl [never finishes]"), "p/")
        await asyncio.sleep(0)
        await generator.cancel(operation)
        assert isinstance(await generator.poll(operation), Failed) == stopped
        await engine.close()


async def test_lost_answer_is_reported_to_the_webhook_sender() -> None:
    told: list[str] = []
    _, engine, gemini = a_provider("gemini", lambda generation, name: told.append(name))
    with pytest.raises(ConnectionError):
        await started(gemini, a_job("an owl [lost answer]", "omni-flash"), "p/")
    assert isinstance(await settled(engine, gemini, told[0]), Finished)


async def test_script_plays_creates_polls_and_downloads_in_order() -> None:
    script = Script(
        creates=[Throttled("full"), None],
        looks=[Running(), OSError("no answer"), Videos(2, filtered=1, reason="why")],
        fetches=[OSError("cut"), None],
    )
    generator = ScriptedGenerator(script, FILM)
    job = a_job()
    with pytest.raises(Throttled):
        await started(generator, job, job.prefix)
    operation = await started(generator, job, job.prefix)
    assert await generator.poll(operation) == Running()
    with pytest.raises(OSError, match="no answer"):
        await generator.poll(operation)
    found = await generator.poll(operation)
    assert isinstance(found, Finished)
    assert (len(found.uris), found.filtered, found.reason) == (2, 1, "why")
    assert await generator.poll(operation) == found, "the last outcome stands"
    half, whole = io.BytesIO(), io.BytesIO()
    with pytest.raises(OSError, match="cut"):
        generator.download(found.uris[0], half)
    generator.download(found.uris[0], whole)
    assert (half.getvalue(), whole.getvalue()) == (FILM[: len(FILM) // 2], FILM)
    assert len(generator.creates) == 2
    assert len(generator.started) == 1


async def test_scripted_lost_answer_leaves_a_findable_video() -> None:
    media = MemoryObjectStore("bucket")
    scripts = {"video_a": Script(creates=[LostAnswer()]), "video_b": Script()}
    generator = ScriptedGenerator(lambda job: scripts[job.id], FILM, media)
    job = a_job()
    with pytest.raises(LostAnswer):
        await started(generator, job, job.prefix)
    assert [item.size_bytes for item in await media.list(job.prefix)] == [len(FILM)]
    other = a_job(id_="video_b")
    await started(generator, other, other.prefix)
    assert await media.list(other.prefix) == [], "its video is there once it is looked at"


async def test_embedded_process_reloads_what_it_saved(tmp_path: Path) -> None:
    saved = SavedStore(tmp_path)
    [job] = await commit(saved.store, a_job())
    media = MemoryObjectStore("bucket", DiskFiles(tmp_path / STORAGE, "bucket"))
    await media.write("a/b", lambda destination: cast(None, destination.write(FILM)), "video/mp4")
    await saved.save()
    assert await SavedStore(tmp_path).store.get(Job, job.id) == job
    assert saved_object(tmp_path, "bucket", "a/b") == FILM
    assert saved_object(tmp_path, "bucket", "a/c") is None
    written = (tmp_path / STORE).stat().st_mtime_ns
    await saved.save()
    assert (tmp_path / STORE).stat().st_mtime_ns == written, "nothing had changed, so nothing was written"
