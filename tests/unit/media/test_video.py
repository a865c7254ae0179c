"""What a video file really is."""

from __future__ import annotations

import io

import av
import pytest

from shared.media.video import NotThatVideo, VideoFacts, check, inspect
from tests.unit.conftest import film


@pytest.mark.parametrize(("seconds", "width", "height"), [(3, 640, 360), (4, 360, 640), (1.5, 128, 128)])
def test_length_and_size_are_those_of_the_film(seconds: float, width: int, height: int) -> None:
    facts = inspect(io.BytesIO(film(seconds, width, height)))
    assert (facts.seconds, facts.width_px, facts.height_px) == (seconds, width, height)


@pytest.mark.parametrize(("width", "height", "poster"), [(1280, 720, (640, 360)), (360, 640, (360, 640))])
def test_the_poster_is_a_jpeg_of_at_most_640_pixels_a_side(width: int, height: int, poster: tuple[int, int]) -> None:
    facts = inspect(io.BytesIO(film(1, width, height)))
    with av.open(io.BytesIO(facts.poster)) as picture:
        frame = next(picture.decode(video=0))
    assert (frame.width, frame.height) == poster


def test_a_film_whose_index_comes_last_is_read_as_well(small_video: bytes) -> None:
    assert small_video.rfind(b"moov") > small_video.find(b"mdat")
    assert inspect(io.BytesIO(small_video)).seconds == 3.0


@pytest.mark.parametrize("junk", [b"", b"<html>no</html>" * 100, b"\0" * 10_000], ids=["nothing", "a page", "zeros"])
def test_what_is_no_film_is_not_that_video(junk: bytes) -> None:
    with pytest.raises(NotThatVideo):
        inspect(io.BytesIO(junk))


def test_a_film_that_was_cut_off_is_not_that_video(small_video: bytes) -> None:
    with pytest.raises(NotThatVideo):
        inspect(io.BytesIO(small_video[: len(small_video) // 2]))


def test_another_container_is_not_that_video() -> None:
    with pytest.raises(NotThatVideo, match="not mp4"):
        inspect(io.BytesIO(film(1, 128, 128, "matroska")))


def test_sound_without_a_picture_is_not_that_video() -> None:
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
def test_a_frame_more_or_less_is_forgiven_and_nothing_else(
    seconds: float, width: int, height: int, wrong: str | None
) -> None:
    facts = VideoFacts(seconds, width, height, b"")
    if wrong is None:
        check(facts, 8, 1280, 720)
        return
    with pytest.raises(NotThatVideo, match=wrong):
        check(facts, 8, 1280, 720)
