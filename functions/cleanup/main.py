"""Called by Cloud Scheduler: the sweep each minute, retention and reconciliation daily.

Cloud Run admits the scheduler's account only.
"""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared import reconciliation, retention, sweeper
from shared.http import Call, Reply, application


async def sweep(call: Call) -> Reply:
    return Reply(await sweeper.sweep(call.services))


async def retain(call: Call) -> Reply:
    return Reply(await retention.retain(call.services))


async def reconcile(call: Call) -> Reply:
    return Reply(await reconciliation.reconcile(call.services))


HANDLERS = {"sweep": sweep, "retain": retain, "reconcile": reconcile}
app = application("cleanup", HANDLERS)


@functions_framework.aio.http
async def cleanup(request: Request) -> Any:
    return app
