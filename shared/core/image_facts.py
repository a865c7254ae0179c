"""The result of reading an image. Imports only what the process that reads images needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.core.documents import ImageType


class NotAnImage(Exception):  # noqa: N818
    """The bytes aren't a usable image; the message says why."""


@dataclass(frozen=True)
class ImageFacts:
    """Type, and size in pixels as stored (a camera's rotation mark is not applied)."""

    content_type: ImageType
    width_px: int
    height_px: int
