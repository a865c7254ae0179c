"""What each model can do and usually takes. A retired model is one line here.

Sources: the models' cards and the providers' documentation, November 2026. Lengths are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from shared.errors import ApiError
from shared.models import (
    MAX_PROMPT_BYTES,
    AspectRatio,
    CreateVideo,
    Extends,
    Resolution,
    VideoRequest,
    Warned,
    dimensions_px,
)

DEFAULT_SIZE = "1280x720"
DEFAULT_RESOLUTION: Resolution = "720p"
HIGH_RESOLUTIONS: tuple[Resolution, ...] = ("1080p", "4k")
ASPECT_RATIOS: tuple[AspectRatio, ...] = ("16:9", "9:16")


@dataclass(frozen=True)
class Extension:
    """How a model goes on from a video: by how many seconds, from what length, and up to what length in all."""

    seconds: tuple[int, ...]
    max_total_s: int
    resolutions: tuple[Resolution, ...]
    min_source_s: int = 1
    max_source_s: int = 30


@dataclass(frozen=True)
class Model:
    """One model.

    `providers` are those that offer it, the preferred first; `remote` is its id at each of them. `released` is the day
    it became available. `aliases` are other names of this very model. `reference_images` is how many it takes,
    `reference_seconds` the lengths at which it takes them, `last_frame_seconds` those at which it takes a last frame
    (empty: all). `successors` are the ids of the models that replace it once its provider has retired it.
    `usual_s` is the usual time of a generation of the default length; `longest_s` the longest that was ever documented.
    `high_resolution_seconds` are the lengths at which more than 720p can be had (empty: all).
    `bills_when_stopped`: its provider can't stop a generation, or bills it all the same; so for every model, until a
    bill has shown otherwise.
    """

    id: str
    providers: tuple[str, ...]
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
    released: datetime = datetime(2025, 11, 17, tzinfo=UTC)
    aliases: tuple[str, ...] = ()
    first_frame: bool = True
    last_frame: bool = True
    last_frame_seconds: tuple[int, ...] = ()
    successors: tuple[str, ...] = ()
    reference_images: int = 3
    reference_seconds: tuple[int, ...] = ()
    extension: Extension | None = None
    usual_s: float = 60.0
    longest_s: float = 360.0
    bills_when_stopped: bool = True
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
# Each step adds 7 s to an MP4 of 1 to 30 s, up to 37 s.
_VEO_EXTENSION = Extension(seconds=(7,), max_total_s=37, resolutions=("720p", "1080p"))
_VEO_EXTENSION_4K = Extension(seconds=(7,), max_total_s=37, resolutions=("720p", "1080p", "4k"))

MODELS: Mapping[str, Model] = {
    model.id: model
    for model in (
        Model(
            "veo-3.1",
            ("vertex",),
            "veo-3.1-generate-001",
            seconds=_VEO_SECONDS,
            default_seconds=8,
            resolutions=("720p", "1080p", "4k"),
            high_resolution_seconds=(8,),
            max_count=4,
            negative_prompt=True,
            silent=True,
            person_generation=True,
            aliases=("veo-3.1-generate-001",),
            successors=("omni-flash",),
            reference_seconds=(8,),
            extension=_VEO_EXTENSION_4K,
            usual_s=90.0,
        ),
        Model(
            "veo-3.1-fast",
            ("vertex",),
            "veo-3.1-fast-generate-001",
            seconds=_VEO_SECONDS,
            default_seconds=8,
            resolutions=("720p", "1080p"),
            high_resolution_seconds=(8,),
            max_count=4,
            negative_prompt=True,
            silent=True,
            person_generation=True,
            aliases=("veo-3.1-fast-generate-001",),
            successors=("omni-flash",),
            reference_seconds=(8,),
            extension=_VEO_EXTENSION,
            usual_s=60.0,
        ),
        Model(
            "veo-3.1-lite",
            ("vertex",),
            "veo-3.1-lite-generate-001",
            seconds=_VEO_SECONDS,
            default_seconds=8,
            resolutions=("720p", "1080p"),
            high_resolution_seconds=(8,),
            max_count=4,
            negative_prompt=True,
            silent=True,
            person_generation=True,
            released=datetime(2026, 4, 2, tzinfo=UTC),
            aliases=("veo-3.1-lite-generate-001",),
            successors=("omni-flash",),
            reference_images=0,
            extension=_VEO_EXTENSION,
            usual_s=45.0,
        ),
        Model(
            "omni-flash",
            ("vertex-omni", "gemini"),
            "gemini-omni-1.2-flash",
            seconds=tuple(range(3, 16)),
            default_seconds=8,
            last_frame_seconds=tuple(range(3, 11)),
            resolutions=("360p", "720p", "1080p", "4k"),
            released=datetime(2026, 11, 5, tzinfo=UTC),
            aliases=("gemini-omni-1.2-flash",),
            extension=Extension(
                seconds=tuple(range(3, 11)), max_total_s=30, resolutions=("360p", "720p", "1080p", "4k")
            ),
            usual_s=60.0,
        ),
    )
}


def offer(provider: str, model: str) -> str:
    """The name under which is kept that a provider has retired, or rejected, a model."""
    return f"{provider} {model}"


@dataclass(frozen=True)
class Offering:
    """What can be made here now: by the `providers` that are set up, without what they have `retired` (see offer()).

    `preferred` is the provider to take for a model that several offer, by model.
    """

    providers: frozenset[str]
    preferred: Mapping[str, str] = field(default_factory=dict)
    retired: frozenset[str] = frozenset()

    def provider(self, model: Model) -> str | None:
        """Who makes the model's videos here; None: nobody.

        A retired model that nothing can replace is still offered: if it isn't retired after all, nothing is lost.
        """
        usable = self.providers_of(model)
        if not usable and not any(self.providers_of(MODELS[name]) for name in model.successors):
            usable = self._set_up(model)
        return next(iter(usable), None)

    def providers_of(self, model: Model) -> list[str]:
        """All who can make the model's videos here, and haven't retired it: the preferred first."""
        return [name for name in self._set_up(model) if offer(name, model.id) not in self.retired]

    def has_retired(self, model: Model) -> bool:
        """Whether the model's videos were made here, and something else replaces it now."""
        return bool(self._set_up(model)) and self.provider(model) is None

    def _set_up(self, model: Model) -> list[str]:
        first = self.preferred.get(model.id)
        return [name for name in sorted(model.providers, key=lambda name: name != first) if name in self.providers]

    @property
    def models(self) -> list[Model]:
        return [model for model in MODELS.values() if self.provider(model) is not None]


