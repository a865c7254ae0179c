"""What the code relies on of Cloud Storage, and finds in memory and in a directory too."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import google_crc32c
import pytest

from shared.platform.ports import ObjectExists, ObjectStore
from tests.contract.conftest import Bucket

# More than one chunk of an upload, and not a whole number of them.
LONG = random.Random(1).randbytes(9 * 1024 * 1024 + 7)
NAME = "default/ann/video_a/1/0.mp4"


class CutError(Exception):
    pass


def writing(data: bytes, piece_bytes: int = 1 << 20) -> Callable[[BinaryIO], None]:
    def produce(destination: BinaryIO) -> None:
        for start in range(0, len(data), piece_bytes):
            assert destination.write(data[start : start + piece_bytes]) == len(data[start : start + piece_bytes])

    return produce


def cut_after(data: bytes) -> Callable[[BinaryIO], None]:
    def produce(destination: BinaryIO) -> None:
        writing(data)(destination)
        raise CutError

    return produce


def crc32c(data: bytes) -> str:
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


async def put(media: ObjectStore, data: bytes, name: str = NAME) -> None:
    await media.write(name, writing(data), "video/mp4")


async def read(media: ObjectStore, name: str = NAME) -> bytes:
    return await media.use(name, lambda reader: reader.read())


# --- writing ---


@pytest.mark.parametrize("data", [b"", b"x", b"some bytes" * 1_000, LONG], ids=len)
async def test_object_has_its_bytes_length_and_checksum(bucket: Bucket, data: bytes) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    written = await bucket.media.write(NAME, writing(data), "video/mp4")
    assert (written.name, written.size_bytes, written.crc32c) == (NAME, len(data), crc32c(data))
    assert written.content_type == "video/mp4"
    assert before < written.created_at < datetime.now(UTC) + timedelta(minutes=1)
    assert await bucket.media.stat(NAME) == written
    assert await read(bucket.media) == data


async def test_missing_object_has_no_stat(bucket: Bucket) -> None:
    assert await bucket.media.stat(NAME) is None


@pytest.mark.parametrize("data", [b"x" * 5_000, LONG], ids=len)
async def test_writing_the_same_bytes_again_succeeds(bucket: Bucket, data: bytes) -> None:
    first = await bucket.media.write(NAME, writing(data), "video/mp4")
    assert await bucket.media.write(NAME, writing(data), "video/mp4") == first


@pytest.mark.parametrize("data", [b"other", b"", LONG], ids=len)
async def test_object_is_never_replaced(bucket: Bucket, data: bytes) -> None:
    await put(bucket.media, b"first")
    with pytest.raises(ObjectExists):
        await put(bucket.media, data)
    assert await read(bucket.media) == b"first"


@pytest.mark.parametrize("data", [b"", b"x" * 5_000, LONG], ids=len)
async def test_cut_upload_leaves_nothing_and_can_be_repeated(bucket: Bucket, data: bytes) -> None:
    with pytest.raises(CutError):
        await bucket.media.write(NAME, cut_after(data), "video/mp4")
    assert await bucket.media.stat(NAME) is None
    assert await bucket.media.list("") == []
    await put(bucket.media, b"whole")
    assert await read(bucket.media) == b"whole"


async def test_cut_upload_over_an_object_leaves_the_object(bucket: Bucket) -> None:
    await put(bucket.media, b"first")
    with pytest.raises(CutError):
        await bucket.media.write(NAME, cut_after(b"second"), "video/mp4")
    assert await read(bucket.media) == b"first"


@pytest.mark.parametrize("data", [b"second", LONG], ids=len)
async def test_refused_bytes_are_not_written_later(bucket: Bucket, data: bytes) -> None:
    await put(bucket.media, b"first")
    with pytest.raises(ObjectExists) as refusal:
        await put(bucket.media, data)
    await bucket.media.delete(NAME)
    # With the exception's frames goes the writer: one that was left open would finish its upload now.
    del refusal
    gc.collect()
    assert await bucket.media.stat(NAME) is None


async def test_one_of_two_different_writers_wins(bucket: Bucket) -> None:
    tries = [bucket.media.write(NAME, writing(data), "video/mp4") for data in (b"one", b"two")]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, ObjectExists) for result in results) == 1
    assert await read(bucket.media) in (b"one", b"two")


# --- listing and deleting ---


async def test_listing_is_by_prefix_and_sorted(bucket: Bucket) -> None:
    names = ["a/1/z", "a/1/b", "a/10/c", "a/1", "b/1/x", "a/1/é", "a/1/Z"]
    for name in names:
        await put(bucket.media, name.encode(), name)
    assert [item.name for item in await bucket.media.list("a/1/")] == ["a/1/Z", "a/1/b", "a/1/z", "a/1/é"]
    assert [item.name for item in await bucket.media.list("")] == sorted(names, key=str.encode)
    assert await bucket.media.list("c/") == []
    assert (await bucket.media.list("b/"))[0] == await bucket.media.stat("b/1/x")


async def test_listing_is_paged_up_to_a_name(bucket: Bucket) -> None:
    for name in ("in/1/a", "in/1/b", "in/2/c", "in/3/d", "in/4/e", "other/x"):
        await put(bucket.media, b"x", name)
    after, seen = "in/", []
    while page := await bucket.media.page("in/", after, "in/4/", 2):
        assert len(page) <= 2
        seen += [item.name for item in page]
        after = seen[-1]
    assert seen == ["in/1/a", "in/1/b", "in/2/c", "in/3/d"]


async def test_delete_removes_exactly_the_prefix(bucket: Bucket) -> None:
    for name in ("a/1/x", "a/1/y", "a/10/z"):
        await put(bucket.media, b"x", name)
    assert await bucket.media.delete("a/1/") == 2
    assert [item.name for item in await bucket.media.list("")] == ["a/10/z"]
    assert await bucket.media.delete("a/1/") == 0


async def test_deleted_name_can_be_written_again(bucket: Bucket) -> None:
    await put(bucket.media, b"first")
    await bucket.media.delete(NAME)
    await put(bucket.media, b"second")
    assert await read(bucket.media) == b"second"


# --- reading ---


async def test_reader_can_seek(bucket: Bucket) -> None:
    await put(bucket.media, LONG)

    def play(reader: BinaryIO) -> list[bytes]:
        assert reader.seekable()
        end = reader.seek(-10, io.SEEK_END)
        assert end == reader.tell() == len(LONG) - 10
        last = reader.read()
        reader.seek(1_000_000)
        middle = reader.read(300_000)
        assert reader.tell() == 1_300_000
        reader.seek(0)
        return [last, middle, reader.read(4)]

    assert await bucket.media.use(NAME, play) == [LONG[-10:], LONG[1_000_000:1_300_000], LONG[:4]]


async def test_callers_exception_passes_through_the_reader(bucket: Bucket) -> None:
    await put(bucket.media, b"x")

    def fail(reader: BinaryIO) -> None:
        raise CutError

    with pytest.raises(CutError):
        await bucket.media.use(NAME, fail)


async def test_missing_object_cannot_be_read(bucket: Bucket) -> None:
    with pytest.raises(FileNotFoundError):
        await read(bucket.media)


@pytest.mark.parametrize(("start", "end"), [(0, 0), (0, len(LONG) - 1), (5, 3 << 20), (len(LONG) - 1, len(LONG) - 1)])
async def test_stream_has_the_inclusive_range_in_bounded_chunks(bucket: Bucket, start: int, end: int) -> None:
    await put(bucket.media, LONG)
    pieces = [piece async for piece in bucket.media.stream(NAME, start, end)]
    assert b"".join(pieces) == LONG[start : end + 1]
    assert all(0 < len(piece) <= 1 << 20 for piece in pieces)


async def test_missing_object_cannot_be_streamed(bucket: Bucket) -> None:
    with pytest.raises(FileNotFoundError):
        async for _ in bucket.media.stream(NAME, 0, 0):
            pass


# --- signed URLs ---


async def test_signed_url_serves_the_object_to_anybody(bucket: Bucket) -> None:
    await put(bucket.media, b"0123456789")
    signed = await bucket.media.sign(NAME, "my film.mp4")
    answer = await bucket.browser.get(signed.url)
    assert answer.status_code == 200
    assert answer.content == b"0123456789"
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-disposition"] == 'inline; filename="my film.mp4"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"] == "private, max-age=3600"
    assert answer.headers["etag"].startswith('"')


async def test_signed_url_serves_ranges(bucket: Bucket) -> None:
    await put(bucket.media, b"0123456789")
    url = (await bucket.media.sign(NAME, "film.mp4")).url
    for asked, part, told in (
        ("2-4", b"234", "2-4"),
        ("7-", b"789", "7-9"),
        ("-2", b"89", "8-9"),
        ("5-99", b"56789", "5-9"),
    ):
        answer = await bucket.browser.get(url, headers={"Range": f"bytes={asked}"})
        assert (answer.status_code, answer.content) == (206, part)
        assert answer.headers["content-range"] == f"bytes {told}/10"
    beyond = await bucket.browser.get(url, headers={"Range": "bytes=10-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == "bytes */10"


async def test_signed_url_answers_304_to_its_etag(bucket: Bucket) -> None:
    await put(bucket.media, b"0123456789")
    url = (await bucket.media.sign(NAME, "film.mp4")).url
    etag = (await bucket.browser.get(url)).headers["etag"]
    assert (await bucket.browser.get(url, headers={"If-None-Match": etag})).status_code == 304
    mine = await bucket.browser.get(url, headers={"Range": "bytes=1-2", "If-Range": etag})
    another = await bucket.browser.get(url, headers={"Range": "bytes=1-2", "If-Range": '"another"'})
    assert (mine.status_code, another.status_code) == (206, 200)


async def test_any_origin_may_read_a_signed_url(bucket: Bucket) -> None:
    await put(bucket.media, b"0123456789")
    url = (await bucket.media.sign(NAME, "film.mp4")).url
    origin = {"Origin": "https://page.example"}
    answer = await bucket.browser.get(url, headers=origin)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert {"Content-Range", "Accept-Ranges", "ETag"} <= set(
        answer.headers["access-control-expose-headers"].replace(" ", "").split(",")
    )
    preflight = await bucket.browser.options(
        url, headers={**origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
    )
    assert preflight.status_code == 200
    assert "GET" in preflight.headers["access-control-allow-methods"]


async def test_signed_url_of_a_missing_object_is_404(bucket: Bucket) -> None:
    await put(bucket.media, b"x")
    signed = await bucket.media.sign(NAME, "film.mp4")
    await bucket.media.delete(NAME)
    assert (await bucket.browser.get(signed.url)).status_code == 404


async def test_changed_or_unsigned_url_is_rejected(bucket: Bucket) -> None:
    await put(bucket.media, b"mine")
    await put(bucket.media, b"yours", NAME.replace("ann", "bob"))
    url = (await bucket.media.sign(NAME, "film.mp4")).url
    for forged in (url.replace("/ann/", "/bob/"), url[:-1] + ("0" if url[-1] != "0" else "1"), url.partition("?")[0]):
        answer = await bucket.browser.get(forged)
        assert answer.status_code == 403
        assert b"yours" not in answer.content


async def test_signed_url_is_read_only(bucket: Bucket) -> None:
    await put(bucket.media, b"x")
    url = (await bucket.media.sign(NAME, "film.mp4")).url
    for method in ("PUT", "DELETE", "POST"):
        assert (await bucket.browser.request(method, url)).status_code in (403, 405)
    assert await read(bucket.media) == b"x"


async def test_url_is_reused_while_5_of_its_15_minutes_remain(bucket: Bucket) -> None:
    await put(bucket.media, b"x")
    first = await bucket.media.sign(NAME, "film.mp4")
    assert first.expires_at - bucket.clock() <= timedelta(minutes=15)
    bucket.clock.ahead = timedelta(minutes=9)
    assert await bucket.media.sign(NAME, "film.mp4") == first
    assert await bucket.media.sign(NAME, "another.mp4") != first
    bucket.clock.ahead = timedelta(minutes=11)
    second = await bucket.media.sign(NAME, "film.mp4")
    assert second.expires_at > first.expires_at


async def test_every_name_can_be_signed(bucket: Bucket) -> None:
    name = "default/ünïcode & space+plus/%41/video_a?x=1#y.mp4"
    await put(bucket.media, b"odd", name)
    signed = await bucket.media.sign(name, "film.mp4")
    assert (await bucket.browser.get(signed.url)).content == b"odd"


async def test_bucket_has_a_name(bucket: Bucket) -> None:
    assert bucket.media.bucket == "contract"


async def test_object_metadata_describes_it_in_the_bucket(bucket: Bucket) -> None:
    await bucket.media.write(NAME, writing(b"film"), "video/mp4")
    before = await bucket.media.stat(NAME)
    said = {"job": "video_1", "prompt": "Ein schöner Gärtner 日本"}
    for _ in range(2):
        await bucket.media.describe(NAME, 'inline; filename="film.mp4"', said)
    # What it is and since when it is there stays: the age of a file is a figure that operators watch.
    assert await bucket.media.stat(NAME) == before
    with pytest.raises(FileNotFoundError):
        await bucket.media.describe("nothing.mp4", "inline", {})
    # A signed URL's own disposition goes before the object's, and text of any script hinders no answer.
    answer = await bucket.browser.get((await bucket.media.sign(NAME, "own.mp4", True)).url)
    assert answer.headers["content-disposition"] == 'attachment; filename="own.mp4"'
    headers = {name.lower(): value for name, value in answer.headers.raw}
    assert (headers[b"x-goog-meta-job"], headers[b"x-goog-meta-prompt"]) == (b"video_1", said["prompt"].encode())
