"""The Cloud Tasks server as its clients meet it: the official async client, and targets on real sockets."""

import asyncio
import dataclasses
import itertools
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.api_core import exceptions
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport

from local.tasks import serve, tombstones
from local.tasks.messages import Task, set_seconds
from local.tasks.pace import Pace
from local.tasks.retry import RetryPolicy
from local.tasks.target import Delivery, Target
from local.tasks.tombstones import Tombstones

LOCATION = "projects/rushes-local/locations/us-central1"
DEADLINE_S = 30.0
EMAIL = "tasks@rushes-local.iam.gserviceaccount.com"


@dataclasses.dataclass(frozen=True)
class Call:
    """One request a target received; `at` is Unix seconds."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


class Worker:
    """An HTTP server that tasks are sent to. `answer` gives the status line's end and more headers for each call."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[Call] = asyncio.Queue()
        self.answer: Callable[[Call], Awaitable[str]] = self._ok
        self._connections: set[asyncio.StreamWriter] = set()
        self._closing = asyncio.Event()

    async def __aenter__(self) -> "Worker":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._closing.set()
        for writer in list(self._connections):
            writer.close()
        while self._connections:
            await asyncio.sleep(0.01)

    def replies(self, *answers: str) -> None:
        """Gives these answers one after the other, then 200."""
        waiting = iter(answers)

        async def answer(_: Call) -> str:
            return next(waiting, "200 OK")

        self.answer = answer

    def hangs(self) -> None:
        """Never answers while it lives."""

        async def answer(_: Call) -> str:
            await self._closing.wait()
            return "200 OK"

        self.answer = answer

    async def next(self) -> Call:
        return await asyncio.wait_for(self.calls.get(), DEADLINE_S)

    async def _ok(self, _: Call) -> str:
        return "200 OK"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, path, _ = first.split()
                call = Call(method, path, headers, body, time.time())
                self.calls.put_nowait(call)
                answer = await self.answer(call)
                writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self._connections.discard(writer)


class Process:
    """`python -m local.tasks` on a free port."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "local.tasks", "--port", "0", *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().split()[-1]

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(DEADLINE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def server(key: rsa.RSAPrivateKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    directory = tmp_path_factory.mktemp("tasks")
    form = serialization.PrivateFormat.PKCS8
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    )
    queues = [{"name": "poll", "max_dispatches_per_second": 50, "min_backoff_s": 0.5, "max_attempts": -1}]
    (directory / "queues.json").write_text(json.dumps(queues))
    options = ["--oidc-key", str(directory / "key.pem"), "--oidc-kid", "k1"]
    process = Process(*options, "--queues", str(directory / "queues.json"))
    yield process
    process.stop()


def connected(address: str) -> tuple[grpc.aio.Channel, tasks_v2.CloudTasksAsyncClient]:
    channel = grpc.aio.insecure_channel(address)
    return channel, tasks_v2.CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))


@pytest.fixture
async def client(server: Process) -> AsyncIterator[tasks_v2.CloudTasksAsyncClient]:
    channel, connected_client = connected(server.address)
    yield connected_client
    await channel.close()


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    async with Worker() as running:
        yield running


async def make_queue(client: tasks_v2.CloudTasksAsyncClient, **settings: Any) -> str:
    """A queue of its own with quick retries."""
    name = f"{LOCATION}/queues/q-{uuid.uuid4().hex}"
    retry = {"max_attempts": -1, "min_backoff": {"nanos": 20_000_000}, "max_backoff": {"nanos": 100_000_000}}
    queue: Any = {"name": name, "retry_config": retry | settings.pop("retry", {}), **settings}
    await client.create_queue(parent=LOCATION, queue=queue)
    return name


@pytest.fixture
async def queue(client: tasks_v2.CloudTasksAsyncClient) -> str:
    return await make_queue(client)


def task(url: str, name: str = "", **settings: Any) -> Any:
    """A task, as the client takes it, for `url`; keywords go into its HTTP request."""
    return {"name": name, "http_request": {"url": url, **settings}}


def later(seconds: float) -> dict[str, int]:
    """A schedule time that many seconds from now."""
    whole, part = divmod(time.time() + seconds, 1)
    return {"seconds": int(whole), "nanos": int(part * 1e9)}


async def gone(client: tasks_v2.CloudTasksAsyncClient, name: str) -> None:
    """Waits until a task is there no more."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            await client.get_task(name=name)
        except exceptions.NotFound:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the task never went")