@dataclass(frozen=True)
class Replacement:
    """What serves the requests for a model that is not offered: the first of `successors` that is set up here.

    `differs` is a sentence for people. A length or size of the old model that the successor does not make is answered
    with the nearest that it does.
    """

    successors: tuple[str, ...]
    differs: str


_SAME_FAMILY = "It is the released version of the same model."
_NEWER_VEO = "It is a newer model, makes sound, and the same prompt looks different."
_OTHER_MODEL = "It is another company's model: the same prompt looks different, and lengths and sizes may."

RETIRED_DIFFERS = "The same prompt looks different."

REPLACED: Mapping[str, Replacement] = {
    **dict.fromkeys(("veo-3.1-generate-preview",), Replacement(("veo-3.1", "omni-flash"), _SAME_FAMILY)),
    **dict.fromkeys(("veo-3.1-fast-generate-preview",), Replacement(("veo-3.1-fast", "omni-flash"), _SAME_FAMILY)),
    **dict.fromkeys(("veo-3.1-lite-generate-preview",), Replacement(("veo-3.1-lite", "omni-flash"), _SAME_FAMILY)),
    **dict.fromkeys(
        ("veo-3.0-generate-001", "veo-3.0-generate-preview", "veo-2.0-generate-001", "veo-2.0-generate-exp"),
        Replacement(("veo-3.1", "omni-flash"), _NEWER_VEO),
    ),
    **dict.fromkeys(
        ("veo-3.0-fast-generate-001", "veo-3.0-fast-generate-preview"),
        Replacement(("veo-3.1-fast", "omni-flash"), _NEWER_VEO),
    ),
    **dict.fromkeys(
        ("gemini-omni-1.1-flash", "gemini-omni-1.1-flash-preview", "gemini-omni-flash-preview"),
        Replacement(("omni-flash",), "It is a newer version of the same model, for up to 15 s."),
    ),
    "sora-2": Replacement(("veo-3.1-fast", "omni-flash"), _OTHER_MODEL),
    "sora-2-pro": Replacement(("veo-3.1", "omni-flash"), _OTHER_MODEL),
}

