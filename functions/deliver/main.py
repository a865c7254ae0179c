"""Webhook deliveries, apart from the steps of jobs: a server of a user's that never answers holds up nothing else.

Cloud Run admits the queue's account only.
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


async def webhook(call: RequestContext) -> Result:
    result = await deliveries.deliver(call.services, RECEIVERS, call.body.id, call.body.step)
    return Result(status=result.value)


HANDLERS = {"webhook": webhook}
app = application(routing.of("deliver", WEBHOOKS), HANDLERS)


@functions_framework.aio.http
async def deliver(request: Request) -> Any:
    return app
