"""Called by Cloud Scheduler: the sweep each minute, retention and reconciliation daily, the digest weekly.

Cloud Run admits the scheduler's account only.
"""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared import digest, errands, reconciliation, retention, sweeper, usual_times
from shared.chores import Chore
from shared.deliveries import Delivery
from shared.http import Call, Reply, application


async def sweep(call: Call) -> Reply:
    swept = await sweeper.sweep(call.services)
    swept_errands = await errands.sweep(call.services, Chore, Delivery)
    return Reply({**swept, "errands": swept_errands, "unfinished": await sweeper.count_unfinished(call.services)})


async def retain(call: Call) -> Reply:
    retained = await retention.retain(call.services)
    removed = await errands.remove_expired(call.services, Delivery, Chore)
    return Reply({**retained, "removed": removed, "learned": await usual_times.learn(call.services)})


async def reconcile(call: Call) -> Reply:
    return Reply(await reconciliation.reconcile(call.services))


async def digest_week(call: Call) -> Reply:
    return Reply(await digest.last_week(call.services))


HANDLERS = {"sweep": sweep, "retain": retain, "reconcile": reconcile, "digest": digest_week}
app = application("cleanup", HANDLERS)


@functions_framework.aio.http
async def cleanup(request: Request) -> Any:
    return app
