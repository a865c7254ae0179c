"""All other reads and edits, by users and administrators."""

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


async def list_videos(context: RequestContext) -> Result:
    jobs = await queries.own_jobs(context.services, context.caller, context.query)
    return Result(views.video_page(jobs, context.query.limit, context.services.clock()))


async def get_video(context: RequestContext) -> Result:
    job = await queries.own_job(context.services, context.caller, context.id)
    return Result(views.video(job, context.services.clock()), headers={"openai-poll-after-ms": POLL_AFTER_MS})


async def delete_video(context: RequestContext) -> Result:
    await queries.delete(context.services, context.caller, context.id)
    return Result(DeletedVideo(id=context.id))


async def get_receipt(context: RequestContext) -> Result:
    return Result(await submission.receipt(context.services, context.caller, context.request.path_params["key"]))


async def get_account(context: RequestContext) -> Result:
    account = await queries.own_account(context.services, context.caller)
    return Result(views.account(account, await context.services.live_settings.get()))


async def list_transactions(context: RequestContext) -> Result:
    entries = await queries.own_transactions(context.services, context.caller, context.query)
    return Result(views.transaction_page(entries, context.query.limit))


async def list_models(context: RequestContext) -> Result:
    return Result(await queries.models(context.services, context.caller))


async def get_model(context: RequestContext) -> Result:
    return Result(await queries.model(context.services, context.caller, context.id))


async def list_agent_tools(_context: RequestContext) -> Result:
    return Result(agent_tools.declarations())


async def update_account(context: RequestContext) -> Result:
    account = await profile.update(context.services, context.caller, context.body)
    return Result(views.account(account, await context.services.live_settings.get()))


async def create_api_key(context: RequestContext) -> Result:
    return Result(await api_keys.make(context.services, context.caller, context.body))


async def list_api_keys(context: RequestContext) -> Result:
    keys = await api_keys.own(context.services, context.caller.account)
    return Result(ApiKeyList(data=[api_keys.view(key) for key in keys]))


async def revoke_api_key(context: RequestContext) -> Result:
    await api_keys.revoke(context.services, context.caller, context.id)
    context.accounts.forget(context.caller.account)
    return Result(RevokedApiKey(id=context.id))


async def list_projects(context: RequestContext) -> Result:
    found = await projects.page(context.services, context.caller, context.query)
    return Result(projects.page_view(found, context.query.limit))


async def get_project(context: RequestContext) -> Result:
    return Result(projects.view(await projects.get(context.services, context.caller, context.id)))


async def create_project(context: RequestContext) -> Result:
    project = await projects.make(context.services, context.caller, context.body)
    return Result(projects.view(project), headers={"Location": f"/v1/projects/{project.project}"})


async def update_project(context: RequestContext) -> Result:
    return Result(projects.view(await projects.update(context.services, context.caller, context.id, context.body)))


async def list_users(context: RequestContext) -> Result:
    found = await users.page(context.services, context.caller, context.query)
    return Result(users.page_view(found, context.query.limit))


async def get_user(context: RequestContext) -> Result:
    return Result(users.view(await users.get(context.services, context.caller, context.id)))


async def update_user(context: RequestContext) -> Result:
    account = await users.update(context.services, context.caller, context.id, context.body)
    context.accounts.forget(account.id)
    return Result(users.view(account))


async def grant_credits(context: RequestContext) -> Result:
    granted = await users.grant(context.services, context.caller, context.id, context.body, context.idempotency_key)
    entry = views.transaction(granted.entry)
    return Result(entry, 200, {"Idempotent-Replayed": "true"}) if granted.replayed else Result(entry)


async def get_tenant_budget(context: RequestContext) -> Result:
    return Result(tenants.view(await tenants.get(context.services, context.caller.tenant)))


async def get_tenant(context: RequestContext) -> Result:
    tenant = str(context.request.path_params["tenant"])
    return Result(tenants.view(await tenants.look(context.services, context.caller, tenant)))


async def grant_to_tenant(context: RequestContext) -> Result:
    tenant = str(context.request.path_params["tenant"])
    granted = await tenants.grant(context.services, context.caller, tenant, context.body, context.idempotency_key)
    entry = tenants.entry_view(granted.entry)
    return Result(entry, 200, {"Idempotent-Replayed": "true"}) if granted.replayed else Result(entry)


async def list_tenant_videos(context: RequestContext) -> Result:
    jobs = await videos.page(context.services, context.caller, context.query)
    return Result(videos.page_view(jobs, context.query.limit, context.services.clock()))


async def get_tenant_video(context: RequestContext) -> Result:
    return Result(await videos.watch(context.services, context.caller, context.id))


async def get_config(context: RequestContext) -> Result:
    view = await settings.get(context.services)
    return Result(view, headers={"ETag": view.etag})


async def put_config(context: RequestContext) -> Result:
    view = await settings.put(context.services, context.caller, context.body, context.request.headers.get("if-match"))
    return Result(view, headers={"ETag": view.etag})


async def get_export(context: RequestContext) -> Result:
    export = await exports.get(context.services, context.caller, context.id)
    return Result(await exports.view(context.services, export, context.query))


async def create_webhook_endpoint(context: RequestContext) -> Result:
    endpoint = await endpoints.make(context.services, context.caller, context.body)
    headers = {"Location": f"/v1/webhook-endpoints/{endpoint.id}"}
    return Result(endpoints.view_with_secret(endpoint), headers=headers)


async def list_webhook_endpoints(context: RequestContext) -> Result:
    found = await endpoints.own(context.services, context.caller)
    return Result(WebhookEndpointList(data=[endpoints.view(endpoint) for endpoint in found]))


async def get_webhook_endpoint(context: RequestContext) -> Result:
    return Result(endpoints.view(await endpoints.get(context.services, context.caller, context.id)))


async def update_webhook_endpoint(context: RequestContext) -> Result:
    return Result(endpoints.view(await endpoints.update(context.services, context.caller, context.id, context.body)))


async def rotate_webhook_endpoint(context: RequestContext) -> Result:
    return Result(endpoints.view_with_secret(await endpoints.rotate(context.services, context.caller, context.id)))


async def delete_webhook_endpoint(context: RequestContext) -> Result:
    await endpoints.delete(context.services, context.caller, context.id)
    return Result(DeletedWebhookEndpoint(id=context.id))


async def ping_webhook_endpoint(context: RequestContext) -> Result:
    return Result(deliveries.view(await deliveries.ping(context.services, context.caller, context.id)))


async def list_endpoint_deliveries(context: RequestContext) -> Result:
    found = await deliveries.of_endpoint(context.services, context.caller, context.id, context.query)
    return Result(deliveries.page_view(found, context.query.limit))


async def list_video_deliveries(context: RequestContext) -> Result:
    job = await queries.own_job(context.services, context.caller, context.id)
    found = await deliveries.of_video(context.services, context.caller, job, context.query)
    return Result(deliveries.page_view(found, context.query.limit))


async def redeliver_webhook(context: RequestContext) -> Result:
    return Result(deliveries.view(await deliveries.redeliver(context.services, context.caller, context.id)))


async def get_webhook_secret(context: RequestContext) -> Result:
    secret = await endpoints.own_secret(context.services, context.caller)
    return Result(endpoints.secret_view(secret, context.services.clock()))


async def rotate_webhook_secret(context: RequestContext) -> Result:
    secret = await endpoints.rotate_secret(context.services, context.caller)
    return Result(endpoints.secret_view(secret, context.services.clock()))


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
