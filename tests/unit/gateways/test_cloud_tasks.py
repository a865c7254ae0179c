"""Cloud Tasks: the message of a task, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from google.api_core import exceptions

from shared.core.documents import TaskRef
from shared.core.errors import Unavailable
from shared.core.lifecycle import Task
from shared.gateways.cloud_tasks import DELIVER_DEADLINE_S, DISPATCH_DEADLINE_S, CloudTasks
from shared.platform.settings import Settings
from shared.webhooks.deliveries import Delivery

SETTINGS = Settings(
    google_cloud_project="p",
    region="r",
    bucket="b",
    poll_url="https://poll.example/",
    deliver_url="https://deliver.example/",
    tasks_service_account="tasks@p.iam.example",
    cloud_tasks_emulator_host="127.0.0.1:1",
)
REF = TaskRef(name="abc-0", queue="poll")
TASK = Task(REF, None, {"job": "video_abc", "step": 0})
NAME = "projects/p/locations/r/queues/poll/tasks/abc-0"


class Client:
    """Answers each call with one outcome, and remembers what it was asked."""

    def __init__(self, outcome: Exception | None) -> None:
        self.outcome = outcome
        self.asked: list[dict[str, Any]] = []

    async def _called(self, **arguments: Any) -> None:
        self.asked.append(arguments)
        if self.outcome is not None:
            raise self.outcome

    create_task = get_task = delete_task = _called


Tasks = Callable[[Exception | None], tuple[CloudTasks, Client]]


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> Tasks:
    def made(outcome: Exception | None = None) -> tuple[CloudTasks, Client]:
        client = Client(outcome)
        monkeypatch.setattr("shared.gateways.cloud_tasks._client", lambda settings: client)
        return CloudTasks(SETTINGS), client

    return made


async def test_task_goes_to_poll_under_its_own_name(tasks: Tasks) -> None:
    queue, client = tasks(None)
    await queue.create(TASK)
    (asked,) = client.asked
    message = asked["task"]
    assert (asked["parent"], message.name) == ("projects/p/locations/r/queues/poll", NAME)
    assert message.http_request.url == "https://poll.example/tasks/step"
    assert json.loads(message.http_request.body) == {"job": "video_abc", "step": 0}


async def test_task_token_is_for_polls_root_url(tasks: Tasks) -> None:
    queue, client = tasks(None)
    await queue.create(TASK)
    token = client.asked[0]["task"].http_request.oidc_token
    assert (token.service_account_email, token.audience) == ("tasks@p.iam.example", "https://poll.example")


async def test_webhook_task_goes_to_deliver_with_its_own_deadline(tasks: Tasks) -> None:
    queue, client = tasks(None)
    await queue.create(Task(TaskRef(name="abc-0", queue=Delivery.queue), None, {"id": "msg_abc"}, Delivery.path))
    message = client.asked[0]["task"]
    assert message.http_request.url == "https://deliver.example/tasks/webhook"
    assert message.http_request.oidc_token.audience == "https://deliver.example"
    assert message.dispatch_deadline.total_seconds() == DELIVER_DEADLINE_S


async def test_dispatch_deadline_matches_the_function_timeout(tasks: Tasks) -> None:
    queue, client = tasks(None)
    await queue.create(TASK)
    assert client.asked[0]["task"].dispatch_deadline.total_seconds() == DISPATCH_DEADLINE_S


async def test_later_task_has_a_schedule_time_and_immediate_one_none(tasks: Tasks) -> None:
    queue, client = tasks(None)
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    await queue.create(TASK)
    await queue.create(Task(REF, at, {}))
    assert not client.asked[0]["task"].schedule_time
    assert client.asked[1]["task"].schedule_time == at


async def test_every_call_has_a_timeout(tasks: Tasks) -> None:
    queue, client = tasks(None)
    await queue.create(TASK)
    await queue.exists(REF)
    assert all(asked["timeout"] > 0 for asked in client.asked)


async def test_existing_task_is_success(tasks: Tasks) -> None:
    queue, _ = tasks(exceptions.AlreadyExists("there"))
    await queue.create(TASK)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ServiceUnavailable("x"),
        exceptions.DeadlineExceeded("x"),
        exceptions.PermissionDenied("x"),
        exceptions.NotFound("the queue"),
        exceptions.RetryError("x", cause=None),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_failed_create_is_unavailable(tasks: Tasks, error: Exception) -> None:
    queue, _ = tasks(error)
    with pytest.raises(Unavailable, match="abc-0"):
        await queue.create(TASK)


async def test_task_exists_until_not_found(tasks: Tasks) -> None:
    queue, client = tasks(None)
    assert await queue.exists(REF)
    assert client.asked[0]["name"] == NAME
    queue, _ = tasks(exceptions.NotFound("gone"))
    assert not await queue.exists(REF)


async def test_missing_answer_does_not_mean_missing_task(tasks: Tasks) -> None:
    queue, _ = tasks(exceptions.ServiceUnavailable("x"))
    with pytest.raises(Unavailable):
        await queue.exists(REF)


@pytest.mark.parametrize("error", [None, exceptions.NotFound("gone")], ids=["there", "gone"])
async def test_delete_succeeds_for_missing_task(tasks: Tasks, error: Exception | None) -> None:
    queue, client = tasks(error)
    await queue.delete(REF)
    assert client.asked[0]["name"] == NAME
    assert client.asked[0]["timeout"] > 0


async def test_failed_delete_is_unavailable(tasks: Tasks) -> None:
    queue, _ = tasks(exceptions.PermissionDenied("x"))
    with pytest.raises(Unavailable, match="abc-0"):
        await queue.delete(REF)


async def test_queue_suffix_stays_in_cloud_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(None)
    monkeypatch.setattr("shared.gateways.cloud_tasks._client", lambda settings: client)
    queue = CloudTasks(SETTINGS.model_copy(update={"queue_suffix": "-b"}))
    await queue.create(TASK)
    await queue.exists(REF)
    await queue.delete(REF)
    suffixed = NAME.replace("queues/poll", "queues/poll-b")
    assert client.asked[0]["parent"] == "projects/p/locations/r/queues/poll-b"
    assert [client.asked[0]["task"].name] + [asked["name"] for asked in client.asked[1:]] == [suffixed] * 3
