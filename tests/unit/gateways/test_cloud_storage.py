"""Cloud Storage's answers that are no success, on the wire: what the client library makes of them, and we of that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pytest

from shared.core.errors import StorageRefused, Unavailable
from shared.gateways.cloud_storage import CloudStorage
from shared.platform.ports import utc_now
from shared.platform.settings import Settings
from tests.unit.wire import Answer, Recorder

QUOTA = {"error": {"code": 403, "message": "The bucket's quota is used up.", "errors": [{"reason": "quotaExceeded"}]}}


@pytest.fixture
def google() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture
def media(google: Recorder, monkeypatch: pytest.MonkeyPatch) -> CloudStorage:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", google.url)
    return CloudStorage(Settings(google_cloud_project="p", bucket="b"), utc_now)


def video(destination: BinaryIO) -> None:
    destination.write(b"a film")


async def test_refused_upload_is_not_retried(google: Recorder, media: CloudStorage) -> None:
    google.answers(Answer(403, QUOTA))
    with pytest.raises(StorageRefused):
        await media.write("v.mp4", video, "video/mp4")
    assert [request.method for request in google.requests].count("POST") == 1


async def test_refusal_during_the_upload_is_a_refusal(google: Recorder, media: CloudStorage) -> None:
    google.answers(Answer(200, {}, {"Location": f"{google.url}/upload/session"}), Answer(403, QUOTA))
    with pytest.raises(StorageRefused):
        await media.write("v.mp4", video, "video/mp4")


async def test_refused_read_is_a_refusal(google: Recorder, media: CloudStorage) -> None:
    google.answers(Answer(403, QUOTA))
    with pytest.raises(StorageRefused):
        await media.stat("v.mp4")


async def test_refusal_is_a_kind_of_unavailable(google: Recorder, media: CloudStorage) -> None:
    """Code unaware of refusals handles them as an outage: a request is 503, a delivery is repeated."""
    google.answers(Answer(403, QUOTA))
    with pytest.raises(Unavailable):
        await media.list("videos/")


async def test_bad_request_is_not_a_refusal(google: Recorder, media: CloudStorage) -> None:
    google.answers(Answer(200, {}, {"Location": f"{google.url}/upload/session"}), Answer(400, {}))
    with pytest.raises(Unavailable) as caught:
        await media.write("v.mp4", video, "video/mp4")
    assert not isinstance(caught.value, StorageRefused)
