"""Starts and stops work: create, estimate, cancel, export, delete the account; and receives the providers' webhooks."""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared.accounts import deletion, exports
from shared.accounts.routes import ROUTES as ACCOUNTS
from shared.api import routing, views
from shared.api.videos import CreateVideo
from shared.http.app import POLL_AFTER_MS, RequestContext, Result, application
from shared.jobs import openai_videos, provider_events, submission
from shared.jobs.routes import ROUTES as JOBS


async def create_video(context: RequestContext) -> Result:
    return await _submitted(context, context.body, context.idempotency_key)


async def extend_video(context: RequestContext) -> Result:
    return await _submitted(context, context.body.as_create(), context.idempotency_key)


async def edit_video(context: RequestContext) -> Result:
    await openai_videos.refuse_edit(context.services, context.caller, context.body.video.id)


async def remix_video(context: RequestContext) -> Result:
    await openai_videos.refuse_edit(context.services, context.caller, context.id)


async def _submitted(context: RequestContext, body: CreateVideo, key: str | None) -> Result:
    submitted = await submission.submit(context.services, context.caller, body, key, repeats=context.repeats)
    headers = {"Location": f"/v1/videos/{submitted.job.id}", "openai-poll-after-ms": POLL_AFTER_MS}
    if submitted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Result(views.video(submitted.job, context.services.clock()), 200 if submitted.replayed else None, headers)


async def estimate_video(context: RequestContext) -> Result:
    return Result(await submission.estimate(context.services, context.caller, context.body))


async def cancel_video(context: RequestContext) -> Result:
    job = await submission.cancel(context.services, context.caller, context.id, context.query.min_refund or 0)
    return Result(views.canceled(job, context.services.clock()))


async def estimate_cancel(context: RequestContext) -> Result:
    return Result(await submission.estimate_cancel(context.services, context.caller, context.id))


async def export_account(context: RequestContext) -> Result:
    export = await exports.start(context.services, context.caller)
    headers = {"Location": f"/v1/account/exports/{export.id}"}
    return Result(await exports.view(context.services, export), headers=headers)


async def delete_account(context: RequestContext) -> Result:
    started = await deletion.start(context.services, context.caller)
    context.accounts.forget(context.caller.account)
    return Result(deletion.view(started))


async def gemini_event(context: RequestContext) -> Result:
    await provider_events.gemini_event(context.services, context.request.headers, context.request.body)
    return Result()


HANDLERS = {
    "create_video": create_video,
    "extend_video": extend_video,
    "edit_video": edit_video,
    "remix_video": remix_video,
    "estimate_video": estimate_video,
    "cancel_video": cancel_video,
    "estimate_cancel": estimate_cancel,
    "export_account": export_account,
    "delete_account": delete_account,
    "gemini_event": gemini_event,
}
app = application(routing.of("submit", JOBS, ACCOUNTS), HANDLERS)


@functions_framework.aio.http
async def submit(request: Request) -> Any:
    return app
