"""Webhook deliveries, separate from the steps of jobs so that a receiver that never responds holds up nothing else.

Cloud Run accepts calls from the queue's service account only.
"""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared.api import routing
from shared.http.app import RequestContext, Result, application
from shared.webhooks import deliveries
from shared.webhooks.receivers import Receivers
from shared.webhooks.routes import ROUTES as WEBHOOKS

RECEIVERS = Receivers()


async def webhook(context: RequestContext) -> Result:
    result = await deliveries.deliver(context.services, RECEIVERS, context.body.id, context.body.step)
    return Result(status=result.value)


HANDLERS = {"webhook": webhook}
app = application(routing.of("deliver", WEBHOOKS), HANDLERS)


@functions_framework.aio.http
async def deliver(request: Request) -> Any:
    return app