_NAMED: Mapping[str, Model] = {
    **MODELS,
    **{alias: model for model in MODELS.values() for alias in model.aliases},
}


def replaced_by(model: Model, offering: Offering) -> list[str]:
    """The models whose requests this one serves here."""
    retired = {each.id: each.successors for each in MODELS.values() if offering.has_retired(each)}
    successors = {name: rule.successors for name, rule in REPLACED.items()} | retired
    return [name for name, names in successors.items() if _first(names, offering) is model]


@dataclass(frozen=True)
class Choice:
    """The model that makes the video; `instead_of` is the name that was asked for, if that model is not offered.

    `differs` then says in a sentence how the two differ.
    """

    model: Model
    instead_of: str | None = None
    differs: str = ""


def choose(
    name: str | None, preference: tuple[str, ...], offering: Offering, allow_replacements: bool = True
) -> Choice:
    """The model of that name, its successor, or without a name the first preferred one whose provider is set up.

    Raises ApiError MODEL_NOT_FOUND when there is none, when its provider is not set up here, or when it was replaced
    and that is not allowed; the successor is then named.
    """
    offered = offering.models
    if name is None:
        preferred = _first(preference, offering) or next(iter(offered), None)
        if preferred is None:
            raise ApiError("MODEL_NOT_FOUND", "No model is configured.", {"field": "model", "allowed": []})
        return Choice(preferred)
    model = _first((name,), offering)
    if model is not None:
        return Choice(model)
    details: dict[str, object] = {"field": "model", "allowed": [model.id for model in offered]}
    replacement = _replacement(name, offering)
    successor = _first(replacement.successors, offering) if replacement is not None else None
    if replacement is None or successor is None:
        raise ApiError("MODEL_NOT_FOUND", f"Unknown model {name!r}.", details)
    if not allow_replacements:
        told = f"The model {name!r} is no longer offered. Its successor is {successor.id!r}."
        raise ApiError("MODEL_NOT_FOUND", told, {**details, "successor": successor.id})
    return Choice(successor, name, replacement.differs)


def _replacement(name: str, offering: Offering) -> Replacement | None:
    model = _NAMED.get(name)
    if model is not None and offering.has_retired(model):
        return Replacement(model.successors, RETIRED_DIFFERS)
    return REPLACED.get(name)


def _first(names: tuple[str, ...], offering: Offering) -> Model | None:
    """The first of the names that is a model, by its id or an alias, and can be made here."""
    found = (_NAMED[name] for name in names if name in _NAMED)
    return next((model for model in found if offering.provider(model) is not None), None)


def adapt(body: CreateVideo, choice: Choice) -> tuple[CreateVideo, tuple[Warned, ...]]:
    """The request as the successor can serve it, and what is different; unchanged for a model that is offered."""
    if choice.instead_of is None:
        return body, ()
    model = choice.model
    warnings = [
        Warned(code="MODEL_REPLACED", message=f"{choice.instead_of} was replaced by {model.id}. {choice.differs}")
    ]
    changes: dict[str, object] = {}
    if body.size is not None and body.size not in model.sizes and body.extends is None:
        changes["size"] = _nearest_size(body.size, model)
        warnings.append(_changed("SIZE_CHANGED", "size", body.size, changes["size"], model))
    adapted = body.model_copy(update=changes)
    if body.seconds is not None and body.extends is None:
        allowed = _seconds_allowed(adapted, model)
        nearest = min(allowed, key=lambda seconds: (abs(seconds - (body.seconds or 0)), seconds))
        if nearest != body.seconds:
            adapted = adapted.model_copy(update={"seconds": nearest})
            warnings.append(_changed("SECONDS_CHANGED", "seconds", body.seconds, nearest, model))
    return adapted, tuple(warnings)


def _changed(
    code: Literal["SECONDS_CHANGED", "SIZE_CHANGED"], field: str, asked: object, made: object, model: Model
) -> Warned:
    return Warned(code=code, message=f"{model.id} doesn't support {field}={asked}; using {made} instead.")


