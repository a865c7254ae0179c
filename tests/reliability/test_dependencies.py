"""One of the four services is down for a while: bounded response times, nothing lost, and jobs continue."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from local.ports import HOST, free_ports
from shared.core import lifecycle
from shared.core.documents import Account, Job, Stage, TaskRef
from shared.core.errors import Unavailable
from shared.gateways.cloud_tasks import CloudTasks
from shared.gateways.firestore import GoogleFirestore
from shared.platform.provider import Throttled
from shared.platform.settings import Settings
from testing.cloud import Cloud, Json, User
from testing.console import Console
from testing.processes import Processes
from tests.reliability.conftest import SettingsEdits, Stranded
from tests.unit.conftest import House

# The longest that a client may have to wait: reading the settings, the account and the job, each with its own time-out,
# or a commit that is tried for ten seconds.
ANSWER_WITHIN_S = 60.0
OMNI = {"model": "omni-flash", "seconds": 3, "resolution": "360p"}
LOOK_EVERY_S = 0.1


@pytest.fixture
def user(cloud: Cloud) -> User:
    """A user whom the functions know."""
    made = cloud.user()
    made.call("POST", "/v1/videos/estimate", json={"prompt": "a first look"}).raise_for_status()
    made.account  # noqa: B018
    return made


@pytest.fixture
def gemini(live: SettingsEdits) -> Iterator[None]:
    """Omni's videos are files of the Gemini API, which are fetched; else Vertex AI writes them into the bucket."""
    live.apply(providers={"omni-flash": "gemini"})
    yield
    live.apply()


def asked(user: User, *calls: tuple[str, str, Json | None]) -> list[httpx2.Response]:
    """The answers to several requests made at once; each must come in bounded time."""

    def ask(call: tuple[str, str, Json | None]) -> httpx2.Response:
        method, path, body = call
        return user.call(method, path, json=body, timeout=ANSWER_WITHIN_S)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(ask, calls))


def said_unavailable(answer: httpx2.Response) -> bool:
    return (
        answer.status_code == 503
        and int(answer.headers["retry-after"]) > 0
        and answer.json()["error"]["code"] == "UNAVAILABLE"
    )


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(LOOK_EVERY_S)


# --- Firestore ---


@pytest.mark.usefixtures("every_promise_holds")
def test_firestore_outage_is_503_with_retry_after_and_charges_nothing(
    user: User, processes: Processes, console: Console
) -> None:
    running = user.create("a heron [slow 4s]", **OMNI)
    balance = user.account["balance"]
    with processes.frozen("firestore"):
        answers = asked(
            user,
            ("POST", "/v1/videos", {"prompt": "a boat", **OMNI}),
            ("POST", f"/v1/videos/{running['id']}/cancel", None),
            ("GET", f"/v1/videos/{running['id']}", None),
            ("GET", "/v1/videos", None),
            ("GET", "/v1/account", None),
            ("GET", f"/v1/videos/{running['id']}/content", None),
        )
    assert all(said_unavailable(answer) for answer in answers), [(one.status_code, one.text) for one in answers]
    refused = answers[0].json()["error"]["details"].get("video")
    assert refused is None or not console.exists(refused)
    assert user.account["balance"] == balance
    assert user.wait(running["id"])["status"] == "completed"
    assert user.finish("a boat", **OMNI)["status"] == "completed"


# --- Cloud Tasks ---


@pytest.mark.usefixtures("every_promise_holds")
def test_submit_during_a_cloud_tasks_outage_is_accepted_and_finishes_afterwards(
    stranded: Stranded, processes: Processes
) -> None:
    """The sweeper gives it its first task, a minute later: the others are run meanwhile."""
    assert stranded.answer.status_code == 202, stranded.answer.text
    assert stranded.meanwhile["status"] == "queued"
    job = stranded.answer.json()["id"]
    assert [entry["job"] for entry in processes.logged("submit", "first_task_not_created")] == [job]
    assert stranded.user.wait(job)["status"] == "completed"


# --- Cloud Storage ---


@pytest.mark.usefixtures("gemini", "every_promise_holds")
def test_job_stores_and_completes_after_a_bucket_outage(user: User, processes: Processes) -> None:
    job = user.create("a heron [slow 2s]", **OMNI)
    user.wait(job["id"], lambda found: found["stage"] == "generating")
    with processes.frozen("storage"):
        user.wait(job["id"], lambda found: found["stage"] == "storing")
        # The upload is in progress; the rest of the API does not need the bucket.
        answers = asked(
            user, ("GET", f"/v1/videos/{job['id']}", None), ("GET", f"/v1/videos/{job['id']}/content", None)
        )
    assert [answer.status_code for answer in answers] == [200, 409]
    assert user.wait(job["id"])["status"] == "completed"


