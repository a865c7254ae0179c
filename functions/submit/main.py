"""Whatever starts or stops work: create, estimate, cancel, export, erase; and the providers' completion webhooks."""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared.accounts import deletion, exports
from shared.accounts.routes import ROUTES as ACCOUNTS
from shared.api import routing, views
from shared.api.videos import CreateVideo
from shared.http.app import POLL_AFTER_MS, Call, Reply, application
from shared.jobs import openai_videos, provider_events, submission
from shared.jobs.routes import ROUTES as JOBS


async def create_video(call: Call) -> Reply:
    return await _submitted(call, call.body, call.idempotency_key)


async def extend_video(call: Call) -> Reply:
    return await _submitted(call, call.body.as_create(), call.idempotency_key)


async def edit_video(call: Call) -> Reply:
    await openai_videos.refuse_edit(call.services, call.caller, call.body.video.id)


async def remix_video(call: Call) -> Reply:
    await openai_videos.refuse_edit(call.services, call.caller, call.id)


async def _submitted(call: Call, body: CreateVideo, key: str | None) -> Reply:
    submitted = await submission.submit(call.services, call.caller, body, key, repeats=call.repeats)
    headers = {"Location": f"/v1/videos/{submitted.job.id}", "openai-poll-after-ms": POLL_AFTER_MS}
    if submitted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Reply(views.video(submitted.job, call.services.clock()), 200 if submitted.replayed else None, headers)


async def estimate_video(call: Call) -> Reply:
    return Reply(await submission.estimate(call.services, call.caller, call.body))


async def cancel_video(call: Call) -> Reply:
    job = await submission.cancel(call.services, call.caller, call.id, call.query.min_refund or 0)
    return Reply(views.canceled(job, call.services.clock()))


async def estimate_cancel(call: Call) -> Reply:
    return Reply(await submission.estimate_cancel(call.services, call.caller, call.id))


async def export_account(call: Call) -> Reply:
    chore = await exports.start(call.services, call.caller)
    headers = {"Location": f"/v1/account/exports/{chore.id}"}
    return Reply(await exports.view(call.services, chore), headers=headers)


async def delete_account(call: Call) -> Reply:
    chore = await deletion.start(call.services, call.caller)
    call.accounts.forget(call.caller.account)
    return Reply(deletion.view(chore))


async def gemini_event(call: Call) -> Reply:
    await provider_events.gemini_event(call.services, call.request.headers, call.request.body)
    return Reply()


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
