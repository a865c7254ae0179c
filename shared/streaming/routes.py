"""The routes of this package: a video's bytes, and changes as they happen."""

from __future__ import annotations

from shared.api.routing import Route
from shared.api.videos import ContentQuery, SignedUrl

ROUTES: tuple[Route, ...] = (
    Route(
        "video_content",
        "GET",
        "/v1/videos/{id}/content",
        "stream",
        "The video, or its poster frame",
        query=ContentQuery,
        response=SignedUrl,
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
)
