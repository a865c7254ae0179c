"""What is written over the picture: the prompt as a film title, a caption and a running timecode."""

from __future__ import annotations

import bisect
import functools

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from local.providers.scene import FRAMES_PER_SECOND
from local.providers.sprite import Canvas, Sprite

_LONGEST_TITLE = 600
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Titles:
    """The lettering of one film of `width` x `height` pixels."""

    def __init__(self, title: str, caption: str, width: int, height: int) -> None:
        self._size = width, height
        self._unit = min(width, height) / 360
        self._title = self._paint_title(title) if title else None
        self._small = _font(round(13 * self._unit))
        self._caption = self._line(caption) if caption else None
        self._cell = round(8.5 * self._unit)
        self._digits = {digit: self._line(digit, self._cell) for digit in "0123456789:"}

    def draw(self, canvas: Canvas, frame: int, title_opacity: float) -> None:
        """Letter the frame with this number; the title at 0..1 of its strength."""
        width, height = self._size
        margin = round(14 * self._unit)
        line = self._small_height()
        if self._title is not None and title_opacity > 0:
            sprite, x, y = self._title
            (sprite if title_opacity >= 1 else sprite.faded(title_opacity)).draw(canvas, x, y)
        if self._caption is not None:
            self._caption.draw(canvas, margin, height - margin - line)
        text = timecode(frame)
        for place, digit in enumerate(text):
            x = width - margin - self._cell * (len(text) - place)
            self._digits[digit].draw(canvas, x, height - margin - line)

    def _paint_title(self, title: str) -> tuple[Sprite, int, int]:
        width, height = self._size
        font, text = _fitted(title, round(width * 0.82), round(height * 0.42), round(34 * self._unit))
        pen = ImageDraw.Draw(Image.new("L", (1, 1)))
        spacing = round(6 * self._unit)
        left, top, right, bottom = pen.multiline_textbbox((0, 0), text, font=font, spacing=spacing, align="center")
        pad = round(16 * self._unit)
        size = (_even(right - left + 2 * pad), _even(bottom - top + 2 * pad))
        letters = Image.new("L", size, 0)
        at = (pad - left, pad - top)
        ImageDraw.Draw(letters).multiline_text(at, text, fill=255, font=font, spacing=spacing, align="center")
        sprite = Sprite.of_image(_shadowed(letters, 5 * self._unit))
        return sprite, (width - size[0]) // 2 // 2 * 2, (round(height * 0.4) - size[1] // 2) // 2 * 2

    def _line(self, text: str, cell: int | None = None) -> Sprite:
        """One line of small print; with `cell`, centered in that many pixels, so that digits do not dance."""
        length = self._small.getlength(text)
        left = 2 * self._unit + (0 if cell is None else (cell - length) / 2)
        letters = Image.new("L", (_even(length + 10 * self._unit), self._small_height()), 0)
        ImageDraw.Draw(letters).text((round(left), 0), text, fill=200, font=self._small)
        return Sprite.of_image(_shadowed(letters, 1.5 * self._unit))

    def _small_height(self) -> int:
        return _even(20 * self._unit)


def timecode(frame: int) -> str:
    """Hours, minutes, seconds and frames of a frame number: 00:00:03:07."""
    seconds, frames = divmod(frame, FRAMES_PER_SECOND)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{frames:02}"


def _shadowed(letters: Image.Image, blur: float) -> Image.Image:
    shade = letters.filter(ImageFilter.GaussianBlur(blur)).point(lambda level: min(round(level * 1.3), 190))
    image = Image.new("RGBA", letters.size, (0, 0, 0, 0))
    image.putalpha(shade)
    top = Image.new("RGBA", letters.size, (255, 255, 255, 0))
    top.putalpha(letters)
    return Image.alpha_composite(image, top)


def _fitted(title: str, width: int, height: int, largest: int) -> tuple[Font, str]:
    """The largest lettering in which the wrapped title fits; at the smallest, as much of it as fits."""
    size = largest
    smallest = max(largest * 2 // 5, 8)
    while True:
        font = _font(size)
        lines = _wrapped(title[:_LONGEST_TITLE], font, width)
        room = max(int(height / (size * 1.4)), 1)
        if len(lines) <= room:
            return font, "\n".join(lines)
        if size <= smallest:
            return font, "\n".join([*lines[: room - 1], lines[room - 1][:-1] + "…"])
        size = max(size * 9 // 10, smallest)


def _wrapped(text: str, font: Font, width: int) -> list[str]:
    lines: list[str] = []
    for word in _pieces(text, font, width):
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def _pieces(text: str, font: Font, width: int) -> list[str]:
    """The words, those wider than a line cut to fit."""
    pieces = []
    for word in text.split():
        rest = word
        while font.getlength(rest) > width and len(rest) > 1:
            starts = [rest[:letters] for letters in range(len(rest))]
            cut = max(bisect.bisect_right(starts, float(width), key=font.getlength) - 1, 1)
            pieces.append(rest[:cut])
            rest = rest[cut:]
        pieces.append(rest)
    return pieces


@functools.lru_cache(maxsize=64)
def _font(size: int) -> Font:
    # Pillow carries this font: no system font is needed, and every machine draws the same.
    return ImageFont.load_default(size=size)


def _even(length: float) -> int:
    return int(length) // 2 * 2 + 2
