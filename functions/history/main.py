"""All other reads and edits, of users and of administrators."""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from shared.accounts import api_keys, exports, profile
from shared.accounts.routes import ROUTES as ACCOUNTS
from shared.admin import settings, tenants, users, videos
from shared.admin.routes import ROUTES as ADMIN
from shared.api import routing, views
from shared.api.api_keys import ApiKeyList, RevokedApiKey
from shared.api.videos import DeletedVideo
from shared.api.webhooks import DeletedWebhookEndpoint, WebhookEndpointList
from shared.http import agent_tools, site
from shared.http.agent_tools import ROUTES as AGENT_TOOLS
from shared.http.app import POLL_AFTER_MS, RequestContext, Result, application
from shared.jobs import queries, submission
from shared.jobs.routes import ROUTES as JOBS
from shared.webhooks import deliveries, endpoints
from shared.webhooks.routes import ROUTES as WEBHOOKS
from shared.workspace import projects
from shared.workspace.routes import ROUTES as WORKSPACE


async def list_videos(call: RequestContext) -> Result:
    jobs = await queries.own_jobs(call.services, call.caller, call.query)
    return Result(views.video_page(jobs, call.query.limit, call.services.clock()))


async def get_video(call: RequestContext) -> Result:
    job = await queries.own_job(call.services, call.caller, call.id)
    return Result(views.video(job, call.services.clock()), headers={"openai-poll-after-ms": POLL_AFTER_MS})


async def delete_video(call: RequestContext) -> Result:
    await queries.delete(call.services, call.caller, call.id)
    return Result(DeletedVideo(id=call.id))


async def get_receipt(call: RequestContext) -> Result:
    return Result(await submission.receipt(call.services, call.caller, call.request.path_params["key"]))


async def get_account(call: RequestContext) -> Result:
    account = await queries.own_account(call.services, call.caller)
    return Result(views.account(account, await call.services.live_settings.get()))


async def list_transactions(call: RequestContext) -> Result:
    entries = await queries.own_transactions(call.services, call.caller, call.query)
    return Result(views.transaction_page(entries, call.query.limit))


async def list_models(call: RequestContext) -> Result:
    return Result(await queries.models(call.services, call.caller))


async def get_model(call: RequestContext) -> Result:
    return Result(await queries.model(call.services, call.caller, call.id))


async def list_agent_tools(_call: RequestContext) -> Result:
    return Result(agent_tools.declarations())


async def update_account(call: RequestContext) -> Result:
    account = await profile.update(call.services, call.caller, call.body)
    return Result(views.account(account, await call.services.live_settings.get()))


async def create_api_key(call: RequestContext) -> Result:
    return Result(await api_keys.make(call.services, call.caller, call.body))


async def list_api_keys(call: RequestContext) -> Result:
    keys = await api_keys.own(call.services, call.caller.account)
    return Result(ApiKeyList(data=[api_keys.view(key) for key in keys]))


async def revoke_api_key(call: RequestContext) -> Result:
    await api_keys.revoke(call.services, call.caller, call.id)
    call.accounts.forget(call.caller.account)
    return Result(RevokedApiKey(id=call.id))


async def list_projects(call: RequestContext) -> Result:
    found = await projects.page(call.services, call.caller, call.query)
    return Result(projects.page_view(found, call.query.limit))


async def get_project(call: RequestContext) -> Result:
    return Result(projects.view(await projects.get(call.services, call.caller, call.id)))


async def create_project(call: RequestContext) -> Result:
    project = await projects.make(call.services, call.caller, call.body)
    return Result(projects.view(project), headers={"Location": f"/v1/projects/{project.project}"})


async def update_project(call: RequestContext) -> Result:
    return Result(projects.view(await projects.update(call.services, call.caller, call.id, call.body)))


async def list_users(call: RequestContext) -> Result:
    found = await users.page(call.services, call.caller, call.query)
    return Result(users.page_view(found, call.query.limit))


async def get_user(call: RequestContext) -> Result:
    return Result(users.view(await users.get(call.services, call.caller, call.id)))


async def update_user(call: RequestContext) -> Result:
    account = await users.update(call.services, call.caller, call.id, call.body)
    call.accounts.forget(account.id)
    return Result(users.view(account))


async def grant_credits(call: RequestContext) -> Result:
    granted = await users.grant(call.services, call.caller, call.id, call.body, call.idempotency_key)
    entry = views.transaction(granted.entry)
    return Result(entry, 200, {"Idempotent-Replayed": "true"}) if granted.replayed else Result(entry)


async def get_tenant_budget(call: RequestContext) -> Result:
    return Result(tenants.view(await tenants.get(call.services, call.caller.tenant)))


async def get_tenant(call: RequestContext) -> Result:
    tenant = str(call.request.path_params["tenant"])
    return Result(tenants.view(await tenants.look(call.services, call.caller, tenant)))


async def grant_to_tenant(call: RequestContext) -> Result:
    tenant = str(call.request.path_params["tenant"])
    granted = await tenants.grant(call.services, call.caller, tenant, call.body, call.idempotency_key)
    entry = tenants.entry_view(granted.entry)
    return Result(entry, 200, {"Idempotent-Replayed": "true"}) if granted.replayed else Result(entry)


