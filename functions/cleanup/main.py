"""Called by Cloud Scheduler: the sweep each minute, retention and reconciliation daily.

Cloud Run admits the scheduler's account only.
"""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared import errands, reconciliation, retention, sweeper
from shared.chores import Chore
from shared.deliveries import Delivery
from shared.http import Call, Reply, application


async def sweep(call: Call) -> Reply:
    swept = await sweeper.sweep(call.services)
    return Reply({**swept, "errands": await errands.sweep(call.services, Chore, Delivery)})


async def retain(call: Call) -> Reply:
    return Reply(await retention.retain(call.services))


async def reconcile(call: Call) -> Reply:
    return Reply(await reconciliation.reconcile(call.services))


HANDLERS = {"sweep": sweep, "retain": retain, "reconcile": reconcile}
app = application("cleanup", HANDLERS)


@functions_framework.aio.http
async def cleanup(request: Request) -> Any:
    return app
