"""What an image really is: by its bytes, never by its name."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import zlib
from typing import Any

import pytest
from PIL import Image

from shared.core.image_facts import ImageFacts, NotAnImage
from shared.media import images
from shared.media.images import inspect


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
def test_png_jpeg_and_webp_are_accepted_in_every_color_mode(format: str, mode: str, content_type: str) -> None:  # noqa: A002
    assert inspect(picture(format, mode=mode)) == ImageFacts(content_type, 128, 96)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"progressive": True}, {"quality": 100}])
def test_every_kind_of_jpeg_is_accepted(options: dict[str, Any]) -> None:
    assert inspect(picture("JPEG", **options)).width_px == 128


def test_trailing_bytes_do_no_harm() -> None:
    """Cameras append films and previews."""
    assert inspect(picture("JPEG") + b"appended" * 100).height_px == 96


@pytest.mark.parametrize("size", [(64, 64), (8_192, 64), (64, 8_192), (8_192, 4_300)])
def test_sides_of_64_to_8192_pixels_are_accepted(size: tuple[int, int]) -> None:
    file = io.BytesIO()
    Image.new("L", size).save(file, "JPEG")
    facts = inspect(file.getvalue())
    assert (facts.width_px, facts.height_px) == size


@pytest.mark.parametrize("size", [(63, 100), (100, 63), (8_193, 100), (100, 8_193), (1, 1)])
def test_other_sides_are_rejected_with_the_bounds(size: tuple[int, int]) -> None:
    with pytest.raises(NotAnImage, match="64 to 8192 are allowed"):
        inspect(picture("PNG", size, "L"))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_too_many_pixels_are_rejected_before_decoding(
    format: str,  # noqa: A002
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "_decoded", None)
    side = {order: (8_000).to_bytes(2, order) for order in ("big", "little")}
    frame = b"\x9d\x01\x2a"
    data = {
        "PNG": png(header=(8_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])),
        "JPEG": re.sub(rb"(\xff\xc0..\x08)....", rb"\1" + side["big"] * 2, picture("JPEG"), count=1, flags=re.S),
        "WEBP": re.sub(frame + b"....", frame + side["little"] * 2, picture("WEBP"), count=1, flags=re.S),
    }[format]
    with pytest.raises(NotAnImage, match="more than 36,000,000 pixels"):
        inspect(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG", b"GIF89a" + b"x" * 100, picture("GIF"), picture("BMP"), b"<svg/>", b"%PDF-1.7", b"RIFF1234WAVE"],
)
def test_anything_else_is_rejected(data: bytes) -> None:
    with pytest.raises(NotAnImage, match="isn't a PNG, JPEG or WebP"):
        inspect(data)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.5, 0.01])
def test_truncated_file_is_rejected(format: str, share: float) -> None:  # noqa: A002
    whole = picture(format)
    with pytest.raises(NotAnImage):
        inspect(whole[: max(16, int(len(whole) * share))])


@pytest.mark.parametrize("start", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\x10\x00\x00\x00WEBPVP8 "])
def test_file_with_only_an_image_header_is_rejected(start: bytes) -> None:
    with pytest.raises(NotAnImage):
        inspect(start + bytes(range(256)) * 8)


def test_animation_is_rejected() -> None:
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    with pytest.raises(NotAnImage, match="animated"):
        inspect(file.getvalue())


# --- files that are made to harm ---


def chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


def png(*chunks: bytes, pixels: bytes | None = None, header: bytes | None = None) -> bytes:
    """A gray picture of 64 pixels a side, with these chunks before its pixels."""
    header = header or (64).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    pixels = zlib.compress(bytes(64 * 65)) if pixels is None else pixels
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IDAT", pixels) + END


END = chunk(b"IEND", b"")
# 1 MiB of zeros for each KiB.
BOMB = zlib.compress(bytes(64 * 1024 * 1024))


def test_handmade_png_is_accepted() -> None:
    assert inspect(png()) == ImageFacts("image/png", 64, 64)
    assert inspect(png(chunk(b"tEXt", b"k\0v"), chunk(b"gAMA", b"\0\0\xb1\x8f"))).width_px == 64
    interlaced = io.BytesIO(png(header=(64).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 1]), pixels=zlib.compress(b"")))
    with pytest.raises(NotAnImage, match="cut short"):
        inspect(interlaced.getvalue())


@pytest.mark.parametrize(("width", "height", "bits", "color"), [(65, 67, 1, 0), (64, 64, 16, 6), (71, 64, 4, 3)])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_png_inflated_size_follows_from_its_header(
    width: int, height: int, bits: int, color: int, interlaced: int
) -> None:
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([bits, color, 0, 0, interlaced])
    size = images._png_bytes(width, height, header)
    palette = chunk(b"PLTE", bytes(3 * 2 ** min(bits, 8))) if color == 3 else b""
    assert inspect(png(palette, header=header, pixels=zlib.compress(bytes(size)))).height_px == height
    for wrong in (size - 1, size + 1):
        with pytest.raises(NotAnImage, match="damaged"):
            inspect(png(palette, header=header, pixels=zlib.compress(bytes(wrong))))


@pytest.mark.parametrize(("name", "before"), [(b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0"), (b"iCCP", b"p\0\0")])
def test_compressed_metadata_is_never_inflated(name: bytes, before: bytes) -> None:
    """By a decoder that is given the file as it is, all of it would be."""
    assert peak_mib(png(chunk(name, before + BOMB))) < 32
    with pytest.raises(NotAnImage, match="compressed metadata"):
        inspect(png(chunk(name, before + os.urandom(images.MOST_COMPRESSED_METADATA_BYTES))))


def peak_mib(data: bytes) -> float:
    """How much more memory a process takes that reads the image than one that reads a small one."""
    code = "import sys, resource; from shared.media import images; images.inspect(sys.stdin.buffer.read());"
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    peaks = [
        float(subprocess.run([sys.executable, "-c", code], input=each, stdout=subprocess.PIPE, check=True).stdout)
        for each in (png(), data)
    ]
    return peaks[1] - peaks[0]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (png(pixels=BOMB), "more data than its size"),
        (png(pixels=zlib.compress(bytes(64 * 65))[:-4] + b"\0\0\0\1"), "decompressed"),
        (png()[:-12], "cut short"),
        (png()[:-5], "cut short"),
        (png()[:50] + b"\1" + png()[51:], "checksum"),
        (png(*[chunk(b"tEXt", b"")] * images.MOST_PARTS), "4,096 parts"),
        (png(chunk(b"acTL", bytes(8))), "animated"),
        (png(chunk(b"XXXX", b"")), "unknown critical chunk"),
        (png(chunk(b"IHDR", bytes(13))), "header"),
        (png(header=bytes(13)), "header|pixels"),
        (png(header=(9_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])), "9000 pixels wide"),
    ],
)
def test_damaged_or_malicious_png_is_rejected(data: bytes, why: str) -> None:
    with pytest.raises(NotAnImage, match=why):
        inspect(data)


def test_wrong_checksum_anywhere_is_rejected() -> None:
    whole = bytearray(png(chunk(b"tEXt", b"k\0v")))
    for at in range(8, len(whole)):
        spoiled = bytes(whole[:at]) + bytes([whole[at] ^ 0x55]) + bytes(whole[at + 1 :])
        with pytest.raises(NotAnImage):
            inspect(spoiled)


def test_jpeg_without_an_end_is_rejected() -> None:
    whole = picture("JPEG")
    assert whole.endswith(b"\xff\xd9")
    with pytest.raises(NotAnImage, match="cut short"):
        inspect(whole[:-2])


def scans(data: bytes, count: int) -> bytes:
    """A progressive JPEG whose last scan comes so many times."""
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + b"\xff\xd9"


def test_jpeg_with_too_many_scans_is_rejected_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    progressive = picture("JPEG", progressive=True)
    assert inspect(scans(progressive, 1)).width_px == 128
    monkeypatch.setattr(images, "_decoded", None)
    with pytest.raises(NotAnImage, match="64 scans"):
        inspect(scans(progressive, 6_000))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data[:2] + b"\xff\xfe\0\2" * images.MOST_PARTS + data[2:], "4,096 parts"),
        (lambda data: data.replace(b"\xff\xc0", b"\xff\xc3", 1), "baseline and progressive"),
        (lambda data: data[:2] + b"\xff\xd9", "no picture"),
        (lambda data: data[:2] + b"\xff\xe1\0\1" + data[2:], "no length"),
        (lambda data: data[: data.index(b"\xff\xc0")] * 1 + b"\xff\xd9", "no picture"),
    ],
)
def test_damaged_or_malicious_jpeg_is_rejected(change: Any, why: str) -> None:
    with pytest.raises(NotAnImage, match=why):
        inspect(change(picture("JPEG")))


def test_jpeg_thumbnail_is_not_taken_for_the_image() -> None:
    """Cameras keep a small JPEG, with a beginning and an end of its own, in the metadata."""
    preview = b"Exif\0\0" + picture("JPEG", (64, 64))
    data = picture("JPEG")
    with_preview = data[:2] + b"\xff\xe1" + (len(preview) + 2).to_bytes(2, "big") + preview + data[2:]
    assert inspect(with_preview).width_px == 128


@pytest.mark.parametrize("options", [{}, {"lossless": True}])
def test_webp_with_wrong_sizes_is_rejected(options: dict[str, Any]) -> None:
    whole = picture("WEBP", **options)
    with pytest.raises(NotAnImage, match="cut short"):
        inspect(whole[:-10])
    longer = whole[:4] + (len(whole) - 8 - 10).to_bytes(4, "little") + whole[8:]
    with pytest.raises(NotAnImage, match="cut short"):
        inspect(longer)


def test_webp_with_extra_parts_or_another_canvas_is_rejected() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (128, 96), (1, 2, 3, 128)).save(file, "WEBP")
    whole = file.getvalue()
    assert whole[12:16] == b"VP8X"

    def riff(content: bytes) -> bytes:
        return b"RIFF" + (len(content) + 4).to_bytes(4, "little") + b"WEBP" + content

    with pytest.raises(NotAnImage, match="4,096 parts"):
        inspect(riff(b"XXXX\0\0\0\0" * images.MOST_PARTS + whole[12:]))
    with pytest.raises(NotAnImage, match="size in its header"):
        inspect(whole[:24] + b"\xff\0\0" + whole[27:])
    assert inspect(riff(whole[12:] + b"EXIF\4\0\0\0abcd")).width_px == 128


@pytest.mark.parametrize("format", ["GIF", "AVIF", "BMP", "TIFF"])
def test_other_formats_are_rejected_by_their_first_bytes(format: str) -> None:  # noqa: A002
    with pytest.raises(NotAnImage, match="isn't a PNG, JPEG or WebP"):
        images.type_of(picture(format))


def test_limits_match_the_catalog() -> None:
    from shared.core.errors import CATALOG

    told = CATALOG["INVALID_IMAGE"].suggested_action
    assert f"{images.SMALLEST_SIDE_PX} to {images.LARGEST_SIDE_PX:,} pixels" in told
