"""What an image really is, whatever its name says: its type by its first bytes, its size by decoding it with PyAV."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import av
from av.video.codeccontext import VideoCodecContext

from shared.models import ImageType

SMALLEST_SIDE_PX = 64
LARGEST_SIDE_PX = 8_192
# A decoded picture has up to 4 bytes a pixel: more than this would not fit beside what else a function does.
MOST_PIXELS = 36_000_000

_DECODERS: Mapping[ImageType, str] = {"image/png": "png", "image/jpeg": "mjpeg", "image/webp": "webp"}
# One picture is decoded at a time in a process, for the same reason.
_decoding = threading.Lock()


class NotAnImage(Exception):  # noqa: N818
    """These bytes are not an image that can be used; the message says why."""


@dataclass(frozen=True)
class ImageFacts:
    """Type, and size in pixels as stored (a camera's rotation mark is not applied)."""

    content_type: ImageType
    width_px: int
    height_px: int


def inspect(data: bytes) -> ImageFacts:
    """Decode the whole image; blocking. Raises NotAnImage for another type, a damaged file, or a size out of bounds."""
    content_type = _type_of(data)
    with _decoding:
        width, height = _decoded(data, content_type)
    for name, side in (("wide", width), ("high", height)):
        if not SMALLEST_SIDE_PX <= side <= LARGEST_SIDE_PX:
            raise NotAnImage(f"it is {side} pixels {name}; {SMALLEST_SIDE_PX} to {LARGEST_SIDE_PX} are allowed")
    return ImageFacts(content_type, width, height)


def _type_of(data: bytes) -> ImageType:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise NotAnImage("it is not a PNG, JPEG or WebP")


def _decoded(data: bytes, content_type: ImageType) -> tuple[int, int]:
    decoder = cast(VideoCodecContext, av.CodecContext.create(_DECODERS[content_type], "r"))
    # Damage is an error, and a small file that unfolds into a huge picture is refused before there is room made for it.
    decoder.options = {"err_detect": "explode", "max_pixels": str(MOST_PIXELS)}
    decoder.thread_count = 1
    try:
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    except av.ArgumentError as error:
        raise NotAnImage(f"it has more than {MOST_PIXELS:,} pixels") from error
    except (av.FFmpegError, EOFError, MemoryError) as error:
        raise NotAnImage("it is damaged, or animated") from error
    if not frames:
        raise NotAnImage("there is no picture in it")
    return frames[0].width, frames[0].height
