"""Operations of the OpenAI videos API that Rushes has no own ones for: extensions (creates here), edits and remixes."""

from __future__ import annotations

from typing import NoReturn

from shared.core.errors import ApiError
from shared.jobs import queries
from shared.platform.identity import Caller
from shared.platform.ports import Services


async def refuse_edit(services: Services, caller: Caller, video: str) -> NoReturn:
    """Raises ApiError UNSUPPORTED_BY_MODEL, as no model edits videos yet, or NOT_FOUND for somebody else's video."""
    await queries.own_job(services, caller, video)
    raise ApiError(
        "UNSUPPORTED_BY_MODEL",
        "No model supports editing a finished video. To extend it, use POST /v1/videos/extensions; to try a changed "
        "prompt, use POST /v1/videos.",
        {"field": "video", "allowed": []},
    )
