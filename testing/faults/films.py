"""Real MP4s of the asked length and size, as small as they can be, and what the product sees in them, seen once."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import BinaryIO
from unittest import mock

import av
import numpy as np

from shared.media import video

# Enough of a file to be inspected, and not playable.
CORRUPT = b"\x00\x00\x00\x18ftypmp42" + b"no film in here " * 100

_inspect = video.inspect


@cache
def film(seconds: int, width_px: int, height_px: int) -> bytes:
    """A gray still picture."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("h264", rate=2, options={"preset": "ultrafast", "crf": "40"})
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        picture = np.full((height_px, width_px, 3), 96, dtype=np.uint8)
        for _ in range(2 * seconds):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    data = file.getvalue()
    # A file may be padded at its end; less than this is not taken for a video.
    return data + free_box(max(0, 2 * video.SMALLEST_BYTES - len(data)))


def free_box(size: int) -> bytes:
    """Padding that players skip."""
    return (size + 8).to_bytes(4, "big") + b"free" + bytes(size) if size else b""


@cache
def _seen(data: bytes) -> video.VideoFacts | str:
    try:
        return _inspect(io.BytesIO(data))
    except video.NotThatVideo as error:
        return str(error)


@contextmanager
def seen_once() -> Iterator[None]:
    """Inspect the same bytes only once: thousands of identical videos are stored here."""
    with mock.patch.object(video, "inspect", inspect):
        yield


def inspect(file: BinaryIO) -> video.VideoFacts:
    """shared.media.video.inspect, remembering."""
    seen = _seen(file.read())
    if isinstance(seen, str):
        raise video.NotThatVideo(seen)
    return seen
