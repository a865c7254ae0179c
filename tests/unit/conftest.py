"""What unit tests get: Rushes in memory, and small real videos."""

from __future__ import annotations

import io
from collections.abc import Callable

import av
import pytest
from av.video.frame import VideoFrame

from tests.unit.house import House

MakeVideo = Callable[..., bytes]


def film(seconds: float, width: int, height: int, container: str = "mp4") -> bytes:
    """A film of two frames a second."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream("libx264", rate=2, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(round(seconds * 2)):
            frame = VideoFrame(width, height, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([40 + 20 * number]) * plane.buffer_size)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture(scope="session")
def small_video() -> bytes:
    """The video that a 3 s job of Omni at 360p asks for."""
    return film(3, 640, 360)


@pytest.fixture(scope="session")
def veo_video() -> bytes:
    """The video that a 4 s job of Veo at 720p asks for."""
    return film(4, 1280, 720)


@pytest.fixture
def house(small_video: bytes, veo_video: bytes) -> House:
    made = House()
    made.omni.video = small_video
    made.veo.video = veo_video
    return made
