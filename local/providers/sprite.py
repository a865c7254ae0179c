"""Pictures laid over a YUV 4:2:0 frame, prepared once and blended many times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Bytes8 = npt.NDArray[np.uint8]
Words16 = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Canvas:
    """One frame, planar 4:2:0: `packed` is (height * 3 / 2, width); the three planes are views of it."""

    packed: Bytes8
    y: Bytes8
    u: Bytes8
    v: Bytes8

    @classmethod
    def blank(cls, width: int, height: int) -> Canvas:
        """A canvas of even size; the height must be a multiple of 4, so that the chroma planes fill whole rows."""
        return cls.over(np.full((height * 3 // 2, width), 128, np.uint8))

    @classmethod
    def over(cls, packed: Bytes8) -> Canvas:
        """The planes of an existing (height * 3 / 2, width) array."""
        height, width = packed.shape[0] * 2 // 3, packed.shape[1]
        quarter = height // 4
        half = (height // 2, width // 2)
        u, v = packed[height : height + quarter], packed[height + quarter :]
        return cls(packed, packed[:height], u.reshape(half), v.reshape(half))

    @classmethod
    def of(cls, image: Image.Image) -> Canvas:
        """The canvas of an RGB image whose height is a multiple of 4 and whose width is even."""
        y, u, v = planes(np.asarray(image.convert("RGB"), np.float32))
        return cls.over(np.concatenate([plane.reshape(-1, image.width) for plane in (y, u, v)]))


def planes(rgb: Floats) -> tuple[Bytes8, Bytes8, Bytes8]:
    """BT.709, limited range, from (height, width, 3) in 0..255; chroma is the mean of each 2 x 2 block."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    y = 16.5 + luma * (219 / 255)
    u = 128.5 + _halved(blue - luma) * (224 / 255 / 1.8556)
    v = 128.5 + _halved(red - luma) * (224 / 255 / 1.5748)
    return y.astype(np.uint8), u.astype(np.uint8), v.astype(np.uint8)


def _halved(plane: Floats) -> Floats:
    height, width = plane.shape
    halved: Floats = plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3), dtype=np.float32)
    return halved


@dataclass(frozen=True)
class Sprite:
    """Premultiplied planes (0..255 * 256) and what they let through (0..256): 16 bits, so that a blend is 3 passes."""

    color: tuple[Words16, Words16, Words16]
    through: tuple[Words16, Words16]

    @classmethod
    def of(cls, rgb: Floats, alpha: Floats) -> Sprite:
        """From (height, width, 3) in 0..255 and (height, width) in 0..1, both of even size."""
        half = _halved(alpha)
        y, u, v = planes(rgb)
        return cls(
            (_premultiplied(y, alpha), _premultiplied(u, half), _premultiplied(v, half)),
            (_let_through(alpha), _let_through(half)),
        )

    @classmethod
    def of_image(cls, image: Image.Image) -> Sprite:
        """From an RGBA image of even size."""
        pixels = np.asarray(image, np.float32)
        return cls.of(pixels[..., :3], pixels[..., 3] / np.float32(255))

    def faded(self, opacity: float) -> Sprite:
        """The same at a share (0..1) of its opacity."""
        y, u, v = ((plane * opacity).astype(np.uint16) for plane in self.color)
        luma, chroma = ((256 - (256 - plane) * opacity).astype(np.uint16) for plane in self.through)
        return Sprite((y, u, v), (luma, chroma))

    def draw(self, canvas: Canvas, x: int, y: int) -> None:
        """Blend with the top left corner at (x, y), clipped to the canvas. Chroma goes to the nearest even place."""
        _blend(canvas.y, self.color[0], self.through[0], x, y)
        _blend(canvas.u, self.color[1], self.through[1], x // 2, y // 2)
        _blend(canvas.v, self.color[2], self.through[1], x // 2, y // 2)


def _premultiplied(plane: Bytes8, alpha: Floats) -> Words16:
    # Truncated, and what is let through rounded up below by as much: the sum stays within 16 bits.
    return (plane * (256 - _let_through(alpha)).astype(np.float32)).astype(np.uint16)


def _let_through(alpha: Floats) -> Words16:
    return (256 - np.rint(alpha * 256)).astype(np.uint16)


def _blend(target: Bytes8, color: Words16, through: Words16, x: int, y: int) -> None:
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + color.shape[1], target.shape[1]), min(y + color.shape[0], target.shape[0])
    if left >= right or top >= bottom:
        return
    source = slice(top - y, bottom - y), slice(left - x, right - x)
    below = target[top:bottom, left:right]
    mixed = below * through[source]
    mixed += color[source]
    mixed >>= 8
    below[...] = mixed