# Delivery


async def test_task_arrives_unchanged_and_is_gone_after_2xx(
    client: tasks_v2.CloudTasksAsyncClient, queue: str, worker: Worker
) -> None:
    """Method, path, headers and body are the task's; Cloud Tasks adds its own headers and accepts no forged ones."""
    forged = {"X-CloudTasks-TaskName": "x", "X-CloudTasks-TaskPreviousResponse": "200", "X-AppEngine-User": "x"}
    headers = {"Content-Type": "application/json", "X-Mine": "1", "User-Agent": "me"} | forged
    request = task(
        f"{worker.url}/tasks/step?a=1", f"{queue}/tasks/t", body=b'{"job":1}', headers=headers, http_method="PUT"
    )
    created = await client.create_task(parent=queue, task=request)
    assert created.name == f"{queue}/tasks/t"
    call = await worker.next()
    assert (call.method, call.path, call.body) == ("PUT", "/tasks/step?a=1", b'{"job":1}')
    expected = {
        "content-type": "application/json",
        "x-mine": "1",
        "user-agent": "Google-Cloud-Tasks",
        "x-cloudtasks-queuename": queue.rpartition("/")[2],
        "x-cloudtasks-taskname": "t",
        "x-cloudtasks-taskretrycount": "0",
        "x-cloudtasks-taskexecutioncount": "0",
    }
    assert {name: call.headers[name] for name in expected} == expected
    assert float(call.headers["x-cloudtasks-tasketa"]) <= call.at
    assert not {"x-cloudtasks-taskpreviousresponse", "x-appengine-user"} & set(call.headers)
    await gone(client, created.name)


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE", "PATCH", "OPTIONS"])
async def test_every_method_is_sent(
    client: tasks_v2.CloudTasksAsyncClient, queue: str, worker: Worker, method: str
) -> None:
    """The HTTP method is the task's."""
    await client.create_task(parent=queue, task=task(worker.url, http_method=method))
    assert (await worker.next()).method == method


async def test_scheduled_task_waits_for_its_time(client: tasks_v2.CloudTasksAsyncClient, worker: Worker) -> None:
    """No task is sent before its schedule time, and the earlier one goes first regardless of creation order."""
    queue = await make_queue(client, rate_limits={"max_concurrent_dispatches": 1})
    await client.pause_queue(name=queue)
    second, first = later(0.6), later(0.3)
    await client.create_task(parent=queue, task=task(f"{worker.url}/second") | {"schedule_time": second})
    await client.create_task(parent=queue, task=task(f"{worker.url}/first") | {"schedule_time": first})
    await client.resume_queue(name=queue)
    for path, due in (("/first", first), ("/second", second)):
        call = await worker.next()
        assert call.path == path
        assert call.at >= due["seconds"] + due["nanos"] / 1e9 - 1e-3


async def test_deleted_task_is_never_sent(client: tasks_v2.CloudTasksAsyncClient, queue: str, worker: Worker) -> None:
    """Deleting a waiting task takes it out, though it was the next to go; the one behind it arrives."""
    await client.pause_queue(name=queue)
    first = await client.create_task(parent=queue, task=task(f"{worker.url}/deleted"))
    await client.create_task(parent=queue, task=task(f"{worker.url}/kept"))
    await client.delete_task(name=first.name)
    await client.resume_queue(name=queue)
    assert (await worker.next()).path == "/kept"
    with pytest.raises(exceptions.NotFound):
        await client.delete_task(name=first.name)


