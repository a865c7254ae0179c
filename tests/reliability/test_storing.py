"""From a provider to the bucket: streamed, checked, whole or not there at all."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import httpx2
import pytest

from shared.core import events
from shared.core.documents import Stage
from shared.gateways.cloud_storage import CloudStorage
from shared.jobs import storing
from shared.jobs.transitions import apply
from shared.platform.ports import new_id, utc_now
from shared.platform.provider import Providers
from shared.platform.settings import Settings
from shared.providers.omni import Omni
from testing.cloud import ROOT
from tests.contract.servers import BUCKET, storage_server
from tests.reliability.files_server import FilesServer, LargeFilm, serving
from tests.reliability.storing_process import HastyClock, about_to_store
from tests.unit.conftest import House

MIB = 1 << 20
# Several times what the process may grow by; a gigabyte in the long form.
LARGE_MIB, LARGE_MIB_OF_THE_LONG_FORM = 96, 1_024
MIDDLING_BYTES = 20 * MIB + 7
GROWTH_MIB = 32
PROCESS_TIMEOUT_S = 300


def writing(film: LargeFilm) -> Callable[[BinaryIO], None]:
    def produce(destination: BinaryIO) -> None:
        for piece in film.pieces():
            destination.write(piece)

    return produce


@pytest.fixture(scope="module")
def bucket_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with storage_server(tmp_path_factory.mktemp("storage")) as (url, _):
        yield url


@pytest.fixture
def files(small_video: bytes) -> Iterator[FilesServer]:
    with serving(LargeFilm(small_video, MIDDLING_BYTES)) as server:
        yield server


@pytest.fixture
async def stored_house(files: FilesServer, bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """The real bucket and the real client of the Gemini API; the rest in memory."""
    house = House(clock=HastyClock())
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket_url)
    settings = Settings(google_cloud_project="p", bucket=BUCKET, gemini_api_key="any", gemini_url=files.url)
    media = CloudStorage(settings, utc_now)
    omni = Omni(settings, media)
    house.services = replace(
        house.services,
        objects=media,
        providers=Providers({"gemini": omni}),
        # The bucket is not emptied between tests.
        ids=new_id,
    )
    yield house
    await omni.close()
    cast(Any, media._bucket.client).close()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured through Linux's /proc")
def test_storing_a_large_file_raises_memory_by_at_most_32_mib(small_video: bytes, bucket_url: str, long: bool) -> None:
    large_bytes = (LARGE_MIB_OF_THE_LONG_FORM if long else LARGE_MIB) * MIB
    with serving(LargeFilm(small_video, large_bytes)) as server:
        server.cuts = 1
        command = [sys.executable, "-m", "tests.reliability.storing_process"]
        command += ["--bucket", BUCKET, "--files-url", server.url, "--uri", server.uri]
        process = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "STORAGE_EMULATOR_HOST": bucket_url},
            capture_output=True,
            timeout=PROCESS_TIMEOUT_S,
        )
    assert process.returncode == 0, process.stderr.decode()[-2_000:]
    told: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    # It was cut once, and begun again from the first byte.
    assert server.downloads == 2
    assert told["stage"] == "completed"
    assert (told["size_bytes"], told["crc32c"]) == (large_bytes, server.film.crc32c)
    assert [entry[1:] for entry in told["objects"]] == [[large_bytes, server.film.crc32c]]
    assert told["growth_mib"] <= GROWTH_MIB


async def test_repeatedly_cut_file_leaves_no_partial_object_and_is_stored_later(
    stored_house: House, files: FilesServer
) -> None:
    house = stored_house
    files.cuts = len(storing.QUICK_TRIES_AFTER_S) + 1
    job = await about_to_store(house, files.uri)
    await storing.store(house.services, job, "me")
    waiting = await house.job(job.id)
    assert (waiting.stage, waiting.storing_tries) == (Stage.STORING, 1)
    assert files.downloads == files.cuts
    assert await house.services.objects.list(job.files_prefix) == []
    ended = await house.run(job, lambda found: found.final)
    assert ended.stage is Stage.COMPLETED
    assert (ended.outputs[0].size_bytes, ended.outputs[0].crc32c) == (MIDDLING_BYTES, files.film.crc32c)


async def test_video_stored_by_a_crashed_delivery_is_reused(stored_house: House, files: FilesServer) -> None:
    house = stored_house
    job = await about_to_store(house, files.uri)
    await house.services.objects.write(f"{job.prefix}0.mp4", writing(files.film), "video/mp4")
    await storing.store(house.services, job, "me")
    ended = await house.job(job.id)
    assert ended.stage is Stage.COMPLETED
    assert ended.outputs[0].crc32c == files.film.crc32c
    assert files.downloads == 0


async def test_temporary_bucket_403_costs_time_but_no_video(
    stored_house: House, files: FilesServer, bucket_url: str
) -> None:
    """What the real client makes of a real 403, at each call of a storing; permissions take minutes to arrive."""
    house = stored_house
    job = await about_to_store(house, files.uri)
    refuse(bucket_url, seconds=3_600)
    await storing.store(house.services, job, "me")
    waiting = await house.job(job.id)
    assert (waiting.stage, waiting.storing_tries) == (Stage.STORING, 1)
    refuse(bucket_url, seconds=0)
    ended = await house.run(job, lambda found: found.final)
    assert ended.stage is Stage.COMPLETED
    assert ended.outputs[0].crc32c == files.film.crc32c


def refuse(bucket_url: str, seconds: float) -> None:
    answer = httpx2.post(f"{bucket_url}/_refusals", json={"status": 403, "seconds": seconds}, trust_env=False)
    answer.raise_for_status()


async def test_concurrent_storing_deliveries_make_one_object_and_one_end(
    stored_house: House, files: FilesServer
) -> None:
    """A holder that was thought dead still writes: the same bytes are no conflict."""
    house = stored_house
    job = await about_to_store(house, files.uri)
    house.clock.advance(1_000)
    second = (await apply(house.services, job.id, events.LeaseRequested(job.step, "other"))).job
    await asyncio.gather(storing.store(house.services, job, "me"), storing.store(house.services, second, "other"))
    ended = await house.job(job.id)
    assert ended.stage is Stage.COMPLETED
    assert [item.crc32c for item in await house.services.objects.list(job.files_prefix)] == [files.film.crc32c]
