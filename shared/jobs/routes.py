"""The routes of this package: what users ask of jobs, and what the cloud's machines say of them."""

from __future__ import annotations

from shared.api import body_limits
from shared.api.models import ModelList, ModelView
from shared.api.routing import Route
from shared.api.tasks import PushEnvelope, StepBody
from shared.api.videos import (
    Canceled,
    Cancellation,
    CancelQuery,
    CreateVideo,
    DeletedVideo,
    EditVideo,
    Estimate,
    ExtendVideo,
    ListVideosQuery,
    Receipt,
    RemixVideo,
    Video,
    VideoPage,
)

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
        "Create a video",
        # The commit of the job reads it.
        reads_account=False,
        body=CreateVideo,
        form=True,
        response=Video,
        status=202,
        errors=_SUBMITTED,
        limits=body_limits.IMAGES,
    ),
    Route(
        "extend_video",
        "POST",
        "/v1/videos/extensions",
        "submit",
        "Extend a video (OpenAI-compatible)",
        reads_account=False,
        body=ExtendVideo,
        form=True,
        response=Video,
        status=202,
        errors=_SUBMITTED,
        limits=body_limits.IMAGES,
    ),
    Route(
        "edit_video",
        "POST",
        "/v1/videos/edits",
        "submit",
        "Edit a video (OpenAI-compatible)",
        body=EditVideo,
        form=True,
        response=Video,
        status=202,
        errors=("NOT_FOUND", "UNSUPPORTED_BY_MODEL"),
        limits=body_limits.IMAGES,
    ),
    Route(
        "remix_video",
        "POST",
        "/v1/videos/{id}/remix",
        "submit",
        "Remix a video (OpenAI-compatible)",
        body=RemixVideo,
        response=Video,
        status=202,
        errors=("NOT_FOUND", "UNSUPPORTED_BY_MODEL"),
    ),
    Route(
        "estimate_video",
        "POST",
        "/v1/videos/estimate",
        "submit",
        "Estimate cost and time",
        reads_account=False,
        body=CreateVideo,
        form=True,
        response=Estimate,
        errors=(*_UNMAKEABLE, "INVALID_IMAGE", "IMAGE_NOT_FETCHED"),
        limits=body_limits.IMAGES,
    ),
    Route(
        "cancel_video",
        "POST",
        "/v1/videos/{id}/cancel",
        "submit",
        "Cancel a video",
        query=CancelQuery,
        response=Canceled,
        errors=("NOT_FOUND", "NOT_CANCELABLE", "REFUND_CHANGED"),
    ),
    Route(
        "estimate_cancel",
        "GET",
        "/v1/videos/{id}/cancel",
        "submit",
        "Estimate the refund of a cancellation",
        response=Cancellation,
        errors=("NOT_FOUND", "NOT_CANCELABLE"),
    ),
    Route(
        "gemini_event",
        "POST",
        "/hooks/gemini",
        "submit",
        "Receive an event of the Gemini API",
        caller="provider",
        status=204,
        limits=body_limits.EVENTS,
    ),
    Route(
        "list_videos",
        "GET",
        "/v1/videos",
        "history",
        "List your videos",
        query=ListVideosQuery,
        response=VideoPage,
    ),
    Route("get_video", "GET", "/v1/videos/{id}", "history", "One video", response=Video, errors=("NOT_FOUND",)),
    Route(
        "delete_video",
        "DELETE",
        "/v1/videos/{id}",
        "history",
        "Delete a video",
        response=DeletedVideo,
        errors=("NOT_FOUND", "JOB_NOT_FINISHED"),
    ),
    Route(
        "get_receipt",
        "GET",
        "/v1/idempotency-keys/{key}",
        "history",
        "Look up an Idempotency-Key",
        response=Receipt,
        errors=("NOT_FOUND",),
    ),
    Route("list_models", "GET", "/v1/models", "history", "What each model can do and costs", response=ModelList),
    Route(
        "get_model",
        "GET",
        "/v1/models/{id}",
        "history",
        "Get a model with its limits and prices",
        response=ModelView,
        errors=("NOT_FOUND",),
    ),
    Route(
        "step", "POST", "/tasks/step", "poll", "Advance a job by one step", caller="queue", body=StepBody, status=204
    ),
    Route(
        "object_finalized",
        "POST",
        "/tasks/object-finalized",
        "poll",
        "Receive a notification of the bucket",
        caller="bucket",
        body=PushEnvelope,
        status=204,
        limits=body_limits.EVENTS,
    ),
)
