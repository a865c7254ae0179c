"""The live settings as values: their defaults, which of them are valid, and what they say of expected times. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from shared.core.catalog import Model
from shared.core.documents import LiveSettings, VideoRequest

# How long a process uses the settings that it has read.
KEPT_FOR = timedelta(seconds=60)
# Nobody sets these, they are observed: without valid ones the catalog's own serve.
OBSERVED = frozenset({"expected_times", "retired_models"})


def defaults(signup_credits: int, requests_per_minute: int) -> LiveSettings:
    """What is in force where config/video says nothing; the two are process settings (shared/platform/settings.py)."""
    return LiveSettings(signup_credits=signup_credits, requests_per_minute=requests_per_minute)


def invalid(values: dict[str, Any]) -> tuple[frozenset[str], str]:
    """The fields whose values aren't valid, and what is wrong with them."""
    try:
        LiveSettings.model_validate(values)
    except ValidationError as error:
        return frozenset(str(problem["loc"][0]) for problem in error.errors()), str(error)
    return frozenset(), ""


def merged(values: dict[str, Any], bad: frozenset[str], last: LiveSettings) -> LiveSettings:
    """The values, with those of `last` for the bad ones."""
    return LiveSettings.model_validate({**values, **last.model_dump(include=set(bad))})


def length_key(model: str, seconds: int) -> str:
    """Under which name the expected time of that length of the model is kept."""
    return f"{model}-{seconds}s"


def expected_duration_s(request: VideoRequest, model: Model, config: LiveSettings) -> float:
    """The expected time of such a generation in seconds: of its length, else of its model, else the catalog's."""
    known = config.expected_times.get(length_key(model.id, request.seconds)) or config.expected_times.get(model.id)
    return known or model.expected_s


# The document that shared/jobs/retired_models.py writes.
RETIRED = "retired_models"
