"""Checks an image file: detects its type from the first bytes, then reads the whole file.

Its structure is read first, which is cheap. A file that is too large, has too many parts, is truncated or has a wrong
checksum is rejected; only the picture itself is decompressed, up to the size that its header states. Then PyAV decodes
it without its metadata. That runs in a separate process (shared/media/image_worker.py), because a malicious file would
attack the decoder. PyAV is imported only then.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.core.image_facts import ImageFacts, NotAnImage

if TYPE_CHECKING:
    from shared.core.documents import ImageType

SMALLEST_SIDE_PX: Final = 64
LARGEST_SIDE_PX: Final = 8_192
# Decoding takes up to 16 bytes per pixel (progressive JPEG in four colors); see the worker's memory limit.
MOST_PIXELS: Final = 36_000_000
# Encoders write chunks of at least 8 KiB, so 1,000 in the largest file; smaller ones only cost time.
MOST_PARTS: Final = 4_096
# Encoders write about 10 scans; each one processes the whole picture again.
MOST_SCANS: Final = 64
# Texts and color profiles, compressed size. We don't decompress them, but a model that gets the image may.
MOST_COMPRESSED_METADATA_BYTES: Final = 256 * 1024
_INFLATED_AT_ONCE: Final = 1024 * 1024

_DECODERS: Mapping[str, str] = {"image/png": "png", "image/jpeg": "mjpeg", "image/webp": "webp"}


@dataclass(frozen=True)
class _Structure:
    """The size in the headers, in pixels, and the file without the parts that a decoder doesn't need."""

    width: int
    height: int
    bare: bytes


def inspect(data: bytes) -> ImageFacts:
    """Check and decode the file; blocking. Raises NotAnImage if its type isn't supported, it's damaged or too large."""
    content_type = type_of(data)
    structure = _STRUCTURES[content_type](data)
    decoded = _decoded(structure.bare, content_type)
    if decoded != (structure.width, structure.height):
        raise NotAnImage("its picture doesn't have the size in its header")
    return ImageFacts(content_type, *decoded)


