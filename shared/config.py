"""Live settings: what an administrator may change in the Firestore console while it runs.

Read from config/video and config/usual_times, kept for at most a minute. A value that does not validate is logged once
and ignored: the last good one stays in force.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError

from shared import log
from shared.errors import Unavailable
from shared.generators.catalog import Model
from shared.models import LiveConfig, VideoRequest
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.services import Store

KEPT_FOR = timedelta(seconds=60)


class StoredConfig:
    """The live settings of one database."""

    def __init__(self, settings: Settings, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._defaults = LiveConfig(signup_credits=settings.signup_credits)
        self._config = self._defaults
        self._read_at: datetime | None = None
        self._complaint = ""

    async def get(self) -> LiveConfig:
        now = self._clock()
        if self._read_at is None or now - self._read_at >= KEPT_FOR:
            # Set first: while one request reads, the others go on with what was in force.
            self._read_at = now
            await self._read()
        return self._config

    async def _read(self) -> None:
        try:
            video = await self._store.read_config("video")
            usual_times = await self._store.read_config("usual_times")
        except Unavailable as error:
            log.warning("config_not_read", error=str(error))
            return
        try:
            self._config = LiveConfig.model_validate(
                {**self._defaults.model_dump(), **video, "usual_times": usual_times}
            )
            self._complaint = ""
        except ValidationError as error:
            complaint = str(error)
            if complaint != self._complaint:
                log.error("config_not_valid", error=complaint)
            self._complaint = complaint


def usual_s(request: VideoRequest, model: Model, config: LiveConfig) -> float:
    """The usual time of such a generation in seconds: learned, else the catalogue's, in proportion to the length."""
    learned = config.usual_times.get(f"{model.id}-{request.seconds}s") or config.usual_times.get(model.id)
    return learned or model.usual_s
