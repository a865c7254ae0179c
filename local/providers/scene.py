"""The moving picture behind a prompt: a sky, drifting lights and three ridges passing at different speeds.

Everything is drawn from a hash of prompt and seed, so that equal requests look equal and others do not. Layers are
painted once, wider than the frame; a frame is a crop of each.
"""

from __future__ import annotations

import colorsys
import hashlib
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from local.providers.sprite import Canvas, Floats, Sprite

FRAMES_PER_SECOND = 24


@dataclass(frozen=True)
class Drift:
    """A sprite and its path: its place at the start and its speed, in pixels and pixels per second."""

    sprite: Sprite
    x: float
    y: float
    speed_x: float
    speed_y: float
    sway: float = 0.0

    def draw(self, canvas: Canvas, second: float) -> None:
        y = self.y + self.speed_y * second + self.sway * math.sin(second * 0.9 + self.x)
        self.sprite.draw(canvas, round(self.x + self.speed_x * second), round(y))


def generator_of(prompt: str, seed: int) -> np.random.Generator:
    """The source of every choice in a picture or tone: equal for equal prompt and seed."""
    digest = hashlib.sha256(f"{seed}\n{prompt}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16]))


class Scene:
    """One landscape, `width` x `height` pixels, for films of at most `seconds`."""

    def __init__(self, prompt: str, seed: int, width: int, height: int, seconds: float) -> None:
        chance = generator_of(prompt, seed)
        self._size = width, height
        hue = float(chance.random())
        self._top = _color(hue, 0.75, 0.22 + 0.15 * float(chance.random()))
        self._horizon = _color(hue + float(chance.uniform(0.06, 0.16)), 0.55, 0.96)
        self._light = _color(hue + float(chance.uniform(0.12, 0.22)), 0.25, 1.0)
        self._ground = _color(hue - float(chance.uniform(0.0, 0.10)), 0.8, 0.13)
        self._sky_speed = (width * 0.008, height * 0.006)
        self._sky = self._paint_sky(chance, seconds)
        self._lights = [self._paint_light(chance) for _ in range(7)]
        self._ridges = self._paint_ridges(chance, seconds)

    def draw(self, canvas: Canvas, second: float) -> None:
        """Paint the whole frame as it is `second` after the start."""
        width, height = self._size
        x, y = round(self._sky_speed[0] * second), round(self._sky_speed[1] * second)
        canvas.y[...] = self._sky.y[y : y + height, x : x + width]
        x, y = x // 2, y // 2
        canvas.u[...] = self._sky.u[y : y + height // 2, x : x + width // 2]
        canvas.v[...] = self._sky.v[y : y + height // 2, x : x + width // 2]
        for layer in (*self._lights, *self._ridges):
            layer.draw(canvas, second)

    def _paint_sky(self, chance: np.random.Generator, seconds: float) -> Canvas:
        width = _multiple_of_4(self._size[0] + self._sky_speed[0] * seconds)
        height = _multiple_of_4(self._size[1] + self._sky_speed[1] * seconds)
        # A gradient has no detail: painted small and enlarged, it costs a sixteenth.
        rows, columns = np.mgrid[0 : height // 4, 0 : width // 4].astype(np.float32) * 4
        depth = np.clip(rows / (self._size[1] * 0.72), 0, 1)[..., None] ** 1.25
        sun_x, sun_y = self._size[0] * chance.uniform(0.2, 0.8), self._size[1] * chance.uniform(0.28, 0.55)
        distance = np.hypot(columns - sun_x, rows - sun_y)[..., None] / min(self._size)
        disc = np.clip((0.085 - distance) * 60, 0, 1)
        glow = 0.55 * np.exp(-((distance / 0.16) ** 2)) + 0.35 * np.exp(-((distance / 0.5) ** 2))
        rgb = self._top * (1 - depth) + self._horizon * depth
        rgb += (self._light - rgb) * np.clip(np.maximum(glow, disc * 0.95), 0, 1)
        small = Image.fromarray(rgb.astype(np.uint8))
        return Canvas.of(small.resize((width, height), Image.Resampling.BICUBIC))

    def _paint_light(self, chance: np.random.Generator) -> Drift:
        width, height = self._size
        side = _multiple_of_4(min(self._size) * chance.uniform(0.05, 0.2))
        rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) - (side - 1) / 2
        radius = np.hypot(rows, columns) / (side / 2)
        alpha = np.clip((1 - radius) * 6, 0, 1) * (0.45 + 0.55 * radius) * float(chance.uniform(0.12, 0.3))
        return Drift(
            Sprite.of(np.broadcast_to(self._light, (side, side, 3)), alpha.astype(np.float32)),
            x=float(chance.uniform(-0.1, 0.9)) * width,
            y=float(chance.uniform(0.0, 0.6)) * height,
            speed_x=float(chance.uniform(-0.03, 0.05)) * width,
            speed_y=float(chance.uniform(-0.03, 0.01)) * height,
            sway=height * 0.015,
        )

    def _paint_ridges(self, chance: np.random.Generator, seconds: float) -> list[Drift]:
        width, height = self._size
        octaves = int(chance.choice([1, 2, 5]))  # dunes, hills, mountains
        speeds = [width * share for share in (0.015, 0.035, 0.08)]
        bases = [height * share for share in (0.66, 0.77, 0.9)]
        outlines = [
            base - _outline(chance, _multiple_of_4(width + speed * seconds), width, octaves) * height * 0.16
            for base, speed in zip(bases, speeds, strict=True)
        ]
        drifts = []
        for number, (outline, speed) in enumerate(zip(outlines, speeds, strict=True)):
            # What the next ridge always covers need not be painted.
            nearer = outlines[number + 1] if number < 2 else None
            bottom = height if nearer is None else _multiple_of_4(min(height, float(nearer.max())))
            top = int(outline.min()) // 4 * 4 - 4
            near = (number + 1) / 3
            color = self._horizon * (1 - near) * 0.75 + self._ground * near
            sprite = self._ridge(outline - top, bottom - top, color)
            drifts.append(Drift(sprite, x=0, y=top, speed_x=-speed, speed_y=0))
        return drifts

    def _ridge(self, outline: Floats, height: int, color: Floats) -> Sprite:
        below = np.arange(height, dtype=np.float32)[:, None] - outline[None, :]
        mist = np.clip(below / (self._size[1] * 0.5), 0, 1)[..., None] * 0.35
        rgb = color * (1 - mist) + self._horizon * 0.6 * mist
        return Sprite.of(rgb.astype(np.float32), np.clip(below + 0.5, 0, 1).astype(np.float32))


def _outline(chance: np.random.Generator, length: int, width: int, octaves: int) -> Floats:
    """Heights in about 0..1 along a ridge: smooth noise, each octave twice as fine and half as high."""
    x = np.arange(length, dtype=np.float64) / width
    heights = np.zeros(length)
    for octave in range(octaves):
        points = 2.5 * 2**octave
        knots = chance.random(int(points * length / width) + 3)
        at = x * points + float(chance.random())
        index = at.astype(int)
        part = at - index
        if octave < 2:
            part = part * part * (3 - 2 * part)
        heights += (knots[index] * (1 - part) + knots[index + 1] * part) * 0.5**octave
    return (heights / 1.3).astype(np.float32)


def _color(hue: float, saturation: float, value: float) -> Floats:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), np.float32) * 255


def _multiple_of_4(length: float) -> int:
    return math.ceil(length / 4) * 4
