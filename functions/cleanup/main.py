"""Called by Cloud Scheduler: the sweep each minute, retention daily. Cloud Run admits the scheduler's account only."""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared import retention, sweeper
from shared.http import Call, Reply, application


async def sweep(call: Call) -> Reply:
    return Reply(await sweeper.sweep(call.services))


async def retain(call: Call) -> Reply:
    return Reply(await retention.retain(call.services))


HANDLERS = {"sweep": sweep, "retain": retain}
app = application("cleanup", HANDLERS)


@functions_framework.aio.http
async def cleanup(request: Request) -> Any:
    return app
