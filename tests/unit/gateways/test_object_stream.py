"""An object's bytes on their way to a viewer: a broken read resumes where it stopped, and repeats no byte."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest

from shared.core.errors import StorageRefused, Unavailable
from shared.gateways import object_stream
from shared.gateways.cloud_storage import CloudStorage
from shared.platform.ports import utc_now
from shared.platform.settings import Settings
from tests.unit.wire import Answer, Cut, Recorder

NAME = "default/ann/video_1/1/0.mp4"
FILM = bytes(range(256)) * 8


@pytest.fixture
def google() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture
async def media(google: Recorder, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CloudStorage]:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", google.url)
    monkeypatch.setattr(object_stream, "TRIES_AFTER_S", (0.0, 0.0))
    storage = CloudStorage(Settings(google_cloud_project="p", bucket="b"), utc_now)
    yield storage
    cast(Any, storage._bucket.client).close()


async def streamed(media: CloudStorage, start: int = 0, end: int = len(FILM) - 1) -> bytes:
    return b"".join([piece async for piece in media.stream(NAME, start, end)])


def part(start: int, end: int, missing_bytes: int = 0) -> Answer:
    return Answer(206, FILM[start : end + 1], missing_bytes=missing_bytes)


async def test_one_request_returns_all_bytes(google: Recorder, media: CloudStorage) -> None:
    google.answers(part(5, 1_999))
    assert await streamed(media, 5, 1_999) == FILM[5:2_000]
    (request,) = google.requests
    assert request.path == "/download/storage/v1/b/b/o/default%2Fann%2Fvideo_1%2F1%2F0.mp4?alt=media"
    assert request.headers["range"] == "bytes=5-1999"


async def test_chunks_are_bounded(google: Recorder, media: CloudStorage) -> None:
    film = bytes(3 * object_stream.PIECE_BYTES + 1)
    google.answers(Answer(206, film))
    pieces = [len(piece) async for piece in media.stream(NAME, 0, len(film) - 1)]
    assert sum(pieces) == len(film)
    assert max(pieces) <= object_stream.PIECE_BYTES


async def test_broken_read_resumes_where_it_stopped(google: Recorder, media: CloudStorage) -> None:
    google.answers(Answer(206, FILM[:700], missing_bytes=1_348), part(700, 2_047))
    assert await streamed(media) == FILM
    assert [request.headers["range"] for request in google.requests] == ["bytes=0-2047", "bytes=700-2047"]


@pytest.mark.parametrize("failure", [Cut(), Answer(503), Answer(429), Answer(408), Answer(206, b"")])
async def test_temporary_error_is_retried(google: Recorder, media: CloudStorage, failure: Answer | Cut) -> None:
    google.answers(failure, failure, part(0, 2_047))
    assert await streamed(media) == FILM


async def test_persistent_error_is_unavailable_after_retries(google: Recorder, media: CloudStorage) -> None:
    google.answers(Answer(500))
    with pytest.raises(Unavailable):
        await streamed(media)
    assert len(google.requests) == 3


async def test_bucket_that_always_hangs_up_is_unavailable(google: Recorder, media: CloudStorage) -> None:
    google.answers(Cut())
    with pytest.raises(Unavailable):
        await streamed(media)


async def test_refusal_is_not_retried(google: Recorder, media: CloudStorage) -> None:
    google.answers(Answer(403))
    with pytest.raises(StorageRefused):
        await streamed(media)
    assert len(google.requests) == 1


async def test_response_without_the_range_is_rejected(google: Recorder, media: CloudStorage) -> None:
    google.answers(Answer(200, FILM))
    with pytest.raises(Unavailable):
        await streamed(media)


async def test_missing_object_is_not_found(google: Recorder, media: CloudStorage) -> None:
    google.answers(Answer(404))
    with pytest.raises(FileNotFoundError):
        await streamed(media)
