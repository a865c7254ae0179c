"""Machines only: steps of jobs and chores, and the bucket's notifications.

Cloud Run admits the queue's and Pub/Sub's accounts only.
"""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared.accounts import data_rights
from shared.accounts.routes import ROUTES as ACCOUNTS
from shared.api import routing
from shared.http.app import RequestContext, Result, application
from shared.jobs import provider_events, worker
from shared.jobs.routes import ROUTES as JOBS


async def step(call: RequestContext) -> Result:
    result = await worker.deliver(call.services, call.body.job, call.body.step)
    return Result(status=result.value)


async def object_finalized(call: RequestContext) -> Result:
    await provider_events.object_finalized(call.services, call.body.message.attributes)
    return Result()


async def chore(call: RequestContext) -> Result:
    result = await data_rights.deliver(call.services, call.body.id, call.body.step)
    return Result(status=result.value)


HANDLERS = {"step": step, "chore": chore, "object_finalized": object_finalized}
app = application(routing.of("poll", JOBS, ACCOUNTS), HANDLERS)


@functions_framework.aio.http
async def poll(request: Request) -> Any:
    return app
