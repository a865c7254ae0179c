"""The methods of google.cloud.tasks.v2.CloudTasks, over queues in memory."""

import itertools
import secrets
from collections.abc import Callable
from typing import Any, Final

import grpc
from google.cloud.tasks_v2 import types
from google.protobuf.empty_pb2 import Empty

from local.tasks import checks, messages
from local.tasks.checks import RefusedError
from local.tasks.messages import seconds
from local.tasks.queue import Record, TaskQueue
from local.tasks.target import Target

SERVICE: Final = "google.cloud.tasks.v2.CloudTasks"
PAGE_LIMIT: Final = 1000
QUEUES_LIMIT: Final = 1000


class Service:
    """All queues. Every method takes the request message and returns the response message or raises RefusedError."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._queues: dict[str, TaskQueue] = {}
        # Cloud Tasks blocks a deleted queue's name for a week: here, while the process lives.
        self._deleted: set[str] = set()

    def handler(self) -> grpc.GenericRpcHandler:
        """The service for a grpc.aio server. Methods that are not listed answer UNIMPLEMENTED."""
        methods: dict[str, tuple[Any, Callable[[Any], Any]]] = {
            "ListQueues": (types.ListQueuesRequest, self.list_queues),
            "GetQueue": (types.GetQueueRequest, self.get_queue),
            "CreateQueue": (types.CreateQueueRequest, self.create_queue),
            "DeleteQueue": (types.DeleteQueueRequest, self.delete_queue),
            "PurgeQueue": (types.PurgeQueueRequest, self.purge_queue),
            "PauseQueue": (types.PauseQueueRequest, self.pause_queue),
            "ResumeQueue": (types.ResumeQueueRequest, self.resume_queue),
            "ListTasks": (types.ListTasksRequest, self.list_tasks),
            "GetTask": (types.GetTaskRequest, self.get_task),
            "CreateTask": (types.CreateTaskRequest, self.create_task),
            "DeleteTask": (types.DeleteTaskRequest, self.delete_task),
            "RunTask": (types.RunTaskRequest, self.run_task),
        }
        handlers = {name: _rpc(request.pb(), method) for name, (request, method) in methods.items()}
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    async def close(self) -> None:
        """Stops all queues."""
        for queue in self._queues.values():
            await queue.close()

    # Queues

    def add_queue(self, settings: Any) -> TaskQueue:
        """Makes a queue of a Queue message. Raises INVALID_ARGUMENT, ALREADY_EXISTS, FAILED_PRECONDITION."""
        name = checks.check_queue_name(settings.name)
        if name in self._queues:
            raise RefusedError(grpc.StatusCode.ALREADY_EXISTS, "Queue already exists")
        if name in self._deleted:
            message = "The queue cannot be created because a queue with this name existed too recently."
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, message)
        if len(self._queues) >= QUEUES_LIMIT:
            raise RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many queues")
        checks.fill_queue(settings)
        self._queues[name] = TaskQueue(settings, self._target.attempt)
        return self._queues[name]

    def create_queue(self, request: Any) -> Any:
        """CreateQueue."""
        if not request.queue.name.startswith(f"{_location(request.parent)}/queues/"):
            raise checks.invalid("Queue.name must be in the parent location")
        return self.add_queue(request.queue).settings()

    def get_queue(self, request: Any) -> Any:
        """GetQueue."""
        return self._queue(request.name).settings()

    def list_queues(self, request: Any) -> Any:
        """ListQueues, by name."""
        prefix = f"{_location(request.parent)}/queues/"
        names = [name for name in sorted(self._queues) if name.startswith(prefix) and name > request.page_token]
        limit = _page_size(request)
        token = names[limit - 1] if len(names) > limit else ""
        queues = [self._queues[name].settings() for name in names[:limit]]
        return messages.ListQueuesResponse(queues=queues, next_page_token=token)

    def delete_queue(self, request: Any) -> Any:
        """DeleteQueue, with all its tasks."""
        queue = self._queue(request.name)
        queue.purge()
        del self._queues[request.name]
        self._deleted.add(request.name)
        return Empty()

    def purge_queue(self, request: Any) -> Any:
        """PurgeQueue."""
        queue = self._queue(request.name)
        queue.purge()
        return queue.settings()

    def pause_queue(self, request: Any) -> Any:
        """PauseQueue."""
        queue = self._queue(request.name)
        queue.set_paused(True)
        return queue.settings()

    def resume_queue(self, request: Any) -> Any:
        """ResumeQueue."""
        queue = self._queue(request.name)
        queue.set_paused(False)
        return queue.settings()

    # Tasks

    def create_task(self, request: Any) -> Any:
        """CreateTask, of a name or without one."""
        parent = checks.check_queue_name(request.parent)
        task = request.task
        if not task.name:
            task.name = f"{parent}/tasks/{secrets.randbits(62)}"
        queue_name, task_id = checks.split_task_name(task.name)
        if queue_name != parent:
            raise checks.invalid("Task.name must be in the parent queue")
        queue = self._queue(parent)
        checks.fill_task(task)
        if task.http_request.HasField("oidc_token") and not self._target.can_sign:
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, "This server has no key for OIDC tokens")
        if queue.is_taken(task_id):
            message = (
                "The task cannot be created because a task with this name existed too recently."
                if queue.find(task_id) is None
                else "Requested entity already exists"
            )
            raise RefusedError(grpc.StatusCode.ALREADY_EXISTS, message)
        # The answer is taken before the first attempt can change the task.
        shown = _shown(task, request.response_view)
        queue.add(task, seconds(task.schedule_time))
        return shown

    def get_task(self, request: Any) -> Any:
        """GetTask."""
        _, record = self._task(request.name)
        return _shown(record.message, request.response_view)

    def list_tasks(self, request: Any) -> Any:
        """ListTasks, in the order of creation."""
        queue = self._queue(request.parent)
        limit = _page_size(request)
        after = int(request.page_token) if request.page_token.isdigit() else 0
        later = (record for record in queue.records() if record.sequence > after)
        page = list(itertools.islice(later, limit))
        token = str(page[-1].sequence) if next(later, None) else ""
        tasks = [_shown(record.message, request.response_view) for record in page]
        return messages.ListTasksResponse(tasks=tasks, next_page_token=token)

    def delete_task(self, request: Any) -> Any:
        """DeleteTask; the name stays blocked."""
        queue, record = self._task(request.name)
        queue.remove(record)
        return Empty()

    def run_task(self, request: Any) -> Any:
        """RunTask: an attempt at once, whatever the queue's limits and state."""
        queue, record = self._task(request.name)
        queue.run_now(record)
        return _shown(record.message, request.response_view)

    def _queue(self, name: str) -> TaskQueue:
        queue = self._queues.get(checks.check_queue_name(name))
        if queue is None:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, "Queue does not exist.")
        return queue

    def _task(self, name: str) -> tuple[TaskQueue, Record]:
        queue_name, task_id = checks.split_task_name(name)
        queue = self._queue(queue_name)
        record = queue.find(task_id)
        if record is None:
            message = "The task no longer exists" if queue.is_taken(task_id) else "Task does not exist."
            raise RefusedError(grpc.StatusCode.NOT_FOUND, message)
        return queue, record


def _rpc(request_class: Any, method: Callable[[Any], Any]) -> grpc.RpcMethodHandler:
    async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return method(request)
        except RefusedError as refused:
            return await context.abort(refused.code, refused.message)

    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=request_class.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )


def _location(parent: str) -> str:
    if not checks.PARENT_OF_QUEUES.fullmatch(parent):
        raise checks.invalid(f'Invalid resource field value in the request: location "{parent}"')
    return parent


def _page_size(request: Any) -> int:
    if request.page_size < 0:
        raise checks.invalid("page_size must not be negative")
    return min(request.page_size or PAGE_LIMIT, PAGE_LIMIT)


def _shown(task: Any, view: int) -> Any:
    shown = messages.Task()
    shown.CopyFrom(task)
    if view == messages.FULL:
        shown.view = messages.FULL
    else:
        shown.view = messages.BASIC
        shown.http_request.ClearField("body")
    return shown
