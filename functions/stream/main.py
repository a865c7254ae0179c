"""A video's content, by redirect to a signed URL or streamed in ranges; and live events."""

from functools import partial
from typing import Any

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared.api import routing
from shared.http.app import RequestContext, Result, application
from shared.jobs import outputs, queries
from shared.streaming import content, event_stream
from shared.streaming.routes import ROUTES as STREAMING


async def video_content(context: RequestContext) -> Result | Response:
    job = await queries.own_job(context.services, context.caller, context.id)
    item = outputs.content(job, context.query)
    await queries.note_view(context.services, job)
    head = context.request.method == "HEAD"
    if head or context.query.redirect == "false":
        return await content.proxied(context.services, item, context.request.headers, head)
    if context.query.redirect == "json":
        return Result(await content.signed_url(context.services, item))
    return await content.redirect(context.services, item)


async def video_events(context: RequestContext) -> Response:
    last, head = context.request.headers.get("last-event-id"), context.request.method == "HEAD"
    identify = partial(context.identify, event_stream.IDENTIFIED_BY)
    return await event_stream.of_video(context.services, context.caller, identify, context.id, last, head)


async def account_events(context: RequestContext) -> Response:
    last, head = context.request.headers.get("last-event-id"), context.request.method == "HEAD"
    identify = partial(context.identify, event_stream.IDENTIFIED_BY)
    return await event_stream.of_account(context.services, context.caller, identify, last, head)


HANDLERS = {"video_content": video_content, "video_events": video_events, "account_events": account_events}
app = application(routing.of("stream", STREAMING), HANDLERS)


@functions_framework.aio.http
async def stream(request: Request) -> Any:
    return app