def _nearest_size(size: str, model: Model) -> str:
    """Of the same orientation, the one whose number of pixels is nearest."""
    width, height = _sides(size)

    def distance(other: str) -> tuple[bool, int]:
        other_width, other_height = _sides(other)
        return (width >= height) != (other_width >= other_height), abs(width * height - other_width * other_height)

    return min(model.sizes, key=distance)


def _sides(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    return int(width), int(height)


def _seconds_allowed(body: CreateVideo, model: Model) -> tuple[int, ...]:
    resolution = body.resolution
    for each in model.resolutions:
        if body.size in {f"{width}x{height}" for width, height in _both(each)}:
            resolution = each
    if resolution in HIGH_RESOLUTIONS and model.high_resolution_seconds:
        return model.high_resolution_seconds
    if body.last_frame is not None and model.last_frame_seconds:
        return model.last_frame_seconds
    return (body.reference_images and model.reference_seconds) or model.seconds


def makes(model: Model, request: VideoRequest) -> bool:
    """Whether the model can make the video of a request that was resolved for another."""
    roles = [each.role for each in request.inputs]
    options = (
        request.count <= model.max_count
        and (request.negative_prompt is None or model.negative_prompt)
        and (request.seed is None or model.seed)
        and (request.generate_audio or model.silent)
        and (request.person_generation == "allow_adult" or model.person_generation)
    )
    images = (
        (model.first_frame or "first_frame" not in roles)
        and (model.last_frame or "last_frame" not in roles)
        and roles.count("reference") <= model.reference_images
    )
    return options and images and _makes_length(model, request)


def _makes_length(model: Model, request: VideoRequest) -> bool:
    roles = {each.role for each in request.inputs}
    if request.extends is not None:
        extension, source_s = model.extension, round(request.extends.seconds)
        return (
            extension is not None
            and request.resolution in extension.resolutions
            and request.seconds in extension.seconds
            and extension.min_source_s <= source_s <= extension.max_source_s
            and source_s + request.seconds <= extension.max_total_s
        )
    limits = [
        model.seconds,
        model.high_resolution_seconds if request.resolution in HIGH_RESOLUTIONS else (),
        model.reference_seconds if "reference" in roles else (),
        model.last_frame_seconds if "last_frame" in roles else (),
    ]
    return request.resolution in model.resolutions and all(request.seconds in limit for limit in limits if limit)


def _both(resolution: Resolution) -> tuple[tuple[int, int], ...]:
    return tuple(dimensions_px(aspect, resolution) for aspect in ASPECT_RATIOS)


def resolve(body: CreateVideo, model: Model, source: Source | None = None) -> VideoRequest:
    """The request with every default filled in; raises ApiError naming the field that the model cannot serve.

    `source` is the video that `body.extends` names. Images are checked for whether the model takes them, and are not
    in the request yet.
    """
    if len(body.prompt.encode()) > MAX_PROMPT_BYTES:
        raise ApiError(
            "PROMPT_TOO_LONG",
            details={"field": "prompt", "bytes": len(body.prompt.encode()), "max_bytes": MAX_PROMPT_BYTES},
        )
    _check_images(body, model)
    if source is not None:
        aspect_ratio, resolution, seconds = _extended(body, model, source)
    else:
        aspect_ratio, resolution = _frame(body, model)
        seconds = _length(body, model, resolution)
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
        extends=source.video if source else None,
    )


@dataclass(frozen=True)
class Source:
    """A video to go on from, its shape, and the model that made it."""

    video: Extends
    model: str
    aspect_ratio: AspectRatio
    resolution: Resolution


def _length(body: CreateVideo, model: Model, resolution: Resolution) -> int:
    with_references = bool(body.reference_images and model.reference_seconds)
    default = model.reference_seconds[0] if with_references else model.default_seconds
    seconds = body.seconds or default
    _require(model, "seconds", seconds, model.seconds)
    if resolution in HIGH_RESOLUTIONS and model.high_resolution_seconds:
        _require(model, "seconds", seconds, model.high_resolution_seconds, f" at {resolution}")
    if with_references:
        _require(model, "seconds", seconds, model.reference_seconds, " with reference_images")
    if body.last_frame is not None and model.last_frame_seconds:
        _require(model, "seconds", seconds, model.last_frame_seconds, " with last_frame")
    return seconds


