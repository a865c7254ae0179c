"""What each model can do, and how a request is resolved for it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from shared.errors import ApiError
from shared.generators.catalog import MODELS, choose, provider_of, resolve
from shared.models import CreateVideo

BOTH = frozenset({"vertex", "gemini"})
PREFERENCE = ("veo-3.1-fast", "omni-flash")


def asked(model: str, **body: Any) -> Any:
    return resolve(CreateVideo.model_validate({"prompt": "p"} | body), MODELS[model])


def refused(model: str, **body: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        asked(model, **body)
    return error.value


# --- choosing ---


@pytest.mark.parametrize(
    ("name", "preference", "providers", "model"),
    [
        (None, PREFERENCE, BOTH, "veo-3.1-fast"),
        (None, PREFERENCE, {"gemini"}, "omni-flash"),
        (None, PREFERENCE, {"vertex"}, "veo-3.1-fast"),
        (None, ("retired", "veo-3.1-lite"), BOTH, "veo-3.1-lite"),
        (None, (), {"gemini"}, "omni-flash"),
        (None, ("retired",), BOTH, "veo-3.1"),
        ("omni-flash", PREFERENCE, BOTH, "omni-flash"),
        ("veo-3.1", PREFERENCE, BOTH, "veo-3.1"),
    ],
)
def test_the_model_is_the_named_or_the_first_preferred_that_can_be_had(
    name: str | None, preference: tuple[str, ...], providers: set[str], model: str
) -> None:
    assert choose(name, preference, frozenset(providers)).id == model


@pytest.mark.parametrize(
    ("name", "providers", "allowed"),
    [
        ("sora-2", BOTH, list(MODELS)),
        ("", BOTH, list(MODELS)),
        ("omni-flash", {"vertex"}, ["veo-3.1", "veo-3.1-fast", "veo-3.1-lite"]),
        (None, set(), []),
    ],
)
def test_a_model_that_cannot_be_had_is_refused_with_those_that_can(
    name: str | None, providers: set[str], allowed: list[str]
) -> None:
    with pytest.raises(ApiError) as error:
        choose(name, PREFERENCE, frozenset(providers))
    assert (error.value.code, error.value.details) == ("MODEL_NOT_FOUND", {"field": "model", "allowed": allowed})


# --- resolving ---


@pytest.mark.parametrize("model", MODELS)
def test_nothing_but_a_prompt_is_eight_seconds_of_720p_in_landscape(model: str) -> None:
    request = asked(model)
    assert (request.model, request.seconds, request.size, request.count) == (model, 8, "1280x720", 1)
    assert (request.generate_audio, request.person_generation) == (True, "allow_adult")


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ({}, "1280x720"),
        ({"aspect_ratio": "9:16"}, "720x1280"),
        ({"resolution": "1080p"}, "1920x1080"),
        ({"resolution": "1080p", "aspect_ratio": "9:16"}, "1080x1920"),
        ({"size": "720x1280"}, "720x1280"),
        ({"size": "1920x1080", "resolution": "1080p"}, "1920x1080"),
        ({"size": "720x1280", "aspect_ratio": "9:16"}, "720x1280"),
    ],
)
def test_a_size_can_be_said_in_two_ways(body: dict[str, Any], size: str) -> None:
    assert asked("veo-3.1", **body).size == size


@pytest.mark.parametrize(
    ("body", "field", "allowed"),
    [
        ({"size": "1280x720", "aspect_ratio": "9:16"}, "aspect_ratio", ["16:9"]),
        ({"size": "1280x720", "resolution": "1080p"}, "resolution", ["720p"]),
    ],
)
def test_a_size_that_contradicts_itself_is_refused(body: dict[str, Any], field: str, allowed: list[str]) -> None:
    error = refused("veo-3.1", **body)
    assert (error.code, error.details) == ("INVALID_REQUEST", {"field": field, "allowed": allowed})


@pytest.mark.parametrize("model", MODELS)
def test_every_size_that_a_model_lists_can_be_asked_for(model: str) -> None:
    for size in MODELS[model].sizes:
        assert asked(model, size=size).size == size


@pytest.mark.parametrize("model", MODELS)
def test_every_length_that_a_model_lists_can_be_asked_for(model: str) -> None:
    for seconds in MODELS[model].seconds:
        assert asked(model, seconds=seconds).seconds == seconds


@pytest.mark.parametrize(
    ("model", "body", "field", "allowed"),
    [
        ("veo-3.1", {"seconds": 5}, "seconds", [4, 6, 8]),
        ("veo-3.1", {"seconds": 4, "resolution": "1080p"}, "seconds", [8]),
        ("veo-3.1", {"seconds": 6, "size": "3840x2160"}, "seconds", [8]),
        ("veo-3.1", {"resolution": "360p"}, "resolution", ["720p", "1080p", "4k"]),
        ("veo-3.1-fast", {"resolution": "4k"}, "resolution", ["720p", "1080p"]),
        ("veo-3.1-lite", {"size": "640x360"}, "size", ["1280x720", "720x1280", "1920x1080", "1080x1920"]),
        ("omni-flash", {"seconds": 2}, "seconds", list(range(3, 16))),
        ("omni-flash", {"seconds": 16}, "seconds", list(range(3, 16))),
        ("omni-flash", {"count": 2}, "count", [1]),
        ("omni-flash", {"negative_prompt": "rain"}, "negative_prompt", []),
        ("omni-flash", {"person_generation": "allow_adult"}, "person_generation", []),
        ("omni-flash", {"generate_audio": False}, "generate_audio", [True]),
    ],
)
def test_what_a_model_cannot_do_is_refused_with_the_field_and_what_is_allowed(
    model: str, body: dict[str, Any], field: str, allowed: list[Any]
) -> None:
    error = refused(model, **body)
    assert (error.code, error.entry.status) == ("UNSUPPORTED_BY_MODEL", 400)
    assert error.details == {"field": field, "model": model, "allowed": allowed}
    assert field in (error.message or "")


def test_what_a_model_can_do_is_passed_on() -> None:
    request = asked(
        "veo-3.1", negative_prompt="rain", seed=7, count=4, generate_audio=False, person_generation="dont_allow"
    )
    assert (request.negative_prompt, request.seed, request.count) == ("rain", 7, 4)
    assert (request.generate_audio, request.person_generation) == (False, "dont_allow")


@pytest.mark.parametrize(("prompt", "bytes_"), [("x" * 4_096, None), ("x" * 4_097, 4_097), ("é" * 2_049, 4_098)])
def test_a_prompt_has_at_most_1024_tokens_of_four_bytes(prompt: str, bytes_: int | None) -> None:
    if bytes_ is None:
        assert asked("omni-flash", prompt=prompt).prompt == prompt
        return
    error = refused("omni-flash", prompt=prompt)
    assert (error.code, error.details["bytes"], error.details["max_bytes"]) == ("PROMPT_TOO_LONG", bytes_, 4_096)


# --- the table itself ---


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_a_models_row_is_consistent(model: Any) -> None:
    assert model.default_seconds in model.seconds
    assert set(model.high_resolution_seconds) <= set(model.seconds)
    assert 0 < model.usual_s < model.longest_s
    assert "720p" in model.resolutions
    # Cloud Tasks: letters, digits and hyphens, at most 100.
    assert re.fullmatch(r"[A-Za-z0-9-]{1,100}", model.queue)


def test_no_two_models_share_a_queue_or_a_remote_name() -> None:
    assert len({model.queue for model in MODELS.values()}) == len(MODELS)
    assert len({model.remote for model in MODELS.values()}) == len(MODELS)


def test_the_provider_of_a_model_that_is_gone_is_nobody() -> None:
    assert (provider_of("omni-flash"), provider_of("veo-3.1"), provider_of("veo-2")) == ("gemini", "vertex", "")
