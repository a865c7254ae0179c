"""The live settings that a cloud on a laptop starts with, written as an administrator would: config/expected_times, how
long the stand-in's generations take, and in config/video which provider makes Omni."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx2

from local.supervisor.session import CONSOLE
from shared.core.catalog import MODELS

# What local.providers takes by default, and what rendering adds on this side of two cores.
DEFAULT_S: Final = 3.0
RENDERING_S: Final = 1.0
OMNI: Final = "omni-flash"


def stand_in_times(environ: Mapping[str, str], real_providers: frozenset[str]) -> dict[str, float]:
    """Expected seconds by model, of the models that the stand-in makes."""
    expected_s = float(environ.get("PROVIDERS_MAX_SECONDS") or environ.get("PROVIDERS_MIN_SECONDS") or DEFAULT_S)
    return {
        model.id: expected_s + RENDERING_S
        for model in MODELS.values()
        if not real_providers.intersection(model.providers)
    }


def preferred_providers(environ: Mapping[str, str]) -> dict[str, str]:
    """Which provider is to make Omni, by model: OMNI_PROVIDER, or the Gemini API where it alone is the real one.

    Empty where the catalog's order or what an administrator has stored decides.
    """
    real = environ.get("GEMINI_API_KEY") and not environ.get("VERTEX_PROJECT")
    provider = environ.get("OMNI_PROVIDER") or ("gemini" if real else "")
    return {OMNI: provider} if provider else {}


async def write(
    client: httpx2.AsyncClient, firestore: str, project: str, times: Mapping[str, float], providers: Mapping[str, str]
) -> None:
    """Replace the expected times, and of config/video the providers if there are any. Raises httpx2.HTTPError when the
    emulator refuses."""
    documents = f"{firestore}/v1/projects/{project}/databases/(default)/documents/config"
    await _patch(client, f"{documents}/expected_times", {model: {"doubleValue": s} for model, s in times.items()})
    if providers:
        fields = {model: {"stringValue": provider} for model, provider in providers.items()}
        await _patch(client, f"{documents}/video", {"providers": {"mapValue": {"fields": fields}}}, only="providers")


async def _patch(client: httpx2.AsyncClient, document: str, fields: Mapping[str, Any], only: str = "") -> None:
    mask = {"updateMask.fieldPaths": only} if only else {}
    answer = await client.patch(document, params=mask, headers=CONSOLE, json={"fields": fields})
    answer.raise_for_status()