async def test_task_token_verifies(
    client: tasks_v2.CloudTasksAsyncClient, queue: str, worker: Worker, key: rsa.RSAPrivateKey
) -> None:
    """The OIDC token is Google's in form: issuer, audience (by default the URL), e-mail and an hour's life."""
    for audience in ("https://poll.example", ""):
        oidc = {"service_account_email": EMAIL, "audience": audience}
        await client.create_task(parent=queue, task=task(f"{worker.url}/x", oidc_token=oidc))
        token = (await worker.next()).headers["authorization"].removeprefix("Bearer ")
        assert jwt.get_unverified_header(token) == {"alg": "RS256", "kid": "k1", "typ": "JWT"}
        expected = audience or f"{worker.url}/x"
        claims = jwt.decode(token, key.public_key(), algorithms=["RS256"], audience=expected)
        assert claims["iss"] == "https://accounts.google.com"
        assert (claims["email"], claims["email_verified"]) == (EMAIL, True)
        assert claims["sub"].isdigit()
        assert claims["exp"] - claims["iat"] == 3600


async def test_server_without_a_key_rejects_tasks_with_a_token() -> None:
    """A token that cannot be signed is refused at once, not dropped silently at dispatch."""
    server = await serve()
    channel, client = connected(f"127.0.0.1:{server.port}")
    name = await make_queue(client)
    with pytest.raises(exceptions.FailedPrecondition):
        await client.create_task(parent=name, task=task("http://x", oidc_token={"service_account_email": EMAIL}))
    await channel.close()
    await server.stop()


# Names


async def test_name_can_be_used_once(client: tasks_v2.CloudTasksAsyncClient, queue: str, worker: Worker) -> None:
    """A name is refused while its task waits, after it was deleted, and after it was done."""
    name = f"{queue}/tasks/once"
    waiting = task(worker.url, name) | {"schedule_time": later(3600)}
    await client.create_task(parent=queue, task=waiting)
    with pytest.raises(exceptions.AlreadyExists):
        await client.create_task(parent=queue, task=waiting)
    await client.delete_task(name=name)
    with pytest.raises(exceptions.AlreadyExists):
        await client.create_task(parent=queue, task=waiting)
    done = await client.create_task(parent=queue, task=task(worker.url, f"{queue}/tasks/done"))
    await worker.next()
    await gone(client, done.name)
    with pytest.raises(exceptions.AlreadyExists):
        await client.create_task(parent=queue, task=task(worker.url, done.name))
    other = await make_queue(client)
    await client.create_task(parent=other, task=task(worker.url, f"{other}/tasks/once"))


async def test_tasks_without_a_name_get_one(client: tasks_v2.CloudTasksAsyncClient, queue: str, worker: Worker) -> None:
    """Each unnamed task is a new one."""
    made = [await client.create_task(parent=queue, task=task(worker.url)) for _ in range(3)]
    assert len({each.name for each in made}) == 3
    assert all(each.name.startswith(f"{queue}/tasks/") for each in made)


