"""How long the stand-in's generations take, told to the functions: config/usual_times, as an administrator would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import httpx2

from local.session import CONSOLE
from shared.generators.catalog import MODELS

# What local.providers takes by default, and what rendering adds on this side of two cores.
DEFAULT_S: Final = 3.0
RENDERING_S: Final = 1.0


def stand_in_times(environ: Mapping[str, str], real_providers: frozenset[str]) -> dict[str, float]:
    """Usual seconds by model, of the models that the stand-in makes."""
    usual_s = float(environ.get("PROVIDERS_MAX_SECONDS") or environ.get("PROVIDERS_MIN_SECONDS") or DEFAULT_S)
    return {
        model.id: usual_s + RENDERING_S for model in MODELS.values() if not real_providers.intersection(model.providers)
    }


async def tell(client: httpx2.AsyncClient, firestore: str, project: str, times: Mapping[str, float]) -> None:
    """Replace the document; raises httpx2.HTTPError when the emulator refuses."""
    document = f"{firestore}/v1/projects/{project}/databases/(default)/documents/config/usual_times"
    fields = {model: {"doubleValue": seconds} for model, seconds in times.items()}
    answer = await client.patch(document, headers=CONSOLE, json={"fields": fields})
    answer.raise_for_status()
