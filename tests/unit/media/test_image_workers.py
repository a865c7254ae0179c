"""Images in separate processes: bounded in time and memory, and users don't wait for each other."""

from __future__ import annotations

import asyncio
import io
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from shared.core.errors import Unavailable
from shared.core.image_facts import ImageFacts, NotAnImage
from shared.media import image_worker, image_workers
from shared.media.image_workers import ImageWorkers

# A worker that does with its input what the first byte after the PNG's signature says.
SIGNATURE = b"\x89PNG\r\n\x1a\n"
ODD_WORKER = """
import json, os, sys, time
from shared.media import image_worker
image_worker._limit()
match sys.stdin.buffer.read()[8:9]:
    case b"h": time.sleep(3600)
    case b"s":
        while True: pass
    case b"m":
        try: bytes(10**10)
        except MemoryError: print(json.dumps({"error": "memory"})); sys.exit()
    case b"a": os.abort()
    case b"x": sys.exit("no such module")
    case b"e": print(json.dumps({"type": "image/png", "width": len(os.environ), "height": "BUCKET" in os.environ}))
    case _: print(json.dumps({"type": "image/png", "width": 64, "height": 64}))
"""


def picture() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((128, 96), 64).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def odd() -> ImageWorkers:
    return ImageWorkers((sys.executable, "-c", ODD_WORKER))


async def test_worker_reads_an_image() -> None:
    workers = ImageWorkers()
    assert await workers.inspect("alice", picture()) == ImageFacts("image/png", 128, 96)
    with pytest.raises(NotAnImage, match="cut short"):
        await workers.inspect("alice", picture()[:-4])
    with pytest.raises(NotAnImage, match="isn't a PNG"):
        await workers.inspect("alice", b"GIF89a")


async def test_slow_worker_is_killed(odd: ImageWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_workers, "LONGEST_S", 0.5)
    with pytest.raises(NotAnImage, match="too much time"):
        await odd.inspect("alice", SIGNATURE + b"h")


@pytest.mark.parametrize("what", [b"a", b"s"])
async def test_worker_killed_by_the_system_says_nothing_about_the_image(what: bytes) -> None:
    """By its own fault, or for the processor's time that it took."""
    limited = ODD_WORKER.replace("image_worker._limit()", "image_worker.MOST_CPU_S = 1; image_worker._limit()")
    with pytest.raises(NotAnImage, match="too much"):
        await ImageWorkers((sys.executable, "-c", limited)).inspect("alice", SIGNATURE + what)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")
async def test_worker_memory_is_limited(odd: ImageWorkers) -> None:
    with pytest.raises(NotAnImage, match="memory"):
        await odd.inspect("alice", SIGNATURE + b"m")
    assert image_workers.AT_ONCE * image_worker.MOST_MEMORY_BYTES <= 2**30


async def test_worker_that_cannot_start_is_not_blamed_on_the_image(odd: ImageWorkers) -> None:
    for workers in (odd, ImageWorkers(("/no/such/program",))):
        with pytest.raises(Unavailable):
            await workers.inspect("alice", SIGNATURE + b"x")


async def test_worker_gets_none_of_our_settings(odd: ImageWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "videos")
    assert not (await odd.inspect("alice", SIGNATURE + b"e")).height_px


async def test_hanging_images_do_not_block_another_users(odd: ImageWorkers) -> None:
    """However many one user sends: they wait only for each other."""
    hanging = [asyncio.ensure_future(odd.inspect("mallory", SIGNATURE + b"h")) for _ in range(5)]
    await asyncio.sleep(0)
    try:
        assert (await odd.inspect("alice", SIGNATURE)).width_px == 64
        assert (await odd.inspect("bob", SIGNATURE)).width_px == 64
        assert not any(each.done() for each in hanging)
    finally:
        for each in hanging:
            each.cancel()
        ended = await asyncio.gather(*hanging, return_exceptions=True)
    assert {type(each) for each in ended} == {asyncio.CancelledError}


async def test_disconnected_request_leaves_no_worker(odd: ImageWorkers) -> None:
    # Servers of other tests may be children of this process as well.
    others = _children()
    hanging = asyncio.ensure_future(odd.inspect("alice", SIGNATURE + b"h"))
    try:
        while not (started := _children() - others):
            await asyncio.sleep(0.01)
    finally:
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
    deadline_s = time.monotonic() + 30
    while _children() & started:
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)


def _children() -> set[str]:
    threads = Path("/proc/self/task")
    while True:
        # A thread may end between its listing and its reading: its children then have another parent.
        with suppress(FileNotFoundError, ProcessLookupError):
            return {pid for thread in threads.iterdir() for pid in (thread / "children").read_text().split()}


async def test_waiting_too_long_for_a_worker_is_unavailable(odd: ImageWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_workers, "WAIT_S", 0.2)
    hanging = asyncio.ensure_future(odd.inspect("alice", SIGNATURE + b"h"))
    await asyncio.sleep(0)
    try:
        with pytest.raises(Unavailable):
            await odd.inspect("alice", SIGNATURE)
    finally:
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
