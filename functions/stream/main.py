"""Bytes: a redirect to a signed URL, or the video itself in ranges. And live events."""

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


async def video_content(call: RequestContext) -> Result | Response:
    job = await queries.own_job(call.services, call.caller, call.id)
    item = outputs.content(job, call.query)
    await queries.note_view(call.services, job)
    head = call.request.method == "HEAD"
    if head or call.query.redirect == "false":
        return await content.proxied(call.services, item, call.request.headers, head)
    if call.query.redirect == "json":
        return Result(await content.signed_url(call.services, item))
    return await content.redirect(call.services, item)


async def video_events(call: RequestContext) -> Response:
    last, head = call.request.headers.get("last-event-id"), call.request.method == "HEAD"
    identify = partial(call.identify, event_stream.IDENTIFIED_BY)
    return await event_stream.of_video(call.services, call.caller, identify, call.id, last, head)


async def account_events(call: RequestContext) -> Response:
    last, head = call.request.headers.get("last-event-id"), call.request.method == "HEAD"
    identify = partial(call.identify, event_stream.IDENTIFIED_BY)
    return await event_stream.of_account(call.services, call.caller, identify, last, head)


HANDLERS = {"video_content": video_content, "video_events": video_events, "account_events": account_events}
app = application(routing.of("stream", STREAMING), HANDLERS)


@functions_framework.aio.http
async def stream(request: Request) -> Any:
    return app
