"""A real MP4 for a prompt: H.264 (yuv420p) and AAC stereo, 24 frames a second, index first.

8 s at 1280 x 720 take about 2 s of one core. Rendering is plain blocking code; PyAV and numpy release the
interpreter lock, so it runs in a thread beside an event loop.
"""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

from local.providers.scene import FRAMES_PER_SECOND, Scene
from local.providers.sprite import Bytes8, Canvas, Floats
from local.providers.titles import Titles
from local.providers.tone import SAMPLE_RATE, chord

_SAMPLES_PER_FRAME = SAMPLE_RATE // FRAMES_PER_SECOND
_HOLD_S, _DISSOLVE_S = 0.4, 1.2
_BT709 = 1
_LIMITED_RANGE = 1


class RenderingStoppedError(Exception):
    """The caller asked to stop before the film was finished."""


class UnreadableMediaError(ValueError):
    """An input image or video cannot be decoded."""


@dataclass(frozen=True)
class Film:
    """What to render. Sizes in pixels, multiples of 4; inputs are the bytes of an image or MP4.

    `extends` is a film to continue: the result is that film, then `seconds` more, in that film's size.
    """

    prompt: str
    width: int
    height: int
    seconds: float
    seed: int = 0
    audio: bool = True
    caption: str = ""
    first_frame: bytes | None = None
    last_frame: bytes | None = None
    extends: bytes | None = None


@dataclass(frozen=True)
class Facts:
    """What a video file says about itself: seconds, width and height in pixels, and whether it has sound."""

    seconds: float
    width: int
    height: int
    audio: bool


def facts(video: bytes) -> Facts:
    """Read the length and size of a video file. Raises UnreadableMediaError."""
    try:
        with av.open(io.BytesIO(video), "r", format="mp4") as container:
            stream = container.streams.video[0]
            seconds = (container.duration or 0) / av.time_base
            return Facts(seconds, stream.width, stream.height, bool(container.streams.audio))
    except (av.FFmpegError, IndexError) as error:
        raise UnreadableMediaError(f"not a readable video: {error}") from error


def check_image(image: bytes) -> None:
    """Raise UnreadableMediaError unless these are the bytes of an image that Pillow can decode."""
    _opened(image)


def render(film: Film, stopped: Callable[[], bool] = lambda: False) -> bytes:
    """The finished MP4. Raises UnreadableMediaError, or RenderingStoppedError once `stopped` answers True."""
    if film.extends is not None:
        known = facts(film.extends)
        width, height = known.width // 4 * 4, known.height // 4 * 4
    else:
        width, height = film.width, film.height
    with tempfile.TemporaryDirectory(prefix="film-") as directory:
        # With the index first the muxer reads its own output again, which needs a file.
        path = Path(directory) / "film.mp4"
        _encode(path, width, height, film, stopped)
        return path.read_bytes()


def _encode(path: Path, width: int, height: int, film: Film, stopped: Callable[[], bool]) -> None:
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        video = container.add_stream(
            "libx264", rate=FRAMES_PER_SECOND, options={"preset": "superfast", "crf": "24", "tune": "zerolatency"}
        )
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        context = video.codec_context
        context.gop_size = 2 * FRAMES_PER_SECOND
        context.thread_count = 1
        context.color_range = _LIMITED_RANGE
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo") if film.audio else None
        for number, (picture, sound) in enumerate(_frames(film, width, height)):
            if stopped():
                raise RenderingStoppedError
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts = number
            container.mux(video.encode(frame))
            if audio is not None:
                samples = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout="stereo")
                samples.sample_rate, samples.pts = SAMPLE_RATE, number * _SAMPLES_PER_FRAME
                container.mux(audio.encode(samples))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))


