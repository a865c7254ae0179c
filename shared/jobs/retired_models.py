"""config/retired_models: which models their providers have retired, as the starts that were rejected have shown.

A provider says it with an error that a missing permission can look like, so it is believed for an hour only: then one
start asks again, and is moved to the successor like the first if the model is still gone.
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
    """Until when each model counts as retired, by provider and model."""

    collection: ClassVar[str] = "config"

    # Anything: what was spoiled in the console is to be replaced.
    until: Any = None
    change_id: str = ""


async def note(services: Services, provider: str, model: str, reason: str) -> None:
    """Have every process use the model's successor from the next minute on, and alert.

    Best effort: if it can't be written, the next rejected start notes it.
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
