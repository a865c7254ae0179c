"""The table of all routes: which function answers what, for whom, with which bodies.

functions/*/main.py bind handlers to the names here; the laptop's gateway, the load balancer's URL map, openapi.json
and the access tests are made from the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from shared import (
    agent_tools,
    api_keys,
    body_limits,
    config_edits,
    deliveries,
    erasure,
    errands,
    exports,
    openai_videos,
    profile,
    projects,
    tenant_grants,
    tenant_videos,
    users,
    webhooks,
)
from shared import models as m
from shared.body_limits import BodyLimits

Function = Literal["submit", "poll", "deliver", "stream", "history", "cleanup"]
Caller = Literal["user", "admin", "operator", "queue", "scheduler", "provider", "bucket"]
# Who signs in.
PEOPLE: tuple[Caller, ...] = ("user", "admin", "operator")
FUNCTIONS: tuple[Function, ...] = ("submit", "poll", "deliver", "stream", "history", "cleanup")


@dataclass(frozen=True)
class Route:
    """One operation.

    `caller` is who may call: a signed-in user, an administrator of the user's tenant, an operator of the installation,
    a machine whose identity Cloud Run checks before the request arrives ("queue", "scheduler", "bucket"), or a provider
    that signs its body ("provider"). `form`: whether the body may be multipart/form-data instead of JSON. `keys`:
    whether a user may call with an API key; an administrator never may. `reads_account`: whether the caller's account
    and key are read from the database for this request, so that a role, an account or a key that was taken back a
    moment ago opens nothing; left out, all that writes does, and all that needs a role. `recent_sign_in`: whether the
    user must have signed in within the last minutes. `errors` are the codes of the catalog that this operation may
    answer besides those that every operation of its kind may. `limits` are those of its body.
    """

    name: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    function: Function
    summary: str
    caller: Caller = "user"
    keys: bool = True
    reads_account: bool | None = None
    recent_sign_in: bool = False
    body: type[BaseModel] | None = None
    form: bool = False
    query: type[BaseModel] | None = None
    response: type[BaseModel] | None = None
    status: int = 200
    errors: tuple[str, ...] = ()
    media_type: Literal["application/json", "text/event-stream"] = "application/json"
    limits: BodyLimits = body_limits.SMALL

    @property
    def has_body(self) -> bool:
        """Whether a body is read: the model's, or what a provider has signed."""
        return self.body is not None or self.caller == "provider"

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    @property
    def fresh_account(self) -> bool:
        """Whether the caller's account is read from the database for each request."""
        by_itself = self.writes or self.caller in ("admin", "operator")
        return by_itself if self.reads_account is None else self.reads_account


# Why a model cannot make what is asked for, or cannot go on from the video that is to be extended.
_UNMAKEABLE = (
    "PROMPT_TOO_LONG",
    "MODEL_NOT_FOUND",
    "UNSUPPORTED_BY_MODEL",
    "NOT_FOUND",
    "JOB_NOT_FINISHED",
    "VIDEO_NOT_AVAILABLE",
    "GONE",
)

# Why a submission may be rejected.
_SUBMITTED = (
    *_UNMAKEABLE,
    "INVALID_IMAGE",
    "IMAGE_NOT_FETCHED",
    "INSUFFICIENT_CREDITS",
    "PRICE_CHANGED",
    "IDEMPOTENCY_KEY_REUSED",
    "TOO_MANY_ACTIVE_JOBS",
    "DAILY_LIMIT",
    "GENERATION_DISABLED",
)