def _check_images(body: CreateVideo, model: Model) -> None:
    given = {
        "input_reference": body.input_reference is not None,
        "last_frame": body.last_frame is not None,
        "reference_images": bool(body.reference_images),
    }
    takes = {
        "input_reference": model.first_frame,
        "last_frame": model.last_frame,
        "reference_images": model.reference_images > 0,
    }
    for name, there in given.items():
        if there and not takes[name]:
            raise _takes_no(model, name, "")
        if there and body.extends is not None:
            raise _takes_no(model, name, " with extends")
    if given["reference_images"] and (given["input_reference"] or given["last_frame"]):
        raise _takes_no(model, "reference_images", " with input_reference or last_frame")
    if given["last_frame"] and not given["input_reference"]:
        raise _takes_no(model, "last_frame", " without input_reference (the first frame)")
    if len(body.reference_images) > model.reference_images:
        raise _takes_no(
            model, "reference_images", f" beyond the first {model.reference_images}", model.reference_images
        )


def _takes_no(model: Model, field: str, when: str, at_most: int = 0) -> ApiError:
    allowed = [f"at most {at_most}"] if at_most else []
    return ApiError(
        "UNSUPPORTED_BY_MODEL",
        f"{model.id} doesn't support {field}{when}.",
        {"field": field, "model": model.id, "allowed": allowed},
    )


def _extended(body: CreateVideo, model: Model, source: Source) -> tuple[AspectRatio, Resolution, int]:
    """The source's own shape, and the seconds that are added to it."""
    extension = model.extension
    if extension is None:
        raise _takes_no(model, "extends", "")
    aspect_ratio, resolution = source.aspect_ratio, source.resolution
    width, height = dimensions_px(aspect_ratio, resolution)
    _as_the_source("aspect_ratio", body.aspect_ratio, aspect_ratio)
    _as_the_source("resolution", body.resolution, resolution)
    _as_the_source("size", body.size, f"{width}x{height}")
    _require(model, "resolution", resolution, extension.resolutions, " of a video to extend")
    source_s = round(source.video.seconds)
    steps = tuple(each for each in extension.seconds if source_s + each <= extension.max_total_s)
    if not steps or not extension.min_source_s <= source_s <= extension.max_source_s:
        raise ApiError(
            "UNSUPPORTED_BY_MODEL",
            f"{model.id} extends videos of {extension.min_source_s} to {extension.max_source_s} s up to "
            f"{extension.max_total_s} s in total; this one has {source_s} s.",
            {
                "field": "extends",
                "model": model.id,
                "allowed": [],
                "source_seconds": source_s,
                "min_source_seconds": extension.min_source_s,
                "max_source_seconds": extension.max_source_s,
                "max_total_seconds": extension.max_total_s,
            },
        )
    seconds = body.seconds or (model.default_seconds if model.default_seconds in steps else steps[-1])
    _require(model, "seconds", seconds, steps, f" after {source_s} s")
    return aspect_ratio, resolution, seconds


def _as_the_source(field: str, asked: str | None, is_: str) -> None:
    if asked is not None and asked != is_:
        raise ApiError(
            "INVALID_REQUEST",
            f"The video to extend has {field} {is_}, which the extended video keeps; the request has {field} {asked}.",
            {"field": field, "allowed": [is_]},
        )


def _frame(body: CreateVideo, model: Model) -> tuple[AspectRatio, Resolution]:
    if body.size is None:
        resolution = body.resolution or DEFAULT_RESOLUTION
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
            f"size={size} implies {field}={meant}, but the request has {field}={asked}.",
            {"field": field, "allowed": [meant]},
        )


def _require(model: Model, field: str, value: object, allowed: tuple[object, ...], when: str = "") -> None:
    if value not in allowed:
        raise _cannot(model, field, value, allowed, when)


def _either(values: tuple[object, ...]) -> str:
    """For example: 4, 6 or 8."""
    *first, last = map(str, values)
    return f"{', '.join(first)} or {last}" if first else last


def _cannot(model: Model, field: str, value: object, allowed: tuple[object, ...], when: str = "") -> ApiError:
    asked = f"={value}{when}. Use {_either(allowed)}" if allowed else ""
    return ApiError(
        "UNSUPPORTED_BY_MODEL",
        f"{model.id} doesn't support {field}{asked}.",
        {"field": field, "model": model.id, "allowed": list(allowed)},
    )
