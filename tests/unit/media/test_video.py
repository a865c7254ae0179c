"""What a video file really is."""

from __future__ import annotations

import io

import av
import pytest

from shared.media.video import NotThatVideo, VideoFacts, check, inspect
from tests.unit.conftest import film


@pytest.mark.parametrize(("seconds", "width", "height"), [(3, 640, 360), (4, 360, 640), (1.5, 128, 128)])
def test_length_and_size_are_read_from_the_video(seconds: float, width: int, height: int) -> None:
    facts = inspect(io.BytesIO(film(seconds, width, height)))
    assert (facts.seconds, facts.width_px, facts.height_px) == (seconds, width, height)


@pytest.mark.parametrize(("width", "height", "poster"), [(1280, 720, (640, 360)), (360, 640, (360, 640))])
def test_poster_is_a_jpeg_of_at_most_640_pixels(width: int, height: int, poster: tuple[int, int]) -> None:
    facts = inspect(io.BytesIO(film(1, width, height)))
    with av.open(io.BytesIO(facts.poster)) as picture:
        frame = next(picture.decode(video=0))
    assert (frame.width, frame.height) == poster


def test_video_with_a_trailing_index_is_read(small_video: bytes) -> None:
    assert small_video.rfind(b"moov") > small_video.find(b"mdat")
    assert inspect(io.BytesIO(small_video)).seconds == 3.0


@pytest.mark.parametrize("junk", [b"", b"<html>no</html>" * 100, b"\0" * 10_000], ids=["nothing", "a page", "zeros"])
def test_non_video_is_rejected(junk: bytes) -> None:
    with pytest.raises(NotThatVideo):
        inspect(io.BytesIO(junk))


def test_truncated_video_is_rejected(small_video: bytes) -> None:
    with pytest.raises(NotThatVideo):
        inspect(io.BytesIO(small_video[: len(small_video) // 2]))


def test_another_container_is_rejected() -> None:
    with pytest.raises(NotThatVideo, match="not mp4"):
        inspect(io.BytesIO(film(1, 128, 128, "matroska")))


def test_audio_without_video_is_rejected() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        sound = output.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate = 48_000
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    with pytest.raises(NotThatVideo, match="no picture"):
        inspect(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize(
    ("seconds", "width", "height", "wrong"),
    [
        (8.0, 1280, 720, None),
        (8.042, 1280, 720, None),
        (7.958, 1280, 720, None),
        (8.2, 1280, 720, "8.20 s long"),
        (7.8, 1280, 720, "7.80 s long"),
        (8.0, 720, 1280, "720x1280"),
        (8.0, 1280, 704, "1280x704"),
    ],
)
def test_one_frame_of_difference_is_tolerated(seconds: float, width: int, height: int, wrong: str | None) -> None:
    facts = VideoFacts(seconds, width, height, b"")
    if wrong is None:
        check(facts, 8, 1280, 720)
        return
    with pytest.raises(NotThatVideo, match=wrong):
        check(facts, 8, 1280, 720)
