"""Cloud Tasks: create and delete tasks, and check whether one still exists."""

from __future__ import annotations

import json

import grpc
from google.api_core import exceptions
from google.api_core.retry import AsyncRetry, if_exception_type
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport
from google.protobuf import duration_pb2, timestamp_pb2

from shared.core.documents import TaskRef
from shared.core.errors import Unavailable
from shared.core.lifecycle import DELIVER_QUEUE, Task
from shared.platform.settings import Settings

CALL_TIMEOUT_S = 5.0
CREATE_BUDGET_S = 10.0
# Longer than the function's own timeout (poll 900 s, deliver 60 s): otherwise a second delivery would start while the
# first is still running.
DISPATCH_DEADLINE_S = 960
DELIVER_DEADLINE_S = 90

_TRANSIENT = (exceptions.ServiceUnavailable, exceptions.DeadlineExceeded, exceptions.InternalServerError)
# create_task has no retry of its own. Repeating it is safe because every task has a name.
_RETRY = AsyncRetry(
    predicate=if_exception_type(*_TRANSIENT), initial=0.1, maximum=2.0, multiplier=2.0, timeout=CREATE_BUDGET_S
)


class CloudTasks:
    """The queues of one project and region."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = _client(settings)

    async def create(self, task: Task) -> None:
        """Create the task under its name. Raises Unavailable.

        If the name exists, that is success: a name belongs to one decision, so an earlier call created the task,
        perhaps one whose response was lost.
        """
        try:
            await self._client.create_task(
                parent=self._queue(task.ref.queue), task=self._message(task), timeout=CALL_TIMEOUT_S, retry=_RETRY
            )
        except exceptions.AlreadyExists:
            return
        except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
            raise Unavailable(f"Cloud Tasks did not take {task.ref.name}: {error}") from error

    async def exists(self, ref: TaskRef) -> bool:
        """Whether the task is waiting for delivery or being delivered. Raises Unavailable."""
        try:
            await self._client.get_task(name=self._name(ref), timeout=CALL_TIMEOUT_S, retry=_RETRY)
        except exceptions.NotFound:
            return False
        except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
            raise Unavailable(f"Cloud Tasks did not say whether {ref.name} exists: {error}") from error
        return True

    async def delete(self, ref: TaskRef) -> None:
        """Delete the task if it exists; a delivery in progress continues. Raises Unavailable."""
        try:
            await self._client.delete_task(name=self._name(ref), timeout=CALL_TIMEOUT_S, retry=_RETRY)
        except exceptions.NotFound:
            return
        except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
            raise Unavailable(f"Cloud Tasks did not delete {ref.name}: {error}") from error

    def _queue(self, queue: str) -> str:
        """The queue's resource name. Stored TaskRefs have no suffix, so they stay valid when it changes."""
        settings = self._settings
        name = f"{queue}{settings.queue_suffix}"
        return f"projects/{settings.google_cloud_project}/locations/{settings.region}/queues/{name}"

    def _name(self, ref: TaskRef) -> str:
        return f"{self._queue(ref.queue)}/tasks/{ref.name}"

    def _message(self, task: Task) -> tasks_v2.Task:
        delivers = task.ref.queue == DELIVER_QUEUE
        root = (self._settings.deliver_url if delivers else self._settings.poll_url).rstrip("/")
        message = tasks_v2.Task(
            name=self._name(task.ref),
            http_request=tasks_v2.HttpRequest(
                http_method=tasks_v2.HttpMethod.POST,
                url=f"{root}{task.path}",
                headers={"Content-Type": "application/json"},
                body=json.dumps(task.body).encode(),
                oidc_token=tasks_v2.OidcToken(
                    service_account_email=self._settings.tasks_service_account,
                    # Cloud Run expects the service's base URL, without a path.
                    audience=root,
                ),
            ),
            dispatch_deadline=duration_pb2.Duration(seconds=DELIVER_DEADLINE_S if delivers else DISPATCH_DEADLINE_S),
        )
        if task.at is not None:
            moment = timestamp_pb2.Timestamp()
            moment.FromDatetime(task.at)
            message.schedule_time = moment
        return message


def _client(settings: Settings) -> tasks_v2.CloudTasksAsyncClient:
    if not settings.cloud_tasks_emulator_host:
        return tasks_v2.CloudTasksAsyncClient()
    channel = grpc.aio.insecure_channel(settings.cloud_tasks_emulator_host)
    return tasks_v2.CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