def test_tombstones_are_bounded_and_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many names are remembered, the oldest forgotten first, and each for a day."""
    monkeypatch.setattr(tombstones, "LIMIT", 2)
    names = Tombstones()
    for name in ("a", "b", "c"):
        names.add(name)
    assert [name in names for name in ("a", "b", "c")] == [False, True, True]
    assert tombstones.LIFETIME_S >= 3600
    monkeypatch.setattr(tombstones, "LIFETIME_S", -1)
    names.add("d")
    assert "d" not in names


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "t"},
        {"name": "projects/p/locations/l/queues/other/tasks/t"},
        {"name": "{queue}/tasks/not allowed"},
        {"name": "{queue}/tasks/" + "x" * 501},
        {"http_request": {"url": "ftp://x"}},
        {"http_request": {"url": "http://x/" + "x" * 2083}},
        {"http_request": {"url": "http://x", "http_method": "GET", "body": b"x"}},
        {"http_request": {"url": "http://x", "body": b"x" * (1 << 20)}},
        {"http_request": {"url": "http://x", "headers": {"a": "x" * 81 * 1024}}},
        {"schedule_time": {"seconds": 1 << 33}},
        {"dispatch_deadline": {"seconds": 14}},
        {"dispatch_deadline": {"seconds": 1801}},
        {"http_request": None},
    ],
)
async def test_task_invalid_in_cloud_tasks_is_rejected(
    client: tasks_v2.CloudTasksAsyncClient, queue: str, wrong: dict[str, Any]
) -> None:
    """Malformed names, sizes and times beyond the documented limits are INVALID_ARGUMENT."""
    asked = task("http://127.0.0.1:1/") | wrong
    asked["name"] = asked["name"].replace("{queue}", queue)
    with pytest.raises(exceptions.InvalidArgument):
        await client.create_task(parent=queue, task=asked)


async def test_largest_body_is_accepted(client: tasks_v2.CloudTasksAsyncClient, queue: str, worker: Worker) -> None:
    """A body just under a mebibyte goes through whole."""
    body = bytes(range(256)) * 4000
    await client.create_task(parent=queue, task=task(worker.url, body=body))
    assert (await worker.next()).body == body


async def test_unknown_queues_tasks_and_methods_are_errors(client: tasks_v2.CloudTasksAsyncClient, queue: str) -> None:
    """What is not there is NOT_FOUND; what is not offered is UNIMPLEMENTED."""
    unknown = f"{LOCATION}/queues/unknown"
    with pytest.raises(exceptions.NotFound):
        await client.create_task(parent=unknown, task=task("http://x"))
    with pytest.raises(exceptions.NotFound):
        await client.get_queue(name=unknown)
    with pytest.raises(exceptions.NotFound):
        await client.get_task(name=f"{queue}/tasks/unknown")
    with pytest.raises(exceptions.MethodNotImplemented):
        await client.test_iam_permissions(resource=queue, permissions=["a"])


# Reading


async def test_waiting_task_can_be_read(client: tasks_v2.CloudTasksAsyncClient, queue: str) -> None:
    """GetTask shows the task without its body, and with it in the full view."""
    due = later(3600)
    asked = task("http://127.0.0.1:1/", f"{queue}/tasks/t", body=b"body") | {"schedule_time": due}
    await client.create_task(parent=queue, task=asked)
    basic = await client.get_task(name=f"{queue}/tasks/t")
    assert (basic.http_request.url, basic.http_request.body) == ("http://127.0.0.1:1/", b"")
    assert int(basic.schedule_time.timestamp()) == due["seconds"]
    assert (basic.dispatch_count, basic.dispatch_deadline.seconds) == (0, 600)
    full = await client.get_task(request={"name": basic.name, "response_view": tasks_v2.Task.View.FULL})
    assert full.http_request.body == b"body"


async def test_attempt_is_recorded_in_the_task(client: tasks_v2.CloudTasksAsyncClient, worker: Worker) -> None:
    """After a failed attempt the task counts it and says how it ended."""
    queue = await make_queue(client, retry={"min_backoff": {"seconds": 60}, "max_backoff": {"seconds": 60}})
    worker.replies("500 Oops")
    made = await client.create_task(parent=queue, task=task(worker.url))
    await worker.next()
    deadline = time.monotonic() + DEADLINE_S
    while (shown := await client.get_task(name=made.name)).response_count == 0:
        assert time.monotonic() < deadline
    assert (shown.dispatch_count, shown.response_count) == (1, 1)
    assert shown.last_attempt.response_status.message == "HTTP status code 500"
    assert (shown.schedule_time - shown.last_attempt.response_time).total_seconds() == pytest.approx(60, abs=0.01)


async def test_tasks_and_queues_are_listed_in_pages(client: tasks_v2.CloudTasksAsyncClient, queue: str) -> None:
    """All are there once, in pages of any size."""
    names = [f"{queue}/tasks/t{number}" for number in range(5)]
    for name in names:
        await client.create_task(parent=queue, task=task("http://x", name) | {"schedule_time": later(3600)})
    pager = await client.list_tasks(request={"parent": queue, "page_size": 2})
    assert [each.name async for each in pager] == names
    queues = await client.list_queues(request={"parent": LOCATION, "page_size": 1})
    found = [each.name async for each in queues]
    assert queue in found
    assert len(found) == len(set(found))


async def test_queues_come_from_a_file_with_their_limits(client: tasks_v2.CloudTasksAsyncClient) -> None:
    """What the file leaves out is the service's default."""
    found = await client.get_queue(name=f"{LOCATION}/queues/poll")
    assert found.state == tasks_v2.Queue.State.RUNNING
    assert (found.rate_limits.max_dispatches_per_second, found.rate_limits.max_concurrent_dispatches) == (50, 1000)
    assert (found.retry_config.max_attempts, found.retry_config.max_doublings) == (-1, 16)
    assert found.retry_config.min_backoff.total_seconds() == 0.5


