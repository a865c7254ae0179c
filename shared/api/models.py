"""The bodies of responses about models."""

from __future__ import annotations

from typing import Literal

from shared.api.bodies import Response, UnixSeconds
from shared.core.documents import Resolution


class ExtensionView(Response):
    """How a model extends a video: seconds added per step, of the original video, and of both together."""

    seconds: list[int]
    min_source_seconds: int
    max_source_seconds: int
    max_total_seconds: int
    resolutions: list[Resolution]
    credits_per_second: int
    credits_per_second_by_resolution: dict[Resolution, int]


class ModelView(Response):
    """A model's limits, price and typical time. `credits_per_second` is the price at the default size.

    `aliases` are other names of the same model; `replaces` are models that are no longer offered, whose requests
    it serves with a warning.
    """

    id: str
    object: Literal["model"] = "model"
    created: UnixSeconds
    owned_by: str
    default: bool
    aliases: list[str]
    replaces: list[str]
    seconds: list[int]
    default_seconds: int
    sizes: list[str]
    default_size: str
    seconds_at_high_resolution: list[int]
    max_count: int
    negative_prompt: bool
    seed: bool
    silent: bool
    person_generation: bool
    first_frame: bool
    last_frame: bool
    max_reference_images: int
    seconds_with_reference_images: list[int]
    seconds_with_last_frame: list[int]
    extension: ExtensionView | None
    credits_per_second: int
    credits_per_second_by_resolution: dict[Resolution, int]
    expected_seconds: float


class ModelList(Response):
    object: Literal["list"] = "list"
    data: list[ModelView]
