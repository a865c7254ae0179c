"""Called by machines only: steps of jobs, exports and account deletions, and the bucket's notifications.

Cloud Run accepts calls from the service accounts of the queue and of Pub/Sub only.
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


async def step(context: RequestContext) -> Result:
    result = await worker.deliver(context.services, context.body.job, context.body.step)
    return Result(status=result.value)


async def object_finalized(context: RequestContext) -> Result:
    await provider_events.object_finalized(context.services, context.body.message.attributes)
    return Result()


async def chore(context: RequestContext) -> Result:
    result = await data_rights.deliver(context.services, context.body.id, context.body.step)
    return Result(status=result.value)


HANDLERS = {"step": step, "chore": chore, "object_finalized": object_finalized}
app = application(routing.of("poll", JOBS, ACCOUNTS), HANDLERS)


@functions_framework.aio.http
async def poll(request: Request) -> Any:
    return app
