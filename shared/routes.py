"""The table of all routes: which function answers what, for whom, with which bodies.

functions/*/main.py bind handlers to the names here; the laptop's gateway, the load balancer's URL map, openapi.json
and the access tests are made from the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from shared import models as m

Function = Literal["submit", "poll", "stream", "history", "cleanup"]
Caller = Literal["user", "queue", "scheduler", "provider", "bucket"]
FUNCTIONS: tuple[Function, ...] = ("submit", "poll", "stream", "history", "cleanup")


@dataclass(frozen=True)
class Route:
    """One operation.

    `caller` is who may call: a signed-in user, or a machine whose identity Cloud Run checks before the request arrives
    ("queue", "scheduler", "bucket"), or a provider that signs its body ("provider"). `errors` are the codes of the
    catalogue that this operation may answer besides those that every operation of its kind may.
    """

    name: str
    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    function: Function
    summary: str
    caller: Caller = "user"
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    response: type[BaseModel] | None = None
    status: int = 200
    errors: tuple[str, ...] = ()


ROUTES: tuple[Route, ...] = (
    Route(
        "create_video",
        "POST",
        "/v1/videos",
        "submit",
        "Ask for a video",
        body=m.CreateVideo,
        response=m.Video,
        status=202,
        errors=(
            "PROMPT_TOO_LONG",
            "MODEL_NOT_FOUND",
            "UNSUPPORTED_BY_MODEL",
            "INSUFFICIENT_CREDITS",
            "IDEMPOTENCY_KEY_REUSED",
            "TOO_MANY_ACTIVE_JOBS",
            "GENERATION_DISABLED",
            "GONE",
        ),
    ),
    Route(
        "estimate_video",
        "POST",
        "/v1/videos/estimate",
        "submit",
        "What a video would cost and take",
        body=m.CreateVideo,
        response=m.Estimate,
        errors=("PROMPT_TOO_LONG", "MODEL_NOT_FOUND", "UNSUPPORTED_BY_MODEL"),
    ),
    Route(
        "cancel_video",
        "POST",
        "/v1/videos/{id}/cancel",
        "submit",
        "Cancel a job that has not ended",
        response=m.Canceled,
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
    Route("get_account", "GET", "/v1/account", "history", "One's account and balance", response=m.AccountView),
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
        "step", "POST", "/tasks/step", "poll", "Advance a job by one step", caller="queue", body=m.StepBody, status=204
    ),
    Route(
        "object_finalised",
        "POST",
        "/tasks/object-finalised",
        "poll",
        "An object appeared in the bucket",
        caller="bucket",
        body=m.PushEnvelope,
        status=204,
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
)


def of(function: Function) -> tuple[Route, ...]:
    """The rows of one function, in the order of the table."""
    return tuple(route for route in ROUTES if route.function == function)
