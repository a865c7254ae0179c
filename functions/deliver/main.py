"""Webhook deliveries, apart from the steps of jobs: a server of a user's that never answers holds up nothing else.

Cloud Run admits the queue's account only.
"""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared import deliveries
from shared.http import Call, Reply, application
from shared.receivers import Receivers

RECEIVERS = Receivers()


async def webhook(call: Call) -> Reply:
    verdict = await deliveries.deliver(call.services, RECEIVERS, call.body.id, call.body.step)
    return Reply(status=verdict.value)


HANDLERS = {"webhook": webhook}
app = application("deliver", HANDLERS)


@functions_framework.aio.http
async def deliver(request: Request) -> Any:
    return app
