"""Live settings: what an administrator may change in the Firestore console while it runs.

Read from config/video and config/usual_times, kept for at most a minute. A value that does not validate is logged once
and ignored: the last good one stays in force.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from shared import log
from shared.errors import Unavailable
from shared.generators.catalog import Model
from shared.models import LiveConfig, VideoRequest
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.services import Store

KEPT_FOR = timedelta(seconds=60)
# The field of config/usual_times that shared/usual_times.py writes.
LEARNED = "learned"
_LENGTH = re.compile(r"-[0-9]+s$")


class StoredConfig:
    """The live settings of one database."""

    def __init__(self, settings: Settings, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._defaults = defaults(settings)
        self._config = self._defaults
        self._read_at: datetime | None = None
        self._complaint = ""
        self._first = asyncio.Lock()

    async def get(self) -> LiveConfig:
        now = self._clock()
        if self._read_at is None:
            async with self._first:
                if self._read_at is None:
                    await self._read()
                    self._read_at = now
        elif now - self._read_at >= KEPT_FOR:
            # Set first: while one request reads, the others go on with what was in force.
            self._read_at = now
            await self._read()
        return self._config

    async def _read(self) -> None:
        try:
            video = await self._store.read_config("video")
            times = await self._store.read_config("usual_times")
        except Unavailable as error:
            log.warning("config_not_read", error=str(error))
            return
        stored = {**self._defaults.model_dump(), **video, "usual_times": _usual_times(times)}
        self._config, complaint = merged(stored, self._config)
        if complaint and complaint != self._complaint:
            log.error("config_not_valid", error=complaint)
        self._complaint = complaint


def defaults(settings: Settings) -> LiveConfig:
    """What is in force where config/video says nothing."""
    return LiveConfig(signup_credits=settings.signup_credits, requests_per_minute=settings.requests_per_minute)


def merged(stored: dict[str, Any], last: LiveConfig) -> tuple[LiveConfig, str]:
    """What was stored, with the last good value for every field that is not valid; and what is wrong with those."""
    try:
        return LiveConfig.model_validate(stored), ""
    except ValidationError as error:
        bad = {str(problem["loc"][0]) for problem in error.errors()}
        kept = {name: value for name, value in last.model_dump().items() if name in bad}
        return LiveConfig.model_validate({**stored, **kept}), str(error)


def _usual_times(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What config/usual_times comes to: where an administrator says anything of a model, nothing learned of it holds.

    What is not valid stays, to be complained about.
    """
    written = {name: value for name, value in stored.items() if name != LEARNED}
    learned = stored.get(LEARNED, {})
    if not isinstance(learned, Mapping):
        return {**written, LEARNED: learned}
    untold = {name: value for name, value in learned.items() if _LENGTH.sub("", name) not in written}
    return {**untold, **written}


def length_key(model: str, seconds: int) -> str:
    """Under which name the usual time of that length of the model is kept."""
    return f"{model}-{seconds}s"


def usual_s(request: VideoRequest, model: Model, config: LiveConfig) -> float:
    """The usual time of such a generation in seconds: of its length, else of its model, else the catalogue's."""
    known = config.usual_times.get(length_key(model.id, request.seconds)) or config.usual_times.get(model.id)
    return known or model.usual_s
