"""Resolves a request for a video: fills in every default, and checks it against what its model supports. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.api.videos import CreateVideo
from shared.core.catalog import ASPECT_RATIOS, DEFAULT_RESOLUTION, Choice, Model, length_limits
from shared.core.documents import (
    MAX_PROMPT_BYTES,
    AspectRatio,
    Extends,
    Resolution,
    VideoRequest,
    Warned,
    dimensions_px,
)
from shared.core.errors import ApiError


def adapt(body: CreateVideo, choice: Choice) -> tuple[CreateVideo, tuple[Warned, ...]]:
    """The request adapted to the successor, with warnings about the differences; unchanged if the model is offered."""
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
    """The model's size with the same orientation and the nearest number of pixels."""
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
    limits = _limits(body, model, resolution)
    return tuple(seconds for seconds in model.seconds if all(seconds in lengths for _, lengths in limits))


def _both(resolution: Resolution) -> tuple[tuple[int, int], ...]:
    return tuple(dimensions_px(aspect, resolution) for aspect in ASPECT_RATIOS)


def resolve(body: CreateVideo, model: Model, source: Source | None = None) -> VideoRequest:
    """The request with every default filled in; raises ApiError naming the field that the model doesn't support.

    `source` is the video that `body.extends` names. Images are only checked for whether the model takes them; they
    aren't in the request yet.
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
    """The video to extend, its shape, and the model that made it."""

    video: Extends
    model: str
    aspect_ratio: AspectRatio
    resolution: Resolution


def _length(body: CreateVideo, model: Model, resolution: Resolution) -> int:
    with_references = bool(body.reference_images and model.reference_seconds)
    default = model.reference_seconds[0] if with_references else model.default_seconds
    seconds = body.seconds or default
    for condition, lengths in _limits(body, model, resolution):
        _require(model, "seconds", seconds, lengths, condition)
    return seconds


def _limits(body: CreateVideo, model: Model, resolution: Resolution | None) -> list[tuple[str, tuple[int, ...]]]:
    return length_limits(model, resolution, bool(body.reference_images), body.last_frame is not None)


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
    """The source's shape, and the seconds to add."""
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