# Retries


async def test_failed_task_is_retried_with_retry_headers(
    client: tasks_v2.CloudTasksAsyncClient, queue: str, worker: Worker
) -> None:
    """Each retry carries the count, the executions without 5xx, and the answer before; never before its back-off."""
    worker.replies("500 Oops", "404 Not Found", "302 Found\r\nLocation: /elsewhere")
    await client.create_task(parent=queue, task=task(worker.url))
    calls = [await worker.next() for _ in range(4)]
    told = ("taskretrycount", "taskexecutioncount", "taskpreviousresponse")
    stories = [[call.headers.get(f"x-cloudtasks-{name}") for name in told] for call in calls]
    assert stories == [["0", "0", None], ["1", "0", "500"], ["2", "1", "404"], ["3", "2", "302"]]
    for before, after in itertools.pairwise(calls):
        assert float(after.headers["x-cloudtasks-tasketa"]) >= before.at + 0.02 - 1e-3


async def test_unreachable_target_is_retried(client: tasks_v2.CloudTasksAsyncClient, queue: str) -> None:
    """A refused connection is a failure like any other."""
    async with Worker() as away:
        url = away.url
    made = await client.create_task(parent=queue, task=task(url))
    deadline = time.monotonic() + DEADLINE_S
    while (await client.get_task(name=made.name)).dispatch_count < 3:
        assert time.monotonic() < deadline
    assert (await client.get_task(name=made.name)).response_count == 0
    await client.delete_task(name=made.name)


async def test_retry_after_is_honored(client: tasks_v2.CloudTasksAsyncClient, queue: str, worker: Worker) -> None:
    """A target that asks for a second gets it, though the back-off is shorter."""
    worker.replies("500 Oops\r\nRetry-After: 1")
    await client.create_task(parent=queue, task=task(worker.url))
    first, second = await worker.next(), await worker.next()
    assert second.at >= first.at + 1


async def test_task_is_dropped_after_its_attempts(client: tasks_v2.CloudTasksAsyncClient, worker: Worker) -> None:
    """With max_attempts 2 there is one retry, then the task is gone and its name blocked."""
    queue = await make_queue(client, retry={"max_attempts": 2})
    worker.replies("500 Oops", "500 Oops")
    made = await client.create_task(parent=queue, task=task(worker.url))
    await worker.next()
    await worker.next()
    await gone(client, made.name)
    with pytest.raises(exceptions.AlreadyExists):
        await client.create_task(parent=queue, task=task(worker.url, made.name))
    assert worker.calls.empty()


