"""Called by Cloud Scheduler: the sweep every minute, retention and reconciliation daily, the report weekly.

Cloud Run accepts calls from the scheduler's service account only.
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


async def sweep(context: RequestContext) -> Result:
    swept = await sweeper.sweep(context.services)
    swept_durable_tasks = await durable_tasks.sweep(context.services, Chore, Delivery)
    return Result(
        {**swept, "durable_tasks": swept_durable_tasks, "unfinished": await sweeper.count_unfinished(context.services)}
    )


async def apply_retention(context: RequestContext) -> Result:
    applied = await retention.apply_retention(context.services)
    removed = await durable_tasks.remove_expired(context.services, Delivery, Chore)
    return Result({**applied, "removed": removed, "learned": await expected_times.learn(context.services)})


async def reconcile(context: RequestContext) -> Result:
    return Result(await reconciliation.reconcile(context.services))


async def report_week(context: RequestContext) -> Result:
    return Result(await weekly_report.report_last_week(context.services))


HANDLERS = {"sweep": sweep, "retain": apply_retention, "reconcile": reconcile, "digest": report_week}
app = application(routing.of("cleanup", MAINTENANCE), HANDLERS)


@functions_framework.aio.http
async def cleanup(request: Request) -> Any:
    return app