ROUTES: tuple[Route, ...] = (
    Route(
        "create_video",
        "POST",
        "/v1/videos",
        "submit",
        "Ask for a video",
        # The commit of the job reads it.
        reads_account=False,
        body=m.CreateVideo,
        form=True,
        response=m.Video,
        status=202,
        errors=_SUBMITTED,
        limits=body_limits.IMAGES,
    ),
    Route(
        "extend_video",
        "POST",
        "/v1/videos/extensions",
        "submit",
        "Continue a video, as the OpenAI API has it",
        reads_account=False,
        body=openai_videos.ExtendVideo,
        form=True,
        response=m.Video,
        status=202,
        errors=_SUBMITTED,
        limits=body_limits.IMAGES,
    ),
    Route(
        "edit_video",
        "POST",
        "/v1/videos/edits",
        "submit",
        "Edit a video, as the OpenAI API has it",
        body=openai_videos.EditVideo,
        form=True,
        response=m.Video,
        status=202,
        errors=("NOT_FOUND", "UNSUPPORTED_BY_MODEL"),
        limits=body_limits.IMAGES,
    ),
    Route(
        "remix_video",
        "POST",
        "/v1/videos/{id}/remix",
        "submit",
        "Remix a video, as the OpenAI API has it",
        body=openai_videos.RemixVideo,
        response=m.Video,
        status=202,
        errors=("NOT_FOUND", "UNSUPPORTED_BY_MODEL"),
    ),
    Route(
        "estimate_video",
        "POST",
        "/v1/videos/estimate",
        "submit",
        "What a video would cost and take",
        reads_account=False,
        body=m.CreateVideo,
        form=True,
        response=m.Estimate,
        errors=(*_UNMAKEABLE, "INVALID_IMAGE", "IMAGE_NOT_FETCHED"),
        limits=body_limits.IMAGES,
    ),
    Route(
        "cancel_video",
        "POST",
        "/v1/videos/{id}/cancel",
        "submit",
        "Cancel a job that has not ended",
        query=m.CancelQuery,
        response=m.Canceled,
        errors=("NOT_FOUND", "NOT_CANCELABLE", "REFUND_CHANGED"),
    ),
    Route(
        "estimate_cancel",
        "GET",
        "/v1/videos/{id}/cancel",
        "submit",
        "What canceling a video now would give back",
        response=m.Cancellation,
        errors=("NOT_FOUND", "NOT_CANCELABLE"),
    ),
    Route(
        "gemini_event",
        "POST",
        "/hooks/gemini",
        "submit",
        "The Gemini API says that a generation changed",
        caller="provider",
        status=204,
        limits=body_limits.EVENTS,
    ),
    Route(
        "video_content",
        "GET",
        "/v1/videos/{id}/content",
        "stream",
        "The video, or its poster frame",
        query=m.ContentQuery,
        response=m.SignedUrl,
        errors=("NOT_FOUND", "JOB_NOT_FINISHED", "VIDEO_NOT_AVAILABLE", "GONE", "RANGE_NOT_SATISFIABLE"),
    ),
    Route(
        "video_events",
        "GET",
        "/v1/videos/{id}/events",
        "stream",
        "One video's changes and progress as they happen",
        errors=("NOT_FOUND", "TOO_MANY_STREAMS"),
        media_type="text/event-stream",
    ),
    Route(
        "account_events",
        "GET",
        "/v1/events",
        "stream",
        "The changes and progress of all one's videos as they happen",
        errors=("TOO_MANY_STREAMS",),
        media_type="text/event-stream",
    ),
    Route(
        "list_videos",
        "GET",
        "/v1/videos",
        "history",
        "List one's videos",
        query=m.ListVideosQuery,
        response=m.VideoPage,
    ),
    Route("get_video", "GET", "/v1/videos/{id}", "history", "One video", response=m.Video, errors=("NOT_FOUND",)),
    Route(
        "delete_video",
        "DELETE",
        "/v1/videos/{id}",
        "history",
        "Delete a video",
        response=m.DeletedVideo,
        errors=("NOT_FOUND", "JOB_NOT_FINISHED"),
    ),
    Route(
        "get_receipt",
        "GET",
        "/v1/idempotency-keys/{key}",
        "history",
        "What became of an Idempotency-Key",
        response=m.Receipt,
        errors=("NOT_FOUND",),
    ),
    Route("get_account", "GET", "/v1/account", "history", "One's account and balance", response=m.AccountView),
    Route(
        "update_account",
        "PATCH",
        "/v1/account",
        "history",
        "Change one's profile",
        body=profile.UpdateAccount,
        response=m.AccountView,
    ),
    Route(
        "make_api_key",
        "POST",
        "/v1/api-keys",
        "history",
        "Make an API key; the answer is the only one that shows it",
        keys=False,
        recent_sign_in=True,
        body=api_keys.NewApiKey,
        response=api_keys.MadeApiKey,
        status=201,
        errors=("LIMIT_REACHED", "EMAIL_NOT_VERIFIED"),
    ),
    Route("list_api_keys", "GET", "/v1/api-keys", "history", "One's API keys", response=api_keys.ApiKeyList),
    Route(
        "revoke_api_key",
        "DELETE",
        "/v1/api-keys/{id}",
        "history",
        "Revoke an API key",
        keys=False,
        response=api_keys.RevokedApiKey,
        errors=("NOT_FOUND",),
    ),
    Route(
        "list_projects",
        "GET",
        "/v1/projects",
        "history",
        "The tenant's projects, newest first",
        query=projects.ListProjectsQuery,
        response=projects.ProjectPage,
    ),
    Route(
        "get_project",
        "GET",
        "/v1/projects/{id}",
        "history",
        "One project",
        response=projects.ProjectView,
        errors=("NOT_FOUND",),
    ),
    Route(
        "make_project",
        "POST",
        "/v1/projects",
        "history",
        "Make a project",
        caller="admin",
        body=projects.NewProject,
        response=projects.ProjectView,
        status=201,
        errors=("ALREADY_EXISTS", "LIMIT_REACHED"),
    ),
    Route(
        "update_project",
        "PATCH",
        "/v1/projects/{id}",
        "history",
        "Rename or archive a project",
        caller="admin",
        body=projects.UpdateProject,
        response=projects.ProjectView,
        errors=("NOT_FOUND",),
    ),
    Route(
        "list_users",
        "GET",
        "/v1/admin/users",
        "history",
        "The tenant's users, newest first",
        caller="admin",
        query=users.ListUsersQuery,
        response=users.UserPage,
    ),
    Route(
        "get_user",
        "GET",
        "/v1/admin/users/{id}",
        "history",
        "One user of the tenant",
        caller="admin",
        response=users.UserView,
        errors=("NOT_FOUND",),
    ),
    Route(
        "update_user",
        "PATCH",
        "/v1/admin/users/{id}",
        "history",
        "Disable a user, or change the role or the plan",
        caller="admin",
        body=users.UpdateUser,
        response=users.UserView,
        errors=("NOT_FOUND",),
    ),
    Route(
        "grant_credits",
        "POST",
        "/v1/admin/users/{id}/grants",
        "history",
        "Give a user credits, once for each Idempotency-Key",
        caller="admin",
        body=users.GrantCredits,
        response=m.TransactionView,
        status=201,
        errors=("NOT_FOUND", "IDEMPOTENCY_KEY_REUSED", "TENANT_BUDGET_EXCEEDED"),
    ),
    Route(
        "get_tenant_budget",
        "GET",
        "/v1/admin/budget",
        "history",
        "What the tenant's administrators may still give",
        caller="admin",
        response=tenant_grants.TenantBudgetView,
        errors=("NOT_FOUND",),
    ),
    Route(
        "get_tenant",
        "GET",
        "/v1/operator/tenants/{tenant}",
        "history",
        "A tenant's budget",
        caller="operator",
        response=tenant_grants.TenantBudgetView,
        errors=("NOT_FOUND",),
    ),
    Route(
        "grant_to_tenant",
        "POST",
        "/v1/operator/tenants/{tenant}/grants",
        "history",
        "Grant credits to a tenant, once for each Idempotency-Key",
        caller="operator",
        body=tenant_grants.GrantToTenant,
        response=tenant_grants.TenantGrantView,
        status=201,
        errors=("NOT_FOUND", "IDEMPOTENCY_KEY_REUSED", "TENANT_BUDGET_EXCEEDED"),
    ),
    Route(
        "list_tenant_videos",
        "GET",
        "/v1/admin/videos",
        "history",
        "All videos of the tenant, newest first",
        caller="admin",
        query=tenant_videos.ListTenantVideosQuery,
        response=tenant_videos.TenantVideoPage,
    ),
    Route(
        "get_tenant_video",
        "GET",
        "/v1/admin/videos/{id}",
        "history",
        "One video of the tenant, with URLs to watch it",
        caller="admin",
        response=tenant_videos.WatchedVideo,
        errors=("NOT_FOUND",),
    ),
    Route(
        "get_config",
        "GET",
        "/v1/admin/config",
        "history",
        "The live settings",
        caller="admin",
        response=config_edits.ConfigView,
    ),
    Route(
        "put_config",
        "PUT",
        "/v1/admin/config",
        "history",
        "Replace the live settings of the installation",
        caller="admin",
        body=config_edits.PutConfig,
        response=config_edits.ConfigView,
        errors=("PRECONDITION_FAILED", "PRECONDITION_REQUIRED"),
        limits=body_limits.SETTINGS,
    ),
    Route(
        "list_transactions",
        "GET",
        "/v1/account/transactions",
        "history",
        "One's credit ledger, newest first",
        query=m.ListTransactionsQuery,
        response=m.TransactionPage,
    ),
    Route("list_models", "GET", "/v1/models", "history", "What each model can do and costs", response=m.ModelList),
    Route(
        "get_model",
        "GET",
        "/v1/models/{id}",
        "history",
        "What one model can do and costs",
        response=m.ModelView,
        errors=("NOT_FOUND",),
    ),
    Route(
        "list_agent_tools",
        "GET",
        "/v1/agent/tools",
        "history",
        "What an assistant may do for one, as Gemini function declarations",
        response=agent_tools.AgentTools,
    ),
    Route(
        "step", "POST", "/tasks/step", "poll", "Advance a job by one step", caller="queue", body=m.StepBody, status=204
    ),
    Route(
        "export_account",
        "POST",
        "/v1/account/export",
        "submit",
        "Ask for a copy of all one's data",
        response=exports.ExportView,
        status=202,
    ),
    Route(
        "get_export",
        "GET",
        "/v1/account/exports/{id}",
        "history",
        "One export, with its files once it is completed",
        query=exports.ExportQuery,
        response=exports.ExportView,
        errors=("NOT_FOUND",),
    ),
    Route(
        "delete_account",
        "DELETE",
        "/v1/account",
        "submit",
        "Delete one's account and all its videos",
        keys=False,
        recent_sign_in=True,
        response=erasure.ErasureView,
        status=202,
    ),
    Route(
        "make_webhook_endpoint",
        "POST",
        "/v1/webhook-endpoints",
        "history",
        "Make a webhook endpoint; its secret is shown here only",
        status=201,
        body=webhooks.NewWebhookEndpoint,
        response=webhooks.WebhookEndpointWithSecret,
        errors=("LIMIT_REACHED", "EMAIL_NOT_VERIFIED"),
    ),
    Route(
        "list_webhook_endpoints",
        "GET",
        "/v1/webhook-endpoints",
        "history",
        "List one's webhook endpoints",
        response=webhooks.WebhookEndpointList,
    ),
    Route(
        "get_webhook_endpoint",
        "GET",
        "/v1/webhook-endpoints/{id}",
        "history",
        "One webhook endpoint",
        response=webhooks.WebhookEndpointView,
        errors=("NOT_FOUND",),
    ),
    Route(
        "update_webhook_endpoint",
        "PATCH",
        "/v1/webhook-endpoints/{id}",
        "history",
        "Change, disable or enable a webhook endpoint",
        body=webhooks.UpdateWebhookEndpoint,
        response=webhooks.WebhookEndpointView,
        errors=("NOT_FOUND",),
    ),
    Route(
        "delete_webhook_endpoint",
        "DELETE",
        "/v1/webhook-endpoints/{id}",
        "history",
        "Delete a webhook endpoint",
        response=webhooks.DeletedWebhookEndpoint,
        errors=("NOT_FOUND",),
    ),
    Route(
        "rotate_webhook_endpoint",
        "POST",
        "/v1/webhook-endpoints/{id}/rotate",
        "history",
        "Give a webhook endpoint a new secret",
        response=webhooks.WebhookEndpointWithSecret,
        errors=("NOT_FOUND",),
    ),
    Route(
        "ping_webhook_endpoint",
        "POST",
        "/v1/webhook-endpoints/{id}/test",
        "history",
        "Send a ping to a webhook endpoint",
        response=deliveries.DeliveryView,
        status=202,
        errors=("NOT_FOUND", "RATE_LIMITED"),
    ),
    Route(
        "list_endpoint_deliveries",
        "GET",
        "/v1/webhook-endpoints/{id}/deliveries",
        "history",
        "What was sent to a webhook endpoint",
        query=deliveries.ListDeliveriesQuery,
        response=deliveries.DeliveryPage,
        errors=("NOT_FOUND",),
    ),
    Route(
        "list_video_deliveries",
        "GET",
        "/v1/videos/{id}/deliveries",
        "history",
        "Who was told of a video's end",
        query=deliveries.ListDeliveriesQuery,
        response=deliveries.DeliveryPage,
        errors=("NOT_FOUND",),
    ),
    Route(
        "redeliver_webhook",
        "POST",
        "/v1/webhook-deliveries/{id}/redeliver",
        "history",
        "Send a webhook message again",
        response=deliveries.DeliveryView,
        status=202,
        errors=("NOT_FOUND",),
    ),
    Route(
        "get_webhook_secret",
        "GET",
        "/v1/account/webhook-secret",
        "history",
        "What signs the messages to a video's own webhook_url",
        keys=False,
        reads_account=True,
        response=webhooks.WebhookSecretView,
        errors=("EMAIL_NOT_VERIFIED",),
    ),
    Route(
        "rotate_webhook_secret",
        "POST",
        "/v1/account/webhook-secret/rotate",
        "history",
        "A new secret for the messages to a video's own webhook_url",
        keys=False,
        response=webhooks.WebhookSecretView,
        errors=("EMAIL_NOT_VERIFIED",),
    ),
    Route(
        "webhook",
        "POST",
        "/tasks/webhook",
        "deliver",
        "Deliver a webhook message",
        caller="queue",
        body=errands.ErrandBody,
        status=204,
    ),
    Route(
        "chore",
        "POST",
        "/tasks/chore",
        "poll",
        "Advance an export or a deletion by one step",
        caller="queue",
        body=errands.ErrandBody,
        status=204,
    ),
    Route(
        "object_finalized",
        "POST",
        "/tasks/object-finalized",
        "poll",
        "An object appeared in the bucket",
        caller="bucket",
        body=m.PushEnvelope,
        status=204,
        limits=body_limits.EVENTS,
    ),
    Route("sweep", "POST", "/tasks/sweep", "cleanup", "Put back the jobs that fell", caller="scheduler"),
    Route(
        "reconcile",
        "POST",
        "/tasks/reconcile",
        "cleanup",
        "Compare every balance with its ledger",
        caller="scheduler",
    ),
    Route("retain", "POST", "/tasks/retain", "cleanup", "Remove files that are no longer kept", caller="scheduler"),
    Route("digest", "POST", "/tasks/digest", "cleanup", "Sum up the week for the operators", caller="scheduler"),
)


def of(function: Function) -> tuple[Route, ...]:
    """The rows of one function, in the order of the table."""
    return tuple(route for route in ROUTES if route.function == function)


def pattern(path: str) -> str:
    """The path as Starlette matches it: an Idempotency-Key is all the rest, slashes too; an id is one segment."""
    return path.replace("{key}", "{key:path}")
