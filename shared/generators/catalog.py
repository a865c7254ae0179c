"""What each model can do and usually takes. A retired model is one line here.

Sources: the models' cards and the providers' documentation, November 2026. Lengths are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import ApiError
from shared.models import (
    MAX_PROMPT_BYTES,
    AspectRatio,
    CreateVideo,
    Resolution,
    VideoRequest,
    dimensions_px,
)

DEFAULT_SIZE = "1280x720"
ASPECT_RATIOS: tuple[AspectRatio, ...] = ("16:9", "9:16")


@dataclass(frozen=True)
class Model:
    """One model.

    `usual_s` is the usual time of a generation of the default length; `longest_s` the longest that was ever documented.
    `high_resolution_seconds` are the lengths at which more than 720p can be had (empty: all).
    """

    id: str
    provider: str
    remote: str
    seconds: tuple[int, ...]
    default_seconds: int
    resolutions: tuple[Resolution, ...]
    high_resolution_seconds: tuple[int, ...] = ()
    max_count: int = 1
    negative_prompt: bool = False
    seed: bool = True
    silent: bool = False
    person_generation: bool = False
    usual_s: float = 60.0
    longest_s: float = 360.0
    quota_per_minute: int = 50

    @property
    def queue(self) -> str:
        """The Cloud Tasks queue that paces this model's creates."""
        return f"generate-{self.id.replace('.', '-')}"

    @property
    def sizes(self) -> list[str]:
        return [
            f"{width}x{height}"
            for resolution in self.resolutions
            for width, height in (dimensions_px(aspect, resolution) for aspect in ASPECT_RATIOS)
        ]


_VEO_SECONDS = (4, 6, 8)

MODELS: Mapping[str, Model] = {
    model.id: model
    for model in (
        Model(
            "veo-3.1",
            "vertex",
            "veo-3.1-generate-001",
            seconds=_VEO_SECONDS,
            default_seconds=8,
            resolutions=("720p", "1080p", "4k"),
            high_resolution_seconds=(8,),
            max_count=4,
            negative_prompt=True,
            silent=True,
            person_generation=True,
            usual_s=90.0,
        ),
        Model(
            "veo-3.1-fast",
            "vertex",
            "veo-3.1-fast-generate-001",
            seconds=_VEO_SECONDS,
            default_seconds=8,
            resolutions=("720p", "1080p"),
            high_resolution_seconds=(8,),
            max_count=4,
            negative_prompt=True,
            silent=True,
            person_generation=True,
            usual_s=60.0,
        ),
        Model(
            "veo-3.1-lite",
            "vertex",
            "veo-3.1-lite-generate-001",
            seconds=_VEO_SECONDS,
            default_seconds=8,
            resolutions=("720p", "1080p"),
            high_resolution_seconds=(8,),
            max_count=4,
            negative_prompt=True,
            silent=True,
            person_generation=True,
            usual_s=45.0,
        ),
        Model(
            "omni-flash",
            "gemini",
            "gemini-omni-1.2-flash",
            seconds=tuple(range(3, 16)),
            default_seconds=8,
            resolutions=("360p", "720p", "1080p", "4k"),
            usual_s=60.0,
        ),
    )
}


def provider_of(model: str) -> str:
    """The provider that makes the model's videos; "" for a model that is not in the catalogue any more."""
    return MODELS[model].provider if model in MODELS else ""


def choose(name: str | None, preference: tuple[str, ...], providers: frozenset[str]) -> Model:
    """The model of that name, or the first preferred one whose provider is set up.

    Raises ApiError MODEL_NOT_FOUND when it does not exist or its provider is not set up here.
    """
    offered = [model for model in MODELS.values() if model.provider in providers]
    if name is None:
        name = next((n for n in preference if n in MODELS and MODELS[n].provider in providers), None)
        if name is None and offered:
            name = offered[0].id
    model = MODELS.get(name or "")
    if model is None or model not in offered:
        raise ApiError(
            "MODEL_NOT_FOUND",
            f"There is no model {name!r} here." if name else "No model is set up here.",
            {"field": "model", "allowed": [model.id for model in offered]},
        )
    return model


def resolve(body: CreateVideo, model: Model) -> VideoRequest:
    """The request with every default filled in; raises ApiError naming the field that the model cannot serve."""
    if len(body.prompt.encode()) > MAX_PROMPT_BYTES:
        raise ApiError(
            "PROMPT_TOO_LONG",
            details={"field": "prompt", "bytes": len(body.prompt.encode()), "max_bytes": MAX_PROMPT_BYTES},
        )
    seconds = body.seconds or model.default_seconds
    _require(model, "seconds", seconds, model.seconds)
    aspect_ratio, resolution = _frame(body, model)
    if resolution in ("1080p", "4k") and model.high_resolution_seconds:
        _require(model, "seconds", seconds, model.high_resolution_seconds, f" at {resolution}")
    _require(model, "count", body.count, tuple(range(1, model.max_count + 1)))
    if body.negative_prompt is not None and not model.negative_prompt:
        raise _cannot(model, "negative_prompt", body.negative_prompt, ())
    if body.person_generation is not None and not model.person_generation:
        raise _cannot(model, "person_generation", body.person_generation, ())
    if body.generate_audio is False and not model.silent:
        raise _cannot(model, "generate_audio", False, (True,))
    return VideoRequest(
        prompt=body.prompt,
        model=model.id,
        seconds=seconds,
        aspect_ratio=aspect_ratio,
        resolution=resolution,
        generate_audio=body.generate_audio is not False,
        person_generation=body.person_generation or "allow_adult",
        negative_prompt=body.negative_prompt,
        seed=body.seed,
        count=body.count,
    )


def _frame(body: CreateVideo, model: Model) -> tuple[AspectRatio, Resolution]:
    if body.size is None:
        resolution = body.resolution or "720p"
        _require(model, "resolution", resolution, model.resolutions)
        return body.aspect_ratio or "16:9", resolution
    for resolution in model.resolutions:
        for aspect_ratio in ASPECT_RATIOS:
            width, height = dimensions_px(aspect_ratio, resolution)
            if body.size == f"{width}x{height}":
                _agree(body.size, "aspect_ratio", body.aspect_ratio, aspect_ratio)
                _agree(body.size, "resolution", body.resolution, resolution)
                return aspect_ratio, resolution
    raise _cannot(model, "size", body.size, tuple(model.sizes))


def _agree(size: str, field: str, asked: str | None, meant: str) -> None:
    if asked is not None and asked != meant:
        raise ApiError(
            "INVALID_REQUEST",
            f"size {size} means {field} {meant}, but {field} is {asked}.",
            {"field": field, "allowed": [meant]},
        )


def _require(model: Model, field: str, value: object, allowed: tuple[object, ...], when: str = "") -> None:
    if value not in allowed:
        raise _cannot(model, field, value, allowed, when)


def _cannot(model: Model, field: str, value: object, allowed: tuple[object, ...], when: str = "") -> ApiError:
    choice = f"; allowed{when}: {', '.join(map(str, allowed))}" if allowed else ""
    return ApiError(
        "UNSUPPORTED_BY_MODEL",
        f"{model.id} cannot do {field} {value!r}{when}{choice}." if allowed else f"{model.id} takes no {field}.",
        {"field": field, "model": model.id, "allowed": list(allowed)},
    )
