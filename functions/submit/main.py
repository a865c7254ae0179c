"""Whatever starts or stops work: create, estimate, cancel, export, erase; and the providers' completion webhooks."""

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


async def create_video(call: RequestContext) -> Result:
    return await _submitted(call, call.body, call.idempotency_key)


async def extend_video(call: RequestContext) -> Result:
    return await _submitted(call, call.body.as_create(), call.idempotency_key)


async def edit_video(call: RequestContext) -> Result:
    await openai_videos.refuse_edit(call.services, call.caller, call.body.video.id)


async def remix_video(call: RequestContext) -> Result:
    await openai_videos.refuse_edit(call.services, call.caller, call.id)


async def _submitted(call: RequestContext, body: CreateVideo, key: str | None) -> Result:
    submitted = await submission.submit(call.services, call.caller, body, key, repeats=call.repeats)
    headers = {"Location": f"/v1/videos/{submitted.job.id}", "openai-poll-after-ms": POLL_AFTER_MS}
    if submitted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Result(views.video(submitted.job, call.services.clock()), 200 if submitted.replayed else None, headers)


async def estimate_video(call: RequestContext) -> Result:
    return Result(await submission.estimate(call.services, call.caller, call.body))


async def cancel_video(call: RequestContext) -> Result:
    job = await submission.cancel(call.services, call.caller, call.id, call.query.min_refund or 0)
    return Result(views.canceled(job, call.services.clock()))


async def estimate_cancel(call: RequestContext) -> Result:
    return Result(await submission.estimate_cancel(call.services, call.caller, call.id))


async def export_account(call: RequestContext) -> Result:
    chore = await exports.start(call.services, call.caller)
    headers = {"Location": f"/v1/account/exports/{chore.id}"}
    return Result(await exports.view(call.services, chore), headers=headers)


async def delete_account(call: RequestContext) -> Result:
    chore = await deletion.start(call.services, call.caller)
    call.accounts.forget(call.caller.account)
    return Result(deletion.view(chore))


async def gemini_event(call: RequestContext) -> Result:
    await provider_events.gemini_event(call.services, call.request.headers, call.request.body)
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