def _frames(film: Film, width: int, height: int) -> Iterator[tuple[Bytes8, Floats]]:
    """Each frame (height * 3 / 2, width) with its (2, 2000) samples of sound."""
    first = _fitted(film.first_frame, width, height) if film.first_frame is not None else None
    if film.extends is not None:
        sound = _sound_of(film.extends) if film.audio else np.zeros((2, 0), np.float32)
        last: Bytes8 | None = None
        for number, picture in enumerate(_pictures_of(film.extends, width, height)):
            last = picture
            yield picture, _padded(sound, number)
        first = Canvas.over(last) if last is not None else first
    count = max(round(film.seconds * FRAMES_PER_SECOND), 1)
    last_frame = _fitted(film.last_frame, width, height) if film.last_frame is not None else None
    scene = Scene(film.prompt, film.seed, width, height, film.seconds)
    titles = Titles(film.prompt, film.caption, width, height)
    tone = chord(film.prompt, film.seed, count * _SAMPLES_PER_FRAME)
    canvas = Canvas.blank(width, height)
    for number in range(count):
        into = _share(number, count) if first is not None else 1.0
        out_of = 1 - _share(count - 1 - number, count) if last_frame is not None else 0.0
        scene.draw(canvas, number / FRAMES_PER_SECOND)
        if first is not None:
            _dissolve(canvas, first, 1 - into)
        if last_frame is not None:
            _dissolve(canvas, last_frame, out_of)
        titles.draw(canvas, number, min(into, 1 - out_of))
        yield canvas.packed, _padded(tone, number)


def _share(number: int, count: int) -> float:
    """How far a dissolve has come, 0..1, this many frames from its end of the film."""
    seconds = number / FRAMES_PER_SECOND - min(_HOLD_S, count / FRAMES_PER_SECOND / 8)
    return min(max(seconds / min(_DISSOLVE_S, count / FRAMES_PER_SECOND / 4), 0.0), 1.0)


def _dissolve(canvas: Canvas, picture: Canvas, strength: float) -> None:
    weight = round(strength * 256)
    if weight <= 0:
        return
    mixed = canvas.packed * np.uint16(256 - weight)
    mixed += picture.packed * np.uint16(weight)
    mixed >>= 8
    canvas.packed[...] = mixed


def _fitted(image: bytes, width: int, height: int) -> Canvas:
    return Canvas.of(ImageOps.fit(_opened(image), (width, height), Image.Resampling.LANCZOS))


def _opened(image: bytes) -> Image.Image:
    try:
        return ImageOps.exif_transpose(Image.open(io.BytesIO(image))).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableMediaError(f"not a readable image: {error}") from error


def _padded(sound: Floats, number: int) -> Floats:
    part = sound[:, number * _SAMPLES_PER_FRAME : (number + 1) * _SAMPLES_PER_FRAME]
    return np.pad(part, ((0, 0), (0, _SAMPLES_PER_FRAME - part.shape[1])))


def _pictures_of(video: bytes, width: int, height: int) -> Iterator[Bytes8]:
    """The frames of a video at 24 a second, whatever its own rate."""
    with av.open(io.BytesIO(video), "r", format="mp4") as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or FRAMES_PER_SECOND)
        given = 0
        for number, frame in enumerate(container.decode(stream)):
            picture: Bytes8 | None = None
            while given < math.floor((number + 1) * FRAMES_PER_SECOND / rate + 1e-6):
                if picture is None:
                    picture = np.asarray(frame.reformat(width, height, "yuv420p").to_ndarray(), np.uint8)
                yield picture
                given += 1


def _sound_of(video: bytes) -> Floats:
    """(2, samples) of a video's sound at SAMPLE_RATE; no samples for a silent one."""
    parts: list[Floats] = [np.zeros((2, 0), np.float32)]
    with av.open(io.BytesIO(video), "r", format="mp4") as container:
        if container.streams.audio:
            resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
            for frame in container.decode(container.streams.audio[0]):
                parts.extend(part.to_ndarray().astype(np.float32) for part in resampler.resample(frame))
            parts.extend(part.to_ndarray().astype(np.float32) for part in resampler.resample(None))
    return np.concatenate(parts, axis=1)
