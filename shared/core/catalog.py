"""What each model can do, and how long it typically takes. A retired model is one line here.

Sources: model cards and the providers' documentation, November 2026. Lengths are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.core.documents import (
    AspectRatio,
    Resolution,
    VideoRequest,
    dimensions_px,
)
from shared.core.errors import ApiError

DEFAULT_SIZE = "1280x720"
DEFAULT_RESOLUTION: Resolution = "720p"
HIGH_RESOLUTIONS: tuple[Resolution, ...] = ("1080p", "4k")
ASPECT_RATIOS: tuple[AspectRatio, ...] = ("16:9", "9:16")


@dataclass(frozen=True)
class Extension:
    """How a model extends a video: by how many seconds, from what length, and up to what total length."""

    seconds: tuple[int, ...]
    max_total_s: int
    resolutions: tuple[Resolution, ...]
    min_source_s: int = 1
    max_source_s: int = 30


@dataclass(frozen=True)
class Model:
    """One model.

    `providers` offer it, preferred first; `remote` is its id at each of them. `released` is the day it became
    available. `aliases` are other names of the same model. `reference_images` is how many it takes, `reference_seconds`
    the lengths at which it takes them, `last_frame_seconds` those at which it takes a last frame (empty: all).
    `successors` are the ids of the models that replace it once its provider has retired it. `expected_s` is how long a
    generation of the default length takes, `longest_s` the longest documented time. `high_resolution_seconds` are the
    lengths at which more than 720p is available (empty: all). `bills_when_stopped`: its provider can't stop a
    generation, or bills it anyway; assumed for every model until a bill shows otherwise.
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
    expected_s: float = 60.0
    longest_s: float = 360.0
    bills_when_stopped: bool = True
    quota_per_minute: int = 50

    @property
    def queue(self) -> str:
        """The Cloud Tasks queue that limits the rate of this model's creates."""
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
            expected_s=90.0,
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
            expected_s=60.0,
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
            expected_s=45.0,
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
            expected_s=60.0,
        ),
    )
}


def offer(provider: str, model: str) -> str:
    """The key under which we store that a provider has retired or rejected a model."""
    return f"{provider} {model}"


@dataclass(frozen=True)
class Offering:
    """What this installation offers now: the models of the configured `providers`, except `retired` ones (see offer()).

    `preferred` is the provider to use for a model that several offer, by model.
    """

    providers: frozenset[str]
    preferred: Mapping[str, str] = field(default_factory=dict)
    retired: frozenset[str] = frozenset()

    def provider(self, model: Model) -> str | None:
        """The provider that generates the model's videos here; None if there is none.

        A retired model without a replacement is still offered, in case it isn't retired after all.
        """
        usable = self.providers_of(model)
        if not usable and not any(self.providers_of(MODELS[name]) for name in model.successors):
            usable = self._set_up(model)
        return next(iter(usable), None)

    def providers_of(self, model: Model) -> list[str]:
        """All configured providers of the model that haven't retired it, preferred first."""
        return [name for name in self._set_up(model) if offer(name, model.id) not in self.retired]

    def has_retired(self, model: Model) -> bool:
        """Whether the model was offered here and has been replaced."""
        return bool(self._set_up(model)) and self.provider(model) is None

    def _set_up(self, model: Model) -> list[str]:
        first = self.preferred.get(model.id)
        return [name for name in sorted(model.providers, key=lambda name: name != first) if name in self.providers]

    @property
    def models(self) -> list[Model]:
        return [model for model in MODELS.values() if self.provider(model) is not None]


@dataclass(frozen=True)
class Replacement:
    """What serves requests for a model that isn't offered: the first of `successors` that is available here.

    `differs` is a sentence for people. If the successor doesn't support a length or size of the old model, it uses the
    nearest one that it does.
    """

    successors: tuple[str, ...]
    differs: str


_SAME_FAMILY = "It is the released version of the same model."
_NEWER_VEO = "It is a newer model with sound, and the same prompt looks different."
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
    """The models whose requests this one currently serves."""
    retired = {each.id: each.successors for each in MODELS.values() if offering.has_retired(each)}
    successors = {name: rule.successors for name, rule in REPLACED.items()} | retired
    return [name for name, names in successors.items() if _first(names, offering) is model]


@dataclass(frozen=True)
class Choice:
    """The model that makes the video; `instead_of` is the requested name, if that model isn't offered.

    `differs` then describes how the two differ, in a sentence.
    """

    model: Model
    instead_of: str | None = None
    differs: str = ""


def choose(
    name: str | None, preference: tuple[str, ...], offering: Offering, allow_replacements: bool = True
) -> Choice:
    """The model of that name or its successor; without a name, the first preferred one that is available.

    Raises ApiError MODEL_NOT_FOUND if there is none, if its provider isn't configured, or if it was replaced and the
    request doesn't allow that; the error then names the successor.
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
    """The first of the names that is an id or alias of a model available here."""
    found = (_NAMED[name] for name in names if name in _NAMED)
    return next((model for model in found if offering.provider(model) is not None), None)


def makes(model: Model, request: VideoRequest) -> bool:
    """Whether the model can make the video of a request that was resolved for another model."""
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
    limits = length_limits(model, request.resolution, "reference" in roles, "last_frame" in roles)
    return request.resolution in model.resolutions and all(request.seconds in lengths for _, lengths in limits)


def length_limits(
    model: Model, resolution: Resolution | None, references: bool, last_frame: bool
) -> list[tuple[str, tuple[int, ...]]]:
    """The lengths in seconds that a new video may have: all limits apply, each with the condition it comes from."""
    limits = [
        ("", model.seconds),
        (f" at {resolution}", model.high_resolution_seconds if resolution in HIGH_RESOLUTIONS else ()),
        (" with reference_images", model.reference_seconds if references else ()),
        (" with last_frame", model.last_frame_seconds if last_frame else ()),
    ]
    return [(condition, lengths) for condition, lengths in limits if lengths]