# --- the provider ---


@pytest.mark.usefixtures("gemini", "every_promise_holds")
def test_broken_download_is_repeated(user: User, console: Console) -> None:
    job = user.finish("a broken bridge [truncated download]", **OMNI)
    assert (job["status"], console.job(job["id"]).provider) == ("completed", "gemini")


@pytest.mark.usefixtures("every_promise_holds")
def test_video_of_a_lost_answer_is_found_in_the_bucket(user: User, console: Console) -> None:
    job = user.finish("a boat [unnamed]", **OMNI)
    assert (job["status"], console.job(job["id"]).provider) == ("completed", "vertex-omni")


@pytest.mark.usefixtures("every_promise_holds")
def test_silent_provider_fails_no_job(user: User, processes: Processes, console: Console) -> None:
    generating = user.create("a heron [slow 3s]", **OMNI)
    user.wait(generating["id"], lambda found: found["stage"] == "generating")
    with processes.frozen("providers"):
        starting = user.create("a boat", **OMNI)
        user.wait(starting["id"], lambda found: found["stage"] == "starting")
        # The first one is due for a poll, which fails.
        due = console.job(generating["id"]).due_at
        assert due is not None
        until(lambda: time.time() > due.timestamp() + 1, "a look")
        assert user.get(generating["id"])["status"] == "in_progress"
    assert user.wait(generating["id"])["status"] == "completed"
    assert user.wait(starting["id"])["status"] == "completed"
    assert console.job(starting["id"]).attempt == 1


@pytest.mark.parametrize("stage", [Stage.QUEUED, Stage.GENERATING])
async def test_ten_minute_provider_outage_fails_no_job(house: House, small_video: bytes, stage: Stage) -> None:
    house.omni.video = small_video
    caller = await house.sign_up()
    job = await house.submit(caller)
    if stage is Stage.GENERATING:
        job = await house.until(job, "generating")
    over = house.clock.now.timestamp() + 600
    start, poll = house.omni.start, house.omni.poll

    def out() -> bool:
        return house.clock().timestamp() < over

    async def start_later(*args: Any) -> str:
        if out():
            raise Throttled("no connection")
        return await start(*args)

    async def poll_later(*args: Any) -> Any:
        if out():
            raise ConnectionError("no connection")
        return await poll(*args)

    house.omni.start, house.omni.poll = start_later, poll_later  # type: ignore[method-assign]
    ended = await house.run(job)
    assert ended.stage is Stage.COMPLETED
    assert ended.completed_at is not None
    assert ended.completed_at.timestamp() >= over
    assert house.creates == 1
    house.check()


# --- what the clients do with a port that refuses, hangs up, or says nothing ---


@contextlib.asynccontextmanager
async def refusing() -> AsyncIterator[int]:
    yield free_ports(1)[0]


@contextlib.asynccontextmanager
async def hanging_up() -> AsyncIterator[int]:
    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, HOST, 0) as server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def silent() -> AsyncIterator[int]:
    writers: list[asyncio.StreamWriter] = []

    async def keep(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    async with await asyncio.start_server(keep, HOST, 0) as server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.close()


async def test_every_call_to_a_dead_service_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word of the caller about time: each gateway has a limit of its own, and says Unavailable."""
    job = await house.submit(await house.sign_up())
    calls: list[Awaitable[Any]] = []
    async with refusing() as refused, hanging_up() as hung_up, silent() as mute:
        for port in (refused, hung_up, mute):
            monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"{HOST}:{port}")
            settings = Settings(google_cloud_project="p", bucket="b", cloud_tasks_emulator_host=f"{HOST}:{port}")
            store, queue = GoogleFirestore(settings), CloudTasks(settings)
            # Created now: the environment says whom to call.
            assert store._client
            calls += [
                store.get(Account, "somebody"),
                store.get_all([(Job, job.id), (Account, job.account)]),
                store.commit([job.changed(revision=None)]),
                store.due(Job, house.clock(), None, 10),
                store.read_config("video"),
                queue.exists(TaskRef(name="a-0", queue="poll")),
                queue.create(lifecycle.current_task(job)),
            ]
        async with asyncio.timeout(ANSWER_WITHIN_S):
            results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * len(calls), results
