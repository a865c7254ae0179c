"""Called by Cloud Scheduler: the sweep each minute, retention and reconciliation daily, the digest weekly.

Cloud Run admits the scheduler's account only.
"""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared.accounts.chores import Chore
from shared.api import routing
from shared.http.app import RequestContext, Result, application
from shared.maintenance import expected_times, reconciliation, retention, sweeper, weekly_report
from shared.maintenance.routes import ROUTES as MAINTENANCE
from shared.platform import durable_tasks
from shared.webhooks.deliveries import Delivery


async def sweep(call: RequestContext) -> Result:
    swept = await sweeper.sweep(call.services)
    swept_durable_tasks = await durable_tasks.sweep(call.services, Chore, Delivery)
    return Result(
        {**swept, "durable tasks": swept_durable_tasks, "unfinished": await sweeper.count_unfinished(call.services)}
    )


async def retain(call: RequestContext) -> Result:
    retained = await retention.retain(call.services)
    removed = await durable_tasks.remove_expired(call.services, Delivery, Chore)
    return Result({**retained, "removed": removed, "learned": await expected_times.learn(call.services)})


async def reconcile(call: RequestContext) -> Result:
    return Result(await reconciliation.reconcile(call.services))


async def digest_week(call: RequestContext) -> Result:
    return Result(await weekly_report.last_week(call.services))


HANDLERS = {"sweep": sweep, "retain": retain, "reconcile": reconcile, "digest": digest_week}
app = application(routing.of("cleanup", MAINTENANCE), HANDLERS)


@functions_framework.aio.http
async def cleanup(request: Request) -> Any:
    return app
