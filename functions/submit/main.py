"""Whatever starts or stops work: create, estimate, cancel; and the providers' completion webhooks."""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared import hints, submission, views
from shared.errors import ApiError
from shared.http import Call, Reply, application
from shared.models import MAX_IDEMPOTENCY_KEY_CHARS, Canceled


async def create_video(call: Call) -> Reply:
    key = call.request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY_CHARS:
        raise ApiError("INVALID_REQUEST", f"An Idempotency-Key has 1 to {MAX_IDEMPOTENCY_KEY_CHARS} characters.")
    submitted = await submission.submit(call.services, call.caller, call.body, key)
    headers = {"Location": f"/v1/videos/{submitted.job.id}", "openai-poll-after-ms": "2000"}
    if submitted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Reply(views.video(submitted.job, call.services.clock()), 200 if submitted.replayed else None, headers)


async def estimate_video(call: Call) -> Reply:
    return Reply(await submission.estimate(call.services, call.caller, call.body))


async def cancel_video(call: Call) -> Reply:
    job = await submission.cancel(call.services, call.caller, call.id)
    kept = job.cost - job.refunded
    message = f"{job.refunded} credits were given back" + (f", {kept} were kept." if kept else ".")
    video = views.video(job, call.services.clock())
    return Reply(Canceled(video=video, refunded=job.refunded, kept=kept, message=message))


async def gemini_event(call: Call) -> Reply:
    await hints.gemini_event(call.services, call.request.headers, await call.request.body())
    return Reply()


HANDLERS = {
    "create_video": create_video,
    "estimate_video": estimate_video,
    "cancel_video": cancel_video,
    "gemini_event": gemini_event,
}
app = application("submit", HANDLERS)


@functions_framework.aio.http
async def submit(request: Request) -> Any:
    return app
