"""config/retired_models: models that their providers have retired, as learned from rejected starts.

The provider's error can also mean a missing permission, so it is believed for only an hour: then one start tries again,
and is moved to the successor like the first one if the model is still gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from shared.core.catalog import offer
from shared.core.documents import Document
from shared.core.errors import Unavailable
from shared.core.live_config import RETIRED
from shared.platform import commits, log
from shared.platform.commits import Batch
from shared.platform.ports import Services

BELIEVED_FOR = timedelta(hours=1)


class RetiredModels(Document):
    """How long each model counts as retired, by provider and model."""

    collection: ClassVar[str] = "config"

    # Any type, so that a value corrupted in the console gets replaced.
    until: Any = None
    change_id: str = ""


async def note(services: Services, provider: str, model: str, reason: str) -> None:
    """Make every process use the model's successor within a minute, and alert.

    Best effort: if the write fails, the next rejected start records it.
    """
    log.error("model_retired", provider=provider, model=model, reason=reason)
    now = services.clock()

    async def noted(stored: RetiredModels | None) -> Batch[RetiredModels]:
        document = stored or RetiredModels(id=RETIRED)
        until = {**_still_believed(document.until, now), offer(provider, model): now + BELIEVED_FOR}
        return Batch(document.changed(until=until))

    try:
        await commits.edit(services, RetiredModels, RETIRED, noted)
    except Unavailable as error:
        log.warning("retired_model_not_noted", provider=provider, model=model, error=str(error))


def _still_believed(until: Any, now: datetime) -> dict[str, datetime]:
    stored = until if isinstance(until, Mapping) else {}
    return {name: moment for name, moment in stored.items() if isinstance(moment, datetime) and moment > now}