def test_backoff_doubles_then_grows_linearly_up_to_its_cap() -> None:
    """10 s to 300 s with 3 doublings: the documented example."""
    policy = RetryPolicy(-1, 0, 10, 300, 3)
    assert [policy.delay_s(failures) for failures in range(1, 9)] == [10, 20, 40, 80, 160, 240, 300, 300]
    assert RetryPolicy(-1, 0, 0.1, 60, 16).delay_s(100_000) == 60


def test_task_is_dropped_only_when_both_limits_are_reached() -> None:
    """max_attempts and max_retry_duration must both be over; -1 attempts never are."""
    both = RetryPolicy(3, 60, 1, 1, 1)
    assert [both.is_exhausted(*at) for at in ((2, 61), (3, 59), (3, 60))] == [False, False, True]
    assert RetryPolicy(3, 0, 1, 1, 1).is_exhausted(3, 0)
    assert not RetryPolicy(-1, 60, 1, 1, 1).is_exhausted(1000, 1000)


async def test_attempt_ends_at_its_dispatch_deadline(worker: Worker) -> None:
    """A target that does not answer in time is a failure without a status."""
    worker.hangs()
    message = Task(name=f"{LOCATION}/queues/q/tasks/t")
    message.http_request.url = worker.url
    message.http_request.http_method = tasks_v2.HttpMethod.POST
    set_seconds(message.dispatch_deadline, 0.05)
    target = Target(None)
    outcome = await asyncio.wait_for(target.attempt(Delivery(message, 0.0, 0, 0, None)), DEADLINE_S)
    await target.close()
    assert (outcome.status, outcome.message) == (None, "DEADLINE_EXCEEDED")


# Limits


async def test_concurrency_limit_is_respected(client: tasks_v2.CloudTasksAsyncClient, worker: Worker) -> None:
    """With two concurrent dispatches the third task waits until one of the first has ended."""
    queue = await make_queue(client, rate_limits={"max_concurrent_dispatches": 2})
    running, most, both = 0, 0, asyncio.Event()

    async def answer(_: Call) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 2:
            both.set()
        await asyncio.wait_for(both.wait(), DEADLINE_S)
        await asyncio.sleep(0.02)
        running -= 1
        return "200 OK"

    worker.answer = answer
    for _ in range(8):
        await client.create_task(parent=queue, task=task(worker.url))
    for _ in range(8):
        await worker.next()
    assert most == 2


async def test_rate_limit_is_respected(client: tasks_v2.CloudTasksAsyncClient, worker: Worker) -> None:
    """At five a second, eight tasks need three fifths of a second beyond the first burst."""
    queue = await make_queue(client, rate_limits={"max_dispatches_per_second": 5})
    began = time.time()
    for _ in range(8):
        await client.create_task(parent=queue, task=task(worker.url))
    calls = [await worker.next() for _ in range(8)]
    assert calls[-1].at >= began + 0.6 - 1e-3


def test_bucket_holds_one_second_and_refills_at_the_rate() -> None:
    """A burst is one second's worth, at least one; after it the rate holds."""
    pace = Pace(50 / 60, 0.0)
    assert [pace.take(0.0), pace.take(0.0), pace.take(1.19), pace.take(1.2)] == [True, False, False, True]
    assert pace.wait_s(1.2) == pytest.approx(1.2)
    quick = Pace(500, 0.0)
    assert sum(quick.take(0.0) for _ in range(1000)) == quick.burst == 500
    assert sum(quick.take(0.1) for _ in range(1000)) == 50


def test_overload_halves_the_rate_and_recovery_restores_it() -> None:
    """One burst of 429 or 503 counts once; the rate never falls to nothing and recovers within ten seconds."""
    pace = Pace(100, 0.0)
    for _ in range(5):
        pace.slow_down(0.0)
    assert pace.per_s(0.0) == 50
    pace.slow_down(1.0)
    assert pace.per_s(1.0) == pytest.approx(30)
    assert pace.per_s(2.0) == pytest.approx(40)
    for second in range(2, 100):
        pace.slow_down(second)
    assert pace.per_s(99.0) > 1
    assert pace.per_s(110.0) == 100


