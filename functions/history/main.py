"""All other reads and edits: one's videos, account, ledger, and what the models can do."""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared import library, views
from shared.http import Call, Reply, application
from shared.models import DeletedVideo


async def list_videos(call: Call) -> Reply:
    jobs = await library.own_jobs(call.services, call.caller, call.query)
    return Reply(views.video_page(jobs, call.query.limit, call.services.clock()))


async def get_video(call: Call) -> Reply:
    job = await library.own_job(call.services, call.caller, call.id)
    return Reply(views.video(job, call.services.clock()))


async def delete_video(call: Call) -> Reply:
    await library.delete(call.services, call.caller, call.id)
    return Reply(DeletedVideo(id=call.id))


async def get_account(call: Call) -> Reply:
    account = await library.own_account(call.services, call.caller)
    return Reply(views.account(account, await call.services.config.get()))


async def list_transactions(call: Call) -> Reply:
    entries = await library.own_transactions(call.services, call.caller, call.query)
    return Reply(views.transaction_page(entries, call.query.limit))


async def list_models(call: Call) -> Reply:
    return Reply(await library.models(call.services))


HANDLERS = {
    "list_videos": list_videos,
    "get_video": get_video,
    "delete_video": delete_video,
    "get_account": get_account,
    "list_transactions": list_transactions,
    "list_models": list_models,
}
app = application("history", HANDLERS)


@functions_framework.aio.http
async def history(request: Request) -> Any:
    return app
