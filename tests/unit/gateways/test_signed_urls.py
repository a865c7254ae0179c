"""A signed URL that is handed out can be used for some minutes yet, however long it has been in the cache."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from local.identity.keys import ensure_key
from shared.gateways import cloud_storage
from shared.gateways.cloud_storage import REUSED_WHILE, SIGNED_FOR, CloudStorage
from shared.platform.ports import utc_now
from shared.platform.settings import Settings
from tests.unit.conftest import Clock

FILM, OTHER = "default/ann/video_1/1/0.mp4", "default/ann/video_2/1/0.mp4"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    # No signature is requested: the address is only part of the URL.
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    key = tmp_path / "signer.pem"
    ensure_key(key)
    return Settings(google_cloud_project="p", bucket="b", signer_email="s@p.example", signer_key_file=str(key))


async def test_no_url_is_ever_handed_out_with_less_than_5_minutes_left(settings: Settings) -> None:
    clock = Clock()
    storage, rng, over = CloudStorage(settings, clock), random.Random(7), clock() + timedelta(days=1)
    urls = set()
    while clock() < over:
        signed = await storage.sign(FILM, "film.mp4")
        assert REUSED_WHILE <= signed.expires_at - clock() <= SIGNED_FOR
        urls.add(signed.expires_at)
        clock.advance(rng.uniform(0, 400))
    # Each was used for as long as it could be.
    assert len(urls) <= timedelta(days=1) / (SIGNED_FOR - REUSED_WHILE) + 1


async def test_url_is_reused_until_5_minutes_are_left(settings: Settings) -> None:
    clock = Clock()
    storage = CloudStorage(settings, clock)
    first = await storage.sign(FILM, "film.mp4")
    clock.now = first.expires_at - REUSED_WHILE - timedelta(microseconds=1)
    assert await storage.sign(FILM, "film.mp4") is first
    clock.now += timedelta(microseconds=1)
    assert (await storage.sign(FILM, "film.mp4")).expires_at == clock() + SIGNED_FOR


async def test_url_is_valid_at_least_as_long_as_stated(settings: Settings) -> None:
    signed = await CloudStorage(settings, utc_now).sign(FILM, "film.mp4")
    query = parse_qs(urlsplit(signed.url).query)
    signed_at = datetime.strptime(query["X-Goog-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    # The date of a signature has whole seconds.
    good_until = signed_at + timedelta(seconds=int(query["X-Goog-Expires"][0]))
    assert good_until > signed.expires_at - timedelta(seconds=1)


async def test_full_cache_is_bounded_and_keeps_working(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_storage, "CACHED_URLS", 1)
    storage = CloudStorage(settings, Clock())
    first = await storage.sign(FILM, "film.mp4")
    await storage.sign(OTHER, "film.mp4")
    assert await storage.sign(FILM, "film.mp4") is not first
