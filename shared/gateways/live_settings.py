"""Live settings: what administrators can change in the Firestore console at run time.

Read from config/video and config/expected_times, and cached for at most a minute. An invalid value is logged once and
ignored: the last valid one stays in force, also in new processes, which read it from config/last_valid. A setting that
isn't stored has its default. Until the first successful read there are no settings: the defaults may differ from what
an administrator has stored.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field

from shared.core.documents import Document, LiveSettings
from shared.core.errors import Conflict, Unavailable
from shared.core.live_config import KEPT_FOR, OBSERVED, RETIRED, defaults, invalid, merged
from shared.platform import log
from shared.platform.ports import Firestore, new_id
from shared.platform.settings import Settings

# The field of config/expected_times that shared/maintenance/expected_times.py writes.
LEARNED = "learned"
LAST_VALID = "last_valid"
_LENGTH = re.compile(r"-[0-9]+s$")


class LastValid(Document):
    """config/last_valid: the stored values that were last in force, which a new process uses in place of invalid ones.

    Written by the first process that sees other valid values; nobody edits it.
    """

    collection: ClassVar[str] = "config"

    values: dict[str, Any] = Field(default_factory=dict)
    changed_at: datetime
    change_id: str


class StoredLiveSettings:
    """The live settings of one database."""

    def __init__(self, settings: Settings, store: Firestore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._defaults = defaults(settings.signup_credits, settings.requests_per_minute)
        self._config: LiveSettings | None = None
        self._read_at = clock()
        self._complaint = ""
        self._first = asyncio.Lock()
        self._first_tries = 0
        # The values of config/last_valid, as this process last saw or wrote them.
        self._kept: dict[str, Any] | None = None

    async def get(self) -> LiveSettings:
        """The settings in force.

        Raises Unavailable until this process has read them once, and when a value is invalid and no valid one is known.
        """
        if self._config is None:
            return await self._first_read()
        now = self._clock()
        if now - self._read_at >= KEPT_FOR:
            # Set before reading, so that concurrent requests use the current settings meanwhile.
            self._read_at = now
            try:
                self._config = await self._read(self._config)
            except Unavailable as error:
                log.warning("config_not_read", error=str(error))
        return self._config

    async def _first_read(self) -> LiveSettings:
        """Read once for all waiting requests; if the read fails, they don't each retry."""
        tries = self._first_tries
        async with self._first:
            if self._config is None:
                if self._first_tries != tries:
                    raise Unavailable("the live settings could not be read")
                self._read_at = self._clock()
                try:
                    self._config = await self._read(None)
                finally:
                    self._first_tries += 1
            return self._config

    async def _read(self, last: LiveSettings | None) -> LiveSettings:
        stored = await self._stored()
        whole = {**self._defaults.model_dump(), **stored}
        bad, complaint = invalid(whole)
        if complaint and complaint != self._complaint:
            log.error("config_not_valid", error=complaint)
        self._complaint = complaint
        kept = await self._last_valid()
        config = merged(whole, bad, last or self._before(bad, kept))
        valid = {name: value for name, value in stored.items() if name not in bad}
        still = {name: value for name, value in (kept or {}).items() if name in bad}
        await self._keep({**valid, **still})
        return config

    async def _stored(self) -> dict[str, Any]:
        video = await self._store.read_config("video")
        times = await self._store.read_config("expected_times")
        retired = await self._store.read_config(RETIRED)
        known = {name: value for name, value in video.items() if name in LiveSettings.model_fields.keys() - OBSERVED}
        observed = {"retired_models": retired["until"]} if retired.get("until") else {}
        return {**known, **observed, "expected_times": _expected_times(times)}

    async def _last_valid(self) -> dict[str, Any] | None:
        if self._kept is None:
            found = await self._store.get(LastValid, LAST_VALID)
            self._kept = found.values if found is not None else None
        return self._kept

    def _before(self, bad: frozenset[str], kept: dict[str, Any] | None) -> LiveSettings:
        """Settings in force before this process started. Raises Unavailable if they are needed but unknown."""
        values = {**self._defaults.model_dump(), **(kept or {})}
        broken, _ = invalid(values)
        if bad - OBSERVED and (kept is None or broken & bad):
            raise Unavailable(f"{', '.join(sorted(bad))} of config/video is not valid, and no valid value is known")
        return merged(values, broken, self._defaults)

    async def _keep(self, values: dict[str, Any]) -> None:
        """Store the settings in force for new processes. If that fails, the next read retries."""
        if values == self._kept:
            return
        changes = {"values": values, "changed_at": self._clock(), "change_id": new_id()}
        try:
            found = await self._store.get(LastValid, LAST_VALID)
            if found is None or found.values != values:
                await self._store.commit([found.changed(**changes) if found else LastValid(id=LAST_VALID, **changes)])
        except (Conflict, Unavailable) as error:
            log.warning("last_valid_config_not_kept", error=str(error))
            return
        self._kept = values


def _expected_times(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Merge config/expected_times: an administrator's value for a model replaces all learned values of that model.

    Invalid values are kept, so that they are reported.
    """
    written = {name: value for name, value in stored.items() if name != LEARNED}
    learned = stored.get(LEARNED, {})
    if not isinstance(learned, Mapping):
        return {**written, LEARNED: learned}
    remaining = {name: value for name, value in learned.items() if _LENGTH.sub("", name) not in written}
    return {**remaining, **written}
