"""Machines only: a job's steps and the bucket's notifications. Cloud Run admits the queue's and Pub/Sub's accounts."""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared import hints, steps
from shared.http import Call, Reply, application


async def step(call: Call) -> Reply:
    verdict = await steps.deliver(call.services, call.body.job, call.body.step)
    return Reply(status=verdict.value)


async def object_finalised(call: Call) -> Reply:
    await hints.object_finalised(call.services, call.body.message.attributes)
    return Reply()


HANDLERS = {"step": step, "object_finalised": object_finalised}
app = application("poll", HANDLERS)


@functions_framework.aio.http
async def poll(request: Request) -> Any:
    return app
