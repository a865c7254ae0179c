"""Inspects a video file with PyAV: duration, size, and a poster frame."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import av
from av.video.frame import VideoFrame

SMALLEST_BYTES = 1_001
# A frame at 24 fps takes 42 ms. Containers round, so allow one frame at each end.
TOLERANCE_S = 0.1
POSTER_AT_SHARE = 0.25
POSTER_LONG_SIDE_PX = 640


class NotThatVideo(Exception):  # noqa: N818
    """The file isn't a playable MP4, or not of the requested length and size; the message says why."""


@dataclass(frozen=True)
class VideoFacts:
    """Duration in seconds, size in pixels, and a JPEG of one frame."""

    seconds: float
    width_px: int
    height_px: int
    poster: bytes


def inspect(file: BinaryIO) -> VideoFacts:
    """Read the container and make a poster from a frame a quarter into the video.

    `file` must be seekable; only the needed parts are read. Raises NotThatVideo if it can't be played.
    """
    try:
        with av.open(file, mode="r", metadata_errors="ignore") as container:
            if "mp4" not in container.format.name.split(","):
                raise NotThatVideo(f"the container is {container.format.name}, not mp4")
            if not container.streams.video:
                raise NotThatVideo("there is no picture in the file")
            stream = container.streams.video[0]
            if stream.duration is None or stream.time_base is None:
                raise NotThatVideo("the file does not say how long it is")
            seconds = float(stream.duration * stream.time_base)
            container.seek(int(stream.duration * POSTER_AT_SHARE), stream=stream)
            frame = next(container.decode(stream), None)
            if frame is None:
                raise NotThatVideo("no frame could be decoded")
            return VideoFacts(seconds, frame.width, frame.height, _jpeg(frame))
    except (av.FFmpegError, EOFError) as error:
        raise NotThatVideo(f"the file cannot be played: {error}") from error


def check(facts: VideoFacts, seconds: float, width_px: int, height_px: int) -> None:
    """Raises NotThatVideo if the duration or size differs from the request."""
    if abs(facts.seconds - seconds) > TOLERANCE_S:
        raise NotThatVideo(f"the video is {facts.seconds:.2f} s long instead of {seconds:g} s")
    if (facts.width_px, facts.height_px) != (width_px, height_px):
        raise NotThatVideo(f"the video is {facts.width_px}x{facts.height_px} instead of {width_px}x{height_px}")


def _jpeg(frame: VideoFrame) -> bytes:
    scale = min(1.0, POSTER_LONG_SIDE_PX / max(frame.width, frame.height))
    width, height = (round(side * scale / 2) * 2 for side in (frame.width, frame.height))
    picture = frame.reformat(width=width, height=height, format="yuvj420p")
    picture.pts = None
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = Fraction(1, 1)
    return b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode()))
