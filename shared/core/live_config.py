"""The live settings as values: defaults, validation, and expected times. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from shared.core.catalog import Model
from shared.core.documents import LiveSettings, VideoRequest

# How long a process caches the settings it has read.
KEPT_FOR = timedelta(seconds=60)
# Observed, never set by anybody: without valid ones, the catalog's values apply.
OBSERVED = frozenset({"expected_times", "retired_models"})


def defaults(signup_credits: int, requests_per_minute: int) -> LiveSettings:
    """The settings that apply unless config/video sets them; the arguments come from shared/platform/settings.py."""
    return LiveSettings(signup_credits=signup_credits, requests_per_minute=requests_per_minute)


def invalid(values: dict[str, Any]) -> tuple[frozenset[str], str]:
    """The fields with invalid values, and what is wrong with them."""
    try:
        LiveSettings.model_validate(values)
    except ValidationError as error:
        return frozenset(str(problem["loc"][0]) for problem in error.errors()), str(error)
    return frozenset(), ""


def merged(values: dict[str, Any], bad: frozenset[str], last: LiveSettings) -> LiveSettings:
    """The settings with these values, and those of `last` for the invalid ones."""
    return LiveSettings.model_validate({**values, **last.model_dump(include=set(bad))})


def length_key(model: str, seconds: int) -> str:
    """The key of the expected time for that model and length."""
    return f"{model}-{seconds}s"


def expected_duration_s(request: VideoRequest, model: Model, config: LiveSettings) -> float:
    """The expected time of the generation in seconds: for its model and length, else its model, else the catalog's."""
    known = config.expected_times.get(length_key(model.id, request.seconds)) or config.expected_times.get(model.id)
    return known or model.expected_s


# The document that shared/jobs/retired_models.py writes.
RETIRED = "retired_models"