async def list_tenant_videos(call: RequestContext) -> Result:
    jobs = await videos.page(call.services, call.caller, call.query)
    return Result(videos.page_view(jobs, call.query.limit, call.services.clock()))


async def get_tenant_video(call: RequestContext) -> Result:
    return Result(await videos.watch(call.services, call.caller, call.id))


async def get_config(call: RequestContext) -> Result:
    view = await settings.get(call.services)
    return Result(view, headers={"ETag": view.etag})


async def put_config(call: RequestContext) -> Result:
    view = await settings.put(call.services, call.caller, call.body, call.request.headers.get("if-match"))
    return Result(view, headers={"ETag": view.etag})


async def get_export(call: RequestContext) -> Result:
    chore = await exports.get(call.services, call.caller, call.id)
    return Result(await exports.view(call.services, chore, call.query))


async def create_webhook_endpoint(call: RequestContext) -> Result:
    endpoint = await endpoints.make(call.services, call.caller, call.body)
    headers = {"Location": f"/v1/webhook-endpoints/{endpoint.id}"}
    return Result(endpoints.view_with_secret(endpoint), headers=headers)


async def list_webhook_endpoints(call: RequestContext) -> Result:
    found = await endpoints.own(call.services, call.caller)
    return Result(WebhookEndpointList(data=[endpoints.view(endpoint) for endpoint in found]))


async def get_webhook_endpoint(call: RequestContext) -> Result:
    return Result(endpoints.view(await endpoints.get(call.services, call.caller, call.id)))


async def update_webhook_endpoint(call: RequestContext) -> Result:
    return Result(endpoints.view(await endpoints.update(call.services, call.caller, call.id, call.body)))


async def rotate_webhook_endpoint(call: RequestContext) -> Result:
    return Result(endpoints.view_with_secret(await endpoints.rotate(call.services, call.caller, call.id)))


async def delete_webhook_endpoint(call: RequestContext) -> Result:
    await endpoints.delete(call.services, call.caller, call.id)
    return Result(DeletedWebhookEndpoint(id=call.id))


async def ping_webhook_endpoint(call: RequestContext) -> Result:
    return Result(deliveries.view(await deliveries.ping(call.services, call.caller, call.id)))


async def list_endpoint_deliveries(call: RequestContext) -> Result:
    found = await deliveries.of_endpoint(call.services, call.caller, call.id, call.query)
    return Result(deliveries.page_view(found, call.query.limit))


async def list_video_deliveries(call: RequestContext) -> Result:
    job = await queries.own_job(call.services, call.caller, call.id)
    found = await deliveries.of_video(call.services, call.caller, job, call.query)
    return Result(deliveries.page_view(found, call.query.limit))


async def redeliver_webhook(call: RequestContext) -> Result:
    return Result(deliveries.view(await deliveries.redeliver(call.services, call.caller, call.id)))


async def get_webhook_secret(call: RequestContext) -> Result:
    secret = await endpoints.own_secret(call.services, call.caller)
    return Result(endpoints.secret_view(secret, call.services.clock()))


async def rotate_webhook_secret(call: RequestContext) -> Result:
    secret = await endpoints.rotate_secret(call.services, call.caller)
    return Result(endpoints.secret_view(secret, call.services.clock()))


HANDLERS = {
    "list_videos": list_videos,
    "get_video": get_video,
    "delete_video": delete_video,
    "get_receipt": get_receipt,
    "get_account": get_account,
    "list_transactions": list_transactions,
    "list_models": list_models,
    "get_model": get_model,
    "list_agent_tools": list_agent_tools,
    "update_account": update_account,
    "create_api_key": create_api_key,
    "list_api_keys": list_api_keys,
    "revoke_api_key": revoke_api_key,
    "list_projects": list_projects,
    "get_project": get_project,
    "create_project": create_project,
    "update_project": update_project,
    "list_users": list_users,
    "get_user": get_user,
    "update_user": update_user,
    "grant_credits": grant_credits,
    "get_tenant_budget": get_tenant_budget,
    "get_tenant": get_tenant,
    "grant_to_tenant": grant_to_tenant,
    "list_tenant_videos": list_tenant_videos,
    "get_tenant_video": get_tenant_video,
    "get_config": get_config,
    "put_config": put_config,
    "get_export": get_export,
    "create_webhook_endpoint": create_webhook_endpoint,
    "list_webhook_endpoints": list_webhook_endpoints,
    "get_webhook_endpoint": get_webhook_endpoint,
    "update_webhook_endpoint": update_webhook_endpoint,
    "rotate_webhook_endpoint": rotate_webhook_endpoint,
    "delete_webhook_endpoint": delete_webhook_endpoint,
    "ping_webhook_endpoint": ping_webhook_endpoint,
    "list_endpoint_deliveries": list_endpoint_deliveries,
    "list_video_deliveries": list_video_deliveries,
    "redeliver_webhook": redeliver_webhook,
    "get_webhook_secret": get_webhook_secret,
    "rotate_webhook_secret": rotate_webhook_secret,
}
app = site.with_page(
    application(routing.of("history", JOBS, ACCOUNTS, WEBHOOKS, WORKSPACE, ADMIN, AGENT_TOOLS), HANDLERS)
)


@functions_framework.aio.http
async def history(request: Request) -> Any:
    return app
