"""The videos of the stand-in providers are real: any player plays them, and they match the request."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from PIL import Image

from local.providers.render import Film, RenderingStoppedError, UnreadableMediaError, check_image, facts, render
from local.providers.titles import timecode

FRAME_S = 1 / 24


def film(prompt: str = "a paper boat on a quiet lake", **changes: object) -> Film:
    return Film(**{"prompt": prompt, "width": 640, "height": 360, "seconds": 1, **changes})  # type: ignore[arg-type]


def pictures(video: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(video), "r") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def sound(video: bytes) -> np.ndarray:
    with av.open(io.BytesIO(video), "r") as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def png(color: tuple[int, int, int], size: tuple[int, int] = (320, 200)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("width", "height", "seconds"),
    [(1280, 720, 4), (720, 1280, 1), (640, 360, 3), (360, 640, 1), (1920, 1080, 0.5), (3840, 2160, 0.125)],
)
def test_video_has_the_requested_length_size_and_codecs(width: int, height: int, seconds: float) -> None:
    video = render(film(width=width, height=height, seconds=seconds))
    with av.open(io.BytesIO(video), "r") as container:
        picture, tone = container.streams.video[0], container.streams.audio[0]
        assert (picture.width, picture.height) == (width, height)
        assert (picture.codec_context.name, picture.pix_fmt, picture.average_rate) == ("h264", "yuv420p", 24)
        assert (tone.codec_context.name, tone.layout.name, tone.rate) == ("aac", "stereo", 48000)
        for stream in (picture, tone):
            assert float(stream.duration * stream.time_base) == pytest.approx(seconds, abs=FRAME_S)
    assert len(pictures(video)) == round(seconds * 24)


def test_index_comes_first_for_immediate_playback() -> None:
    video = render(film())
    assert 0 < video.find(b"moov") < video.find(b"mdat")


def test_picture_moves() -> None:
    shown = pictures(render(film(seconds=2)))
    assert distance(shown[0], shown[-1]) > 1


def test_equal_requests_look_equal_and_others_differ() -> None:
    first = pictures(render(film("a red fox", seed=1)))[0]
    assert distance(first, pictures(render(film("a blue whale", seed=1)))[0]) > 5
    assert distance(first, pictures(render(film("a red fox", seed=2)))[0]) > 5
    assert distance(first, pictures(render(film("a red fox", seed=1)))[0]) == 0


def test_prompt_is_written_on_the_picture() -> None:
    """White letters, brighter than anything in the landscape behind them, in the middle of the frame."""
    middle = pictures(render(film("MMMM MMMM")))[12][100:200, 160:480]
    assert (middle.min(axis=2) > 225).mean() > 0.03


@pytest.mark.parametrize("prompt", ["", "word " * 800, "unbroken" * 60, "狐狸 🦊 übermäßig", "two\nlines\tand a tab"])
def test_any_prompt_can_be_rendered(prompt: str) -> None:
    assert len(pictures(render(film(prompt, seconds=0.125)))) == 3


def test_tone_is_audible_and_soft() -> None:
    loudness = np.abs(sound(render(film(seconds=2))))
    assert loudness.mean() > 0.01
    assert loudness.max() < 0.5


def test_without_audio_there_is_no_audio_stream() -> None:
    assert not facts(render(film(audio=False))).audio


def test_video_starts_at_the_first_frame_and_ends_at_the_last() -> None:
    shown = pictures(render(film(seconds=2, first_frame=png((200, 30, 30)), last_frame=png((30, 30, 200)))))
    top = [picture[:250].mean(axis=(0, 1)) for picture in (shown[0], shown[24], shown[-1])]
    assert np.abs(top[0] - (200, 30, 30)).max() < 12
    assert np.abs(top[2] - (30, 30, 200)).max() < 12
    assert np.abs(top[1] - top[0]).max() > 20


@pytest.mark.parametrize("with_audio", [True, False])
def test_extension_is_the_input_plus_the_added_seconds(with_audio: bool) -> None:
    start = render(film(seconds=2, audio=with_audio))
    longer = render(film("and then it rains", seconds=1.5, width=4, height=4, extends=start))
    known = facts(longer)
    assert (known.width, known.height, known.audio) == (640, 360, True)
    assert known.seconds == pytest.approx(3.5, abs=FRAME_S)
    before, after = pictures(start), pictures(longer)
    assert distance(before[10], after[10]) < 4
    assert distance(before[-1], after[48]) < 6


@pytest.mark.parametrize("damaged", [b"", b"no picture at all", png((1, 2, 3))[:40]])
def test_undecodable_inputs_are_rejected(damaged: bytes) -> None:
    with pytest.raises(UnreadableMediaError):
        check_image(damaged)
    with pytest.raises(UnreadableMediaError):
        facts(damaged)


def test_rendering_can_be_stopped() -> None:
    with pytest.raises(RenderingStoppedError):
        render(film(), stopped=lambda: True)


def test_timecode_counts_hours_minutes_seconds_and_frames() -> None:
    assert timecode(0) == "00:00:00:00"
    assert timecode(24 * 61 + 7) == "00:01:01:07"
