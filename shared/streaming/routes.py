"""The routes of this package: a video's content, and live events."""

from __future__ import annotations

from shared.api.routing import Route
from shared.api.videos import ContentQuery, SignedUrl

ROUTES: tuple[Route, ...] = (
    Route(
        "video_content",
        "GET",
        "/v1/videos/{id}/content",
        "stream",
        "Get the video or its poster frame",
        query=ContentQuery,
        response=SignedUrl,
        errors=("NOT_FOUND", "JOB_NOT_FINISHED", "VIDEO_NOT_AVAILABLE", "GONE", "RANGE_NOT_SATISFIABLE"),
    ),
    Route(
        "video_events",
        "GET",
        "/v1/videos/{id}/events",
        "stream",
        "Stream one video's changes and progress",
        errors=("NOT_FOUND", "TOO_MANY_STREAMS"),
        media_type="text/event-stream",
    ),
    Route(
        "account_events",
        "GET",
        "/v1/events",
        "stream",
        "Stream changes and progress of all your videos",
        errors=("TOO_MANY_STREAMS",),
        media_type="text/event-stream",
    ),
)
