"""Machines only: steps of jobs and chores, and the bucket's notifications.

Cloud Run admits the queue's and Pub/Sub's accounts only.
"""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared import data_rights, hints, steps
from shared.http import Call, Reply, application


async def step(call: Call) -> Reply:
    verdict = await steps.deliver(call.services, call.body.job, call.body.step)
    return Reply(status=verdict.value)


async def object_finalized(call: Call) -> Reply:
    await hints.object_finalized(call.services, call.body.message.attributes)
    return Reply()


async def chore(call: Call) -> Reply:
    verdict = await data_rights.deliver(call.services, call.body.id, call.body.step)
    return Reply(status=verdict.value)


HANDLERS = {"step": step, "chore": chore, "object_finalized": object_finalized}
app = application("poll", HANDLERS)


@functions_framework.aio.http
async def poll(request: Request) -> Any:
    return app
