"""Runs one step of an export or an account deletion."""

from __future__ import annotations

from shared.accounts import deletion, exports
from shared.accounts.chores import Chore
from shared.core.errors import Unavailable
from shared.core.task_result import TaskResult
from shared.platform import durable_tasks, log
from shared.platform.ports import Services


async def deliver(services: Services, id_: str, step: int) -> TaskResult:
    """Handle one delivery of the task {id, step}; returns the result for the queue."""
    try:
        task = await durable_tasks.arrive(services, Chore, id_, step)
        if task is not None:
            work = exports.step if task.kind == "export" else deletion.step
            done = await work(services, task)
            await durable_tasks.advance(services, done)
            log.info("chore_step", chore=id_, account=task.account, phase=task.phase, status=done.status)
    except Unavailable as error:
        log.warning("chore_unavailable", chore=id_, step=step, error=str(error))
        return TaskResult.RETRY
    return TaskResult.ACK