def type_of(data: bytes) -> ImageType:
    """Detect the type from the first bytes. Raises NotAnImage."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise NotAnImage("it isn't a PNG, JPEG or WebP")


def _check_size(width: int, height: int) -> None:
    for name, side in (("wide", width), ("high", height)):
        if not SMALLEST_SIDE_PX <= side <= LARGEST_SIDE_PX:
            raise NotAnImage(f"it is {side} pixels {name}; {SMALLEST_SIDE_PX} to {LARGEST_SIDE_PX} are allowed")
    if width * height > MOST_PIXELS:
        raise NotAnImage(f"it has more than {MOST_PIXELS:,} pixels")


def _damaged(what: str) -> NotAnImage:
    return NotAnImage(f"it is damaged: {what}")


def _cut_short() -> NotAnImage:
    return _damaged("it is cut short")


# --- PNG: a signature, then chunks of length, name, data and checksum ---

_CHANNELS: Mapping[int, int] = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS: Mapping[int, tuple[int, ...]] = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# The seven passes of an interlaced picture: first column, first row, column step, row step.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_COMPRESSED = frozenset({b"zTXt", b"iTXt", b"iCCP"})
_DECODED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def _png(data: bytes) -> _Structure:
    kept, pixels, compressed = [data[:8]], [], 0
    header = b""
    for name, start, end in _png_chunks(data):
        body = memoryview(data)[start + 8 : end - 4]
        if name == b"IHDR":
            header = bytes(body)
            _check_png_header(header)
        if name == b"acTL":
            raise NotAnImage("it is animated")
        compressed += len(body) if name in _COMPRESSED else 0
        if compressed > MOST_COMPRESSED_METADATA_BYTES:
            raise NotAnImage(f"it has more than {MOST_COMPRESSED_METADATA_BYTES:,} bytes of compressed metadata")
        if name in _DECODED:
            kept.append(data[start:end])
        elif not name[0] & 0x20:
            raise _damaged("it has an unknown critical chunk")
        if name == b"IDAT":
            pixels.append(body)
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    _check_inflated(pixels, _png_bytes(width, height, header))
    return _Structure(width, height, b"".join(kept))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, start and end of each chunk."""
    start, name = 8, b""
    for number in range(MOST_PARTS):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if start + 12 > len(data) or end > len(data):
            raise _cut_short()
        name = data[start + 4 : start + 8]
        if (number == 0) != (name == b"IHDR"):
            raise _damaged("its header is in the wrong place")
        if zlib.crc32(memoryview(data)[start + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise _damaged("a checksum is wrong")
        yield name, start, end
        if name == b"IEND":
            return
        start = end
    raise NotAnImage(f"it has more than {MOST_PARTS:,} parts")


def _check_png_header(header: bytes) -> None:
    if len(header) != 13 or header[9] not in _CHANNELS or header[8] not in _DEPTHS[header[9]] or header[12] > 1:
        raise _damaged("its header is invalid")
    _check_size(int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big"))


def _png_bytes(width: int, height: int, header: bytes) -> int:
    """Size of the decompressed picture in bytes; each row starts with a byte for its filter."""
    bits = header[8] * _CHANNELS[header[9]]

    def size(columns: int, rows: int) -> int:
        return rows * (1 + -(-columns * bits // 8)) if columns > 0 else 0

    if header[12] == 0:
        return size(width, height)
    return sum(size(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in _PASSES)


def _check_inflated(parts: list[memoryview], expected: int) -> None:
    """Check that the picture decompresses to exactly `expected` bytes; holds at most 1 MiB of it at a time."""
    inflating, inflated = zlib.decompressobj(), 0
    try:
        for part in parts:
            left: bytes | memoryview = part
            while True:
                piece = len(inflating.decompress(left, _INFLATED_AT_ONCE))
                inflated, left = inflated + piece, inflating.unconsumed_tail
                if inflated > expected:
                    raise _damaged("it has more data than its size allows")
                if not piece and not left:
                    break
    except zlib.error as error:
        raise _damaged("it can't be decompressed") from error
    if inflated < expected or not inflating.eof:
        raise _cut_short()


# --- JPEG: markers, most with a segment; the picture data follow the scan markers ---

# Within a scan, 0xFF 0 is an escaped 0xFF, and 0xFF D0 to D7 are restart markers.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_SCAN, _END = 0xDA, 0xD9
# Two of the application segments define the color space.
_UNNEEDED = frozenset({*range(0xE0, 0xF0), 0xFE}) - {0xE0, 0xEE}


def _jpeg(data: bytes) -> _Structure:
    size: tuple[int, int] | None = None
    kept, scans = [data[:2]], 0
    for marker, start, end, following in _jpeg_segments(data):
        if marker in _OTHER_FRAMES:
            raise NotAnImage("only baseline and progressive JPEGs are supported")
        if marker in _FRAMES:
            if size is not None or end - start < 9:
                raise _damaged("its header is invalid")
            height, width = (int.from_bytes(data[at : at + 2], "big") for at in (start + 5, start + 7))
            size = width, height
            _check_size(*size)
        scans += marker == _SCAN
        if scans > MOST_SCANS:
            raise NotAnImage(f"it has more than {MOST_SCANS} scans")
        if marker not in _UNNEEDED:
            kept.append(data[start:following])
    if size is None or scans == 0:
        raise NotAnImage("it contains no picture")
    return _Structure(*size, b"".join(kept))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield each marker up to the end of the picture: its start, its segment's end, and the next marker's start."""
    found = _MARKER.search(data, 2)
    for _ in range(MOST_PARTS):
        if found is None:
            raise _cut_short()
        start, marker = found.start(), data[found.start() + 1]
        if marker == _END:
            yield marker, start, start + 2, start + 2
            return
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if end < start + 4:
            raise _damaged("a part of it has no length")
        found = _MARKER.search(data, end)
        yield marker, start, end, found.start() if found is not None else len(data)
    raise NotAnImage(f"it has more than {MOST_PARTS:,} parts")


# --- WebP: a RIFF file of chunks of name, length and data ---


def _webp(data: bytes) -> _Structure:
    canvas: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    kept = [b"WEBP"]
    for name, body in _webp_chunks(data):
        if name in (b"ANIM", b"ANMF"):
            raise NotAnImage("it is animated")
        if name == b"VP8X":
            canvas = _webp_canvas(body)
            # Clear all feature flags except transparency.
            body = bytes([body[0] & 0x10]) + body[1:]
        if name in (b"VP8 ", b"VP8L"):
            if size is not None:
                raise _damaged("it has two pictures")
            size = _webp_size(name, body)
            _check_size(*size)
        if name in (b"VP8X", b"ALPH", b"VP8 ", b"VP8L"):
            kept.append(name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2))
    if size is None:
        raise NotAnImage("it contains no picture")
    if canvas is not None and canvas != size:
        raise _damaged("its picture doesn't have the size in its header")
    content = b"".join(kept)
    return _Structure(*size, b"RIFF" + len(content).to_bytes(4, "little") + content)


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    last = 8 + int.from_bytes(data[4:8], "little")
    if last > len(data):
        raise _cut_short()
    start = 12
    for _ in range(MOST_PARTS):
        if start >= last:
            return
        end = start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")
        if start + 8 > last or end > last:
            raise _cut_short()
        yield data[start : start + 4], data[start + 8 : end]
        start = end + (end - start) % 2
    raise NotAnImage(f"it has more than {MOST_PARTS:,} parts")


def _webp_canvas(body: bytes) -> tuple[int, int]:
    if len(body) < 10:
        raise _damaged("its header is invalid")
    return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")


def _webp_size(name: bytes, body: bytes) -> tuple[int, int]:
    if name == b"VP8L":
        if len(body) < 5 or body[0] != 0x2F:
            raise _damaged("its header is invalid")
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if len(body) < 10 or body[3:6] != b"\x9d\x01\x2a":
        raise _damaged("its header is invalid")
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


_STRUCTURES = {"image/png": _png, "image/jpeg": _jpeg, "image/webp": _webp}


def _decoded(bare: bytes, content_type: ImageType) -> tuple[int, int]:
    import av
    from av.video.codeccontext import VideoCodecContext

    decoder = av.CodecContext.create(_DECODERS[content_type], "r")
    assert isinstance(decoder, VideoCodecContext)
    # Fail on damage, and don't allocate memory for more than the maximum size.
    decoder.options = {"err_detect": "explode", "max_pixels": str(MOST_PIXELS)}
    decoder.thread_count = 1
    try:
        frames = [*decoder.decode(av.Packet(bare)), *decoder.decode(None)]
    except MemoryError as error:
        raise NotAnImage("it needs too much memory to decode") from error
    except (av.FFmpegError, EOFError) as error:
        raise _damaged("it can't be decoded") from error
    if len(frames) != 1:
        raise NotAnImage("it contains no picture")
    return frames[0].width, frames[0].height
