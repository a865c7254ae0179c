"""One delivery of a chore's task: a step of an export, or of the deletion of an account."""

from __future__ import annotations

from shared.accounts import deletion, exports
from shared.accounts.chores import Chore
from shared.core.errors import Unavailable
from shared.core.task_result import TaskResult
from shared.platform import durable_tasks, log
from shared.platform.ports import Services


async def deliver(services: Services, id_: str, step: int) -> TaskResult:
    """Act on one delivery of the task {id, step}, and say what the queue is told."""
    try:
        chore = await durable_tasks.arrive(services, Chore, id_, step)
        if chore is not None:
            work = exports.step if chore.kind == "export" else deletion.step
            done = await work(services, chore)
            await durable_tasks.advance(services, done)
            log.info("chore_step", chore=id_, account=chore.account, phase=chore.phase, status=done.status)
    except Unavailable as error:
        log.warning("chore_unavailable", chore=id_, step=step, error=str(error))
        return TaskResult.RETRY
    return TaskResult.ACK
