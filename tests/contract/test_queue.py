"""What the code relies on of Cloud Tasks, and finds in memory too: by name, at least once, and not before its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

from shared.core.documents import TaskRef
from shared.core.lifecycle import Task
from shared.platform.ports import new_id, utc_now
from tests.contract.conftest import Tasks
from tests.contract.servers import QUEUES

LONG_S = 60.0


def a_ref(name: str = "", queue: str = QUEUES[0]) -> TaskRef:
    # Names of other tests may be blocked, as they are for a day.
    return TaskRef(name=name or new_id(), queue=queue)


def a_task(ref: TaskRef, in_s: float | None = None, **body: Any) -> Task:
    return Task(ref, utc_now() + timedelta(seconds=in_s) if in_s is not None else None, body or {"job": ref.name})


async def deliveries(tasks: Tasks, count: int) -> list[tuple[str, Mapping[str, Any]]]:
    async def arrived() -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
        while len(tasks.delivered) < count:
            await tasks.changed.wait()
            tasks.changed.clear()
        for delivery in tasks.delivered[:count]:
            yield delivery

    async with asyncio.timeout(LONG_S):
        return [delivery async for delivery in arrived()]


async def gone(tasks: Tasks, ref: TaskRef) -> None:
    """Returns once the queue has learned that the delivery succeeded."""
    async with asyncio.timeout(LONG_S):
        while await tasks.queue.exists(ref):
            await asyncio.sleep(0.01)


async def test_task_is_delivered_with_its_path_and_body(tasks: Tasks) -> None:
    task = a_task(a_ref(), job="video_ä", step=3, nested={"a": [1, None]})
    await tasks.queue.create(task)
    assert await deliveries(tasks, 1) == [("/tasks/step", {"job": "video_ä", "step": 3, "nested": {"a": [1, None]}})]


async def test_task_exists_until_delivered(tasks: Tasks) -> None:
    ref = a_ref()
    assert not await tasks.queue.exists(ref)
    tasks.hold.clear()
    await tasks.queue.create(a_task(ref))
    await deliveries(tasks, 1)
    assert await tasks.queue.exists(ref), "it is being delivered"
    tasks.hold.set()
    await gone(tasks, ref)


async def test_task_is_not_delivered_early(tasks: Tasks) -> None:
    late, soon = a_ref(), a_ref()
    await tasks.queue.create(a_task(late, LONG_S * 60))
    await tasks.queue.create(a_task(soon, 0.2))
    assert await deliveries(tasks, 1) == [("/tasks/step", {"job": soon.name})]
    assert await tasks.queue.exists(late)


async def test_overdue_task_is_delivered_at_once(tasks: Tasks) -> None:
    ref = a_ref()
    await tasks.queue.create(a_task(ref, -3_600))
    assert await deliveries(tasks, 1) == [("/tasks/step", {"job": ref.name})]


async def test_creating_an_existing_task_succeeds_and_keeps_the_first(tasks: Tasks) -> None:
    ref = a_ref()
    await tasks.queue.create(a_task(ref, 0.3, number=1))
    await tasks.queue.create(a_task(ref, number=2))
    assert await deliveries(tasks, 1) == [("/tasks/step", {"number": 1})]


async def test_name_of_a_delivered_task_is_blocked(tasks: Tasks) -> None:
    ref, after = a_ref(), a_ref()
    await tasks.queue.create(a_task(ref, number=1))
    await deliveries(tasks, 1)
    await gone(tasks, ref)
    await tasks.queue.create(a_task(ref, number=2))
    assert not await tasks.queue.exists(ref)
    await tasks.queue.create(a_task(after, number=3))
    assert [body["number"] for _, body in await deliveries(tasks, 2)] == [1, 3]


async def test_deleted_task_is_not_delivered_and_its_name_is_blocked(tasks: Tasks) -> None:
    ref, after = a_ref(), a_ref()
    await tasks.queue.create(a_task(ref, LONG_S * 60))
    await tasks.queue.delete(ref)
    await tasks.queue.delete(ref)
    assert not await tasks.queue.exists(ref)
    await tasks.queue.create(a_task(ref, number=1))
    await tasks.queue.create(a_task(after, number=2))
    assert await deliveries(tasks, 1) == [("/tasks/step", {"number": 2})]


async def test_names_are_per_queue(tasks: Tasks) -> None:
    name = new_id()
    first, second = a_ref(name), a_ref(name, QUEUES[1])
    await tasks.queue.create(a_task(first, LONG_S * 60))
    assert not await tasks.queue.exists(second)
    await tasks.queue.create(a_task(second, number=2))
    assert await deliveries(tasks, 1) == [("/tasks/step", {"number": 2})]


async def test_failed_delivery_is_repeated_until_success(tasks: Tasks) -> None:
    ref = a_ref()
    tasks.answers += [500, 503, 404, 302]
    await tasks.queue.create(a_task(ref))
    assert await deliveries(tasks, 5) == [("/tasks/step", {"job": ref.name})] * 5
    await gone(tasks, ref)


async def test_every_2xx_is_success(tasks: Tasks) -> None:
    ref = a_ref()
    tasks.answers.append(299)
    await tasks.queue.create(a_task(ref))
    await deliveries(tasks, 1)
    await gone(tasks, ref)


async def test_tasks_do_not_wait_for_each_other(tasks: Tasks) -> None:
    tasks.hold.clear()
    for _ in range(5):
        await tasks.queue.create(a_task(a_ref()))
    await deliveries(tasks, 5)
    tasks.hold.set()
