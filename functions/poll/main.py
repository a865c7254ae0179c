"""Machines only: steps of jobs and chores, and the bucket's notifications.

Cloud Run admits the queue's and Pub/Sub's accounts only.
"""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared.accounts import data_rights
from shared.accounts.routes import ROUTES as ACCOUNTS
from shared.api import routing
from shared.http.app import Call, Reply, application
from shared.jobs import provider_events, worker
from shared.jobs.routes import ROUTES as JOBS


async def step(call: Call) -> Reply:
    verdict = await worker.deliver(call.services, call.body.job, call.body.step)
    return Reply(status=verdict.value)


async def object_finalized(call: Call) -> Reply:
    await provider_events.object_finalized(call.services, call.body.message.attributes)
    return Reply()


async def chore(call: Call) -> Reply:
    verdict = await data_rights.deliver(call.services, call.body.id, call.body.step)
    return Reply(status=verdict.value)


HANDLERS = {"step": step, "chore": chore, "object_finalized": object_finalized}
app = application(routing.of("poll", JOBS, ACCOUNTS), HANDLERS)


@functions_framework.aio.http
async def poll(request: Request) -> Any:
    return app
