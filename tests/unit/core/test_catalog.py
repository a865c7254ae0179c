"""What each model can do, and how a request is resolved for it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from shared.api.videos import CreateVideo
from shared.core.catalog import MODELS, REPLACED, Offering, choose
from shared.core.documents import Extends
from shared.core.errors import ApiError
from shared.kinds.video import Source, adapt, resolve

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
def test_named_or_else_first_available_preferred_model_is_chosen(
    name: str | None, preference: tuple[str, ...], providers: set[str], model: str
) -> None:
    choice = choose(name, preference, Offering(frozenset(providers)))
    assert (choice.model.id, choice.instead_of) == (model, None)


@pytest.mark.parametrize(
    ("name", "providers", "allowed"),
    [
        ("sora-1", BOTH, list(MODELS)),
        ("", BOTH, list(MODELS)),
        ("omni-flash", {"vertex"}, ["veo-3.1", "veo-3.1-fast", "veo-3.1-lite"]),
        (None, set(), []),
    ],
)
def test_unavailable_model_error_names_the_available_ones(
    name: str | None, providers: set[str], allowed: list[str]
) -> None:
    with pytest.raises(ApiError) as error:
        choose(name, PREFERENCE, Offering(frozenset(providers)))
    assert (error.value.code, error.value.details) == ("MODEL_NOT_FOUND", {"field": "model", "allowed": allowed})


# --- other names ---


@pytest.mark.parametrize(
    ("alias", "model"), [(alias, model.id) for model in MODELS.values() for alias in model.aliases]
)
def test_alias_resolves_to_the_model(alias: str, model: str) -> None:
    choice = choose(alias, PREFERENCE, Offering(BOTH))
    assert (choice.model.id, choice.instead_of) == (model, None)
    assert adapt(CreateVideo(prompt="p", seconds=8), choice)[1] == ()


@pytest.mark.parametrize(
    ("retired", "successor"),
    [
        ("veo-3.1-generate-preview", "veo-3.1"),
        ("veo-3.1-fast-generate-preview", "veo-3.1-fast"),
        ("veo-3.1-lite-generate-preview", "veo-3.1-lite"),
        ("veo-3.0-generate-preview", "veo-3.1"),
        ("veo-3.0-fast-generate-001", "veo-3.1-fast"),
        ("veo-2.0-generate-001", "veo-3.1"),
        ("gemini-omni-1.1-flash", "omni-flash"),
        ("gemini-omni-flash-preview", "omni-flash"),
        ("sora-2", "veo-3.1-fast"),
        ("sora-2-pro", "veo-3.1"),
    ],
)
def test_retired_model_is_replaced_with_a_warning(retired: str, successor: str) -> None:
    choice = choose(retired, PREFERENCE, Offering(BOTH))
    assert (choice.model.id, choice.instead_of) == (successor, retired)
    body = CreateVideo(prompt="p", seconds=8)
    adapted, (warning,) = adapt(body, choice)
    assert adapted == body
    assert warning.code == "MODEL_REPLACED"
    assert retired in warning.message
    assert successor in warning.message


def test_unavailable_successor_is_skipped() -> None:
    assert choose("sora-2", PREFERENCE, Offering(frozenset({"gemini"}))).model.id == "omni-flash"


def test_forbidden_replacement_names_the_successor() -> None:
    with pytest.raises(ApiError) as error:
        choose("sora-2", PREFERENCE, Offering(BOTH), allow_replacements=False)
    assert error.value.code == "MODEL_NOT_FOUND"
    assert error.value.details["successor"] == "veo-3.1-fast"
    assert "veo-3.1-fast" in (error.value.message or "")


@pytest.mark.parametrize(
    ("name", "body", "providers", "seconds", "size", "codes"),
    [
        ("sora-2", {"seconds": 12}, BOTH, 8, None, ["SECONDS_CHANGED"]),
        ("sora-2", {"seconds": 12}, {"gemini"}, 12, None, []),
        ("sora-2", {"seconds": 5}, BOTH, 4, None, ["SECONDS_CHANGED"]),
        ("sora-2", {"seconds": 8, "size": "720x1280"}, BOTH, 8, "720x1280", []),
        ("sora-2-pro", {"seconds": 8, "size": "1024x1792"}, BOTH, 8, "1080x1920", ["SIZE_CHANGED"]),
        ("sora-2-pro", {"seconds": 4, "size": "1792x1024"}, BOTH, 8, "1920x1080", ["SIZE_CHANGED", "SECONDS_CHANGED"]),
        ("veo-2.0-generate-001", {"seconds": 5}, BOTH, 4, None, ["SECONDS_CHANGED"]),
        ("sora-2", {}, BOTH, None, None, []),
    ],
)
def test_replacement_rounds_to_what_the_successor_supports(
    name: str, body: dict[str, Any], providers: set[str], seconds: int | None, size: str | None, codes: list[str]
) -> None:
    choice = choose(name, PREFERENCE, Offering(frozenset(providers)))
    adapted, warnings = adapt(CreateVideo.model_validate({"prompt": "p"} | body), choice)
    assert (adapted.seconds, adapted.size) == (seconds, size)
    assert [warning.code for warning in warnings] == ["MODEL_REPLACED", *codes]
    assert resolve(adapted, choice.model)


def test_unsupported_option_of_an_available_model_is_rejected() -> None:
    choice = choose("veo-3.1", PREFERENCE, Offering(BOTH))
    body = CreateVideo(prompt="p", seconds=12)
    assert adapt(body, choice) == (body, ())
    assert refused("veo-3.1", seconds=12).code == "UNSUPPORTED_BY_MODEL"


def test_no_two_models_share_a_name() -> None:
    names = [*MODELS, *REPLACED, *(alias for model in MODELS.values() for alias in model.aliases)]
    assert len(set(names)) == len(names)


def test_every_successor_is_a_model() -> None:
    assert {name for rule in REPLACED.values() for name in rule.successors} <= set(MODELS)


# --- images ---

IMAGE = {"data": "UE5H"}


@pytest.mark.parametrize(
    ("model", "body", "field"),
    [
        ("veo-3.1-lite", {"reference_images": [IMAGE]}, "reference_images"),
        ("veo-3.1", {"last_frame": IMAGE}, "last_frame"),
        ("veo-3.1", {"input_reference": IMAGE, "reference_images": [IMAGE]}, "reference_images"),
        (
            "omni-flash",
            {"input_reference": IMAGE, "last_frame": IMAGE, "reference_images": [IMAGE]},
            "reference_images",
        ),
        ("veo-3.1", {"reference_images": [IMAGE], "seconds": 4}, "seconds"),
    ],
)
def test_unsupported_images_are_rejected(model: str, body: dict[str, Any], field: str) -> None:
    error = refused(model, **body)
    assert (error.code, error.details["field"]) == ("UNSUPPORTED_BY_MODEL", field)
    assert field in (error.message or "")


@pytest.mark.parametrize(
    ("model", "body", "seconds"),
    [
        ("veo-3.1-lite", {"input_reference": IMAGE, "last_frame": IMAGE, "seconds": 4}, 4),
        ("veo-3.1", {"reference_images": [IMAGE] * 3}, 8),
        ("omni-flash", {"reference_images": [IMAGE], "seconds": 15}, 15),
    ],
)
def test_supported_images_are_accepted(model: str, body: dict[str, Any], seconds: int) -> None:
    assert asked(model, **body).seconds == seconds


# --- extension ---


def source(
    seconds: float = 8.0, model: str = "veo-3.1", resolution: Any = "720p", aspect_ratio: Any = "16:9"
) -> Source:
    video = Extends(job="video_x", object="x.mp4", size_bytes=1, seconds=seconds)
    return Source(video=video, model=model, aspect_ratio=aspect_ratio, resolution=resolution)


def extended(model: str, from_: Source, **body: Any) -> Any:
    return resolve(CreateVideo.model_validate({"prompt": "p"} | body), MODELS[model], from_)


@pytest.mark.parametrize(
    ("model", "from_s", "asked_s", "added_s", "total_s"),
    [
        ("veo-3.1", 8.0, None, 7, 15),
        ("veo-3.1-fast", 8.04, 7, 7, 15.04),
        ("veo-3.1-lite", 29.0, 7, 7, 36),
        ("veo-3.1", 30.0, None, 7, 37),
        ("omni-flash", 8.0, None, 8, 16),
        ("omni-flash", 8.0, 10, 10, 18),
        ("omni-flash", 27.0, None, 3, 30),
    ],
)
def test_extension_adds_the_models_seconds(
    model: str, from_s: float, asked_s: int | None, added_s: int, total_s: float
) -> None:
    request = extended(model, source(from_s), **({"seconds": asked_s} if asked_s else {}))
    assert (request.seconds, request.file_seconds) == (added_s, pytest.approx(total_s))
    assert request.extends.job == "video_x"


def test_extension_keeps_the_shape_of_its_video() -> None:
    request = extended("veo-3.1", source(resolution="1080p", aspect_ratio="9:16"))
    assert request.size == "1080x1920"


@pytest.mark.parametrize(
    ("model", "from_", "body", "code", "field", "allowed"),
    [
        ("veo-3.1", source(8), {"seconds": 8}, "UNSUPPORTED_BY_MODEL", "seconds", [7]),
        ("veo-3.1", source(31), {}, "UNSUPPORTED_BY_MODEL", "extends", []),
        ("omni-flash", source(28), {}, "UNSUPPORTED_BY_MODEL", "extends", []),
        ("omni-flash", source(25), {"seconds": 6}, "UNSUPPORTED_BY_MODEL", "seconds", [3, 4, 5]),
        ("veo-3.1-fast", source(8, resolution="4k"), {}, "UNSUPPORTED_BY_MODEL", "resolution", ["720p", "1080p"]),
        ("veo-3.1", source(8, resolution="360p"), {}, "UNSUPPORTED_BY_MODEL", "resolution", ["720p", "1080p", "4k"]),
        ("veo-3.1", source(8), {"size": "720x1280"}, "INVALID_REQUEST", "size", ["1280x720"]),
        ("veo-3.1", source(8), {"aspect_ratio": "9:16"}, "INVALID_REQUEST", "aspect_ratio", ["16:9"]),
        ("veo-3.1", source(8), {"resolution": "1080p"}, "INVALID_REQUEST", "resolution", ["720p"]),
    ],
)
def test_impossible_extension_is_rejected(
    model: str, from_: Source, body: dict[str, Any], code: str, field: str, allowed: list[Any]
) -> None:
    with pytest.raises(ApiError) as error:
        extended(model, from_, **body)
    assert (error.value.code, error.value.details["field"], error.value.details["allowed"]) == (code, field, allowed)


def test_fewer_references_or_no_extension_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "veo-3.1", replace(MODELS["veo-3.1"], reference_images=2, extension=None))
    error = refused("veo-3.1", reference_images=[IMAGE] * 3)
    assert (error.code, error.details["allowed"]) == ("UNSUPPORTED_BY_MODEL", ["at most 2"])
    with pytest.raises(ApiError) as raised:
        extended("veo-3.1", source(8))
    assert (raised.value.code, raised.value.details["field"]) == ("UNSUPPORTED_BY_MODEL", "extends")


def test_extension_takes_no_images() -> None:
    with pytest.raises(ApiError) as error:
        extended("veo-3.1", source(), extends="video_" + "x" * 22, input_reference=IMAGE)
    assert error.value.details["field"] == "input_reference"


# --- resolving ---


@pytest.mark.parametrize("model", MODELS)
def test_defaults_are_8s_720p_landscape(model: str) -> None:
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
def test_size_can_be_given_in_two_ways(body: dict[str, Any], size: str) -> None:
    assert asked("veo-3.1", **body).size == size


@pytest.mark.parametrize(
    ("body", "field", "allowed"),
    [
        ({"size": "1280x720", "aspect_ratio": "9:16"}, "aspect_ratio", ["16:9"]),
        ({"size": "1280x720", "resolution": "1080p"}, "resolution", ["720p"]),
    ],
)
def test_contradictory_size_is_rejected(body: dict[str, Any], field: str, allowed: list[str]) -> None:
    error = refused("veo-3.1", **body)
    assert (error.code, error.details) == ("INVALID_REQUEST", {"field": field, "allowed": allowed})


@pytest.mark.parametrize("model", MODELS)
def test_every_listed_size_is_accepted(model: str) -> None:
    for size in MODELS[model].sizes:
        assert asked(model, size=size).size == size


@pytest.mark.parametrize("model", MODELS)
def test_every_listed_length_is_accepted(model: str) -> None:
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
def test_unsupported_option_error_names_field_and_allowed_values(
    model: str, body: dict[str, Any], field: str, allowed: list[Any]
) -> None:
    error = refused(model, **body)
    assert (error.code, error.entry.status) == ("UNSUPPORTED_BY_MODEL", 400)
    assert error.details == {"field": field, "model": model, "allowed": allowed}
    assert field in (error.message or "")


def test_supported_options_are_passed_on() -> None:
    request = asked(
        "veo-3.1", negative_prompt="rain", seed=7, count=4, generate_audio=False, person_generation="dont_allow"
    )
    assert (request.negative_prompt, request.seed, request.count) == ("rain", 7, 4)
    assert (request.generate_audio, request.person_generation) == (False, "dont_allow")


@pytest.mark.parametrize(("prompt", "bytes_"), [("x" * 4_096, None), ("x" * 4_097, 4_097), ("é" * 2_049, 4_098)])
def test_prompt_is_limited_to_1024_tokens_of_4_bytes(prompt: str, bytes_: int | None) -> None:
    if bytes_ is None:
        assert asked("omni-flash", prompt=prompt).prompt == prompt
        return
    error = refused("omni-flash", prompt=prompt)
    assert (error.code, error.details["bytes"], error.details["max_bytes"]) == ("PROMPT_TOO_LONG", bytes_, 4_096)


# --- the table itself ---


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_catalog_rows_are_consistent(model: Any) -> None:
    assert model.default_seconds in model.seconds
    assert set(model.high_resolution_seconds) <= set(model.seconds)
    assert 0 < model.expected_s < model.longest_s
    assert "720p" in model.resolutions
    # Cloud Tasks: letters, digits and hyphens, at most 100.
    assert re.fullmatch(r"[A-Za-z0-9-]{1,100}", model.queue)


def test_no_two_models_share_a_queue_or_remote_name() -> None:
    assert len({model.queue for model in MODELS.values()}) == len(MODELS)
    assert len({model.remote for model in MODELS.values()}) == len(MODELS)


@pytest.mark.parametrize(
    ("providers", "preferred", "provider"),
    [
        ({"vertex", "vertex-omni", "gemini"}, {}, "vertex-omni"),
        ({"gemini"}, {}, "gemini"),
        ({"vertex-omni", "gemini"}, {"omni-flash": "gemini"}, "gemini"),
        ({"vertex-omni"}, {"omni-flash": "gemini"}, "vertex-omni"),
        ({"vertex", "vertex-omni"}, {"omni-flash": "vertex"}, "vertex-omni"),
        ({"vertex"}, {"omni-flash": "gemini"}, None),
    ],
)
def test_model_with_several_providers_uses_the_preferred_one(
    providers: set[str], preferred: dict[str, str], provider: str | None
) -> None:
    assert Offering(frozenset(providers), preferred).provider(MODELS["omni-flash"]) == provider


def test_omni_with_last_frame_is_limited_to_10s() -> None:
    frames = {"input_reference": IMAGE, "last_frame": IMAGE}
    assert asked("omni-flash", seconds=10, **frames).seconds == 10
    assert asked("omni-flash", seconds=15, input_reference=IMAGE).seconds == 15
    error = refused("omni-flash", seconds=11, **frames)
    assert (error.code, error.details["field"], error.details["allowed"]) == (
        "UNSUPPORTED_BY_MODEL",
        "seconds",
        list(range(3, 11)),
    )


def test_replacement_with_last_frame_is_shortened() -> None:
    choice = choose("sora-2", PREFERENCE, Offering(frozenset({"gemini"})))
    asked = {"prompt": "p", "seconds": 12, "input_reference": IMAGE, "last_frame": IMAGE}
    adapted, warnings = adapt(CreateVideo.model_validate(asked), choice)
    assert adapted.seconds == 10
    assert [warning.code for warning in warnings] == ["MODEL_REPLACED", "SECONDS_CHANGED"]
