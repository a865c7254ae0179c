"""What an image really is: by its bytes, never by its name."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from shared import images
from shared.images import ImageFacts, NotAnImage, inspect


def picture(format: str = "PNG", size: tuple[int, int] = (128, 96), mode: str = "RGB", **options: Any) -> bytes:  # noqa: A002
    file = io.BytesIO()
    Image.effect_noise(size, 64).convert(mode).save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("format", "mode", "content_type"),
    [
        ("PNG", "RGB", "image/png"),
        ("PNG", "RGBA", "image/png"),
        ("PNG", "L", "image/png"),
        ("PNG", "P", "image/png"),
        ("JPEG", "RGB", "image/jpeg"),
        ("JPEG", "L", "image/jpeg"),
        ("JPEG", "CMYK", "image/jpeg"),
        ("MPO", "RGB", "image/jpeg"),
        ("WEBP", "RGB", "image/webp"),
        ("WEBP", "RGBA", "image/webp"),
    ],
)
def test_png_jpeg_and_webp_are_images_in_every_colour(format: str, mode: str, content_type: str) -> None:  # noqa: A002
    assert inspect(picture(format, mode=mode)) == ImageFacts(content_type, 128, 96)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"progressive": True}, {"quality": 100}])
def test_every_kind_of_jpeg_is_an_image(options: dict[str, Any]) -> None:
    assert inspect(picture("JPEG", **options)).width_px == 128


def test_bytes_after_the_end_of_an_image_do_no_harm() -> None:
    """Cameras append films and previews."""
    assert inspect(picture("JPEG") + b"appended" * 100).height_px == 96


@pytest.mark.parametrize("size", [(64, 64), (8_192, 64), (64, 8_192), (8_192, 4_300)])
def test_sides_may_have_64_to_8192_pixels(size: tuple[int, int]) -> None:
    facts = inspect(picture("JPEG", size, "L"))
    assert (facts.width_px, facts.height_px) == size


@pytest.mark.parametrize("size", [(63, 100), (100, 63), (8_193, 100), (100, 8_193), (1, 1)])
def test_other_sides_are_refused_with_the_bounds(size: tuple[int, int]) -> None:
    with pytest.raises(NotAnImage, match="64 to 8192 are allowed"):
        inspect(picture("PNG", size, "L"))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_small_file_that_unfolds_into_a_huge_picture_is_refused(format: str) -> None:  # noqa: A002
    file = io.BytesIO()
    Image.new("L", (8_000, 8_000)).save(file, format)
    assert len(file.getvalue()) < 1_000_000
    with pytest.raises(NotAnImage, match="more than 36,000,000 pixels"):
        inspect(file.getvalue())


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG", b"GIF89a" + b"x" * 100, picture("GIF"), picture("BMP"), b"<svg/>", b"%PDF-1.7", b"RIFF1234WAVE"],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnImage, match="not a PNG, JPEG or WebP"):
        inspect(data)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.5, 0.01])
def test_a_file_that_was_cut_is_refused(format: str, share: float) -> None:  # noqa: A002
    whole = picture(format)
    with pytest.raises(NotAnImage):
        inspect(whole[: max(16, int(len(whole) * share))])


@pytest.mark.parametrize("start", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\x10\x00\x00\x00WEBPVP8 "])
def test_a_file_that_only_begins_like_an_image_is_refused(start: bytes) -> None:
    with pytest.raises(NotAnImage):
        inspect(start + bytes(range(256)) * 8)


def test_an_animation_is_refused() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    with pytest.raises(NotAnImage, match="animated"):
        inspect(file.getvalue())


def test_the_limits_are_those_that_the_catalogue_tells() -> None:
    from shared.errors import CATALOGUE

    told = CATALOGUE["INVALID_IMAGE"].suggested_action
    assert f"{images.SMALLEST_SIDE_PX} to {images.LARGEST_SIDE_PX:,} pixels" in told