async def test_overloaded_target_slows_its_queue(client: tasks_v2.CloudTasksAsyncClient, worker: Worker) -> None:
    """After a 503 the queue's other tasks wait too: at two a second halved, the next token takes longer."""
    queue = await make_queue(client, rate_limits={"max_dispatches_per_second": 2})
    worker.replies("503 Busy\r\nRetry-After: 60")
    busy = await client.create_task(parent=queue, task=task(f"{worker.url}/busy"))
    first = await worker.next()
    deadline = time.monotonic() + DEADLINE_S
    while (await client.get_task(name=busy.name)).response_count == 0:
        assert time.monotonic() < deadline
    for _ in range(2):
        await client.create_task(parent=queue, task=task(f"{worker.url}/other"))
    others = [await worker.next() for _ in range(2)]
    assert {call.path for call in others} == {"/other"}
    assert others[-1].at >= first.at + 0.6


# Steering


async def test_purged_queue_is_empty_and_its_names_stay_blocked(
    client: tasks_v2.CloudTasksAsyncClient, queue: str, worker: Worker
) -> None:
    """Purging takes out every task; what comes after it is delivered."""
    name = f"{queue}/tasks/t"
    await client.pause_queue(name=queue)
    await client.create_task(parent=queue, task=task(f"{worker.url}/old", name))
    purged = await client.purge_queue(name=queue)
    assert purged.purge_time is not None
    assert [each async for each in await client.list_tasks(parent=queue)] == []
    with pytest.raises(exceptions.AlreadyExists):
        await client.create_task(parent=queue, task=task(worker.url, name))
    await client.create_task(parent=queue, task=task(f"{worker.url}/new"))
    await client.resume_queue(name=queue)
    assert (await worker.next()).path == "/new"


async def test_paused_queue_holds_its_tasks_until_resumed(
    client: tasks_v2.CloudTasksAsyncClient, queue: str, worker: Worker
) -> None:
    """While paused only RunTask sends; resuming sends the rest."""
    assert (await client.pause_queue(name=queue)).state == tasks_v2.Queue.State.PAUSED
    await client.create_task(parent=queue, task=task(f"{worker.url}/held"))
    forced = await client.create_task(parent=queue, task=task(f"{worker.url}/forced") | {"schedule_time": later(3600)})
    assert (await client.run_task(name=forced.name)).dispatch_count == 1
    assert (await worker.next()).path == "/forced"
    await gone(client, forced.name)
    assert worker.calls.empty()
    assert (await client.resume_queue(name=queue)).state == tasks_v2.Queue.State.RUNNING
    assert (await worker.next()).path == "/held"


async def test_deleted_queue_is_gone_and_its_name_blocked(client: tasks_v2.CloudTasksAsyncClient, queue: str) -> None:
    """A queue that was deleted cannot be made again at once; one that is there cannot be made twice."""
    again: Any = {"name": queue}
    with pytest.raises(exceptions.AlreadyExists):
        await client.create_queue(parent=LOCATION, queue=again)
    await client.delete_queue(name=queue)
    with pytest.raises(exceptions.NotFound):
        await client.get_queue(name=queue)
    with pytest.raises(exceptions.FailedPrecondition):
        await client.create_queue(parent=LOCATION, queue=again)


async def test_process_stops_promptly_despite_a_hanging_target(worker: Worker) -> None:
    """SIGTERM ends the server with exit code 0, attempts in progress or not."""
    worker.hangs()
    process = await asyncio.to_thread(Process)
    channel, client = connected(process.address)
    queue = await make_queue(client)
    await client.create_task(parent=queue, task=task(worker.url))
    await worker.next()
    await channel.close()
    assert await asyncio.to_thread(process.stop) == 0
