"""`python -m tests.reliability.storing_process`: one job is stored in a process of its own, whose memory is watched.

The code is that of a delivery; the store is in memory, the bucket and the file are real servers. Prints one JSON
object; memory is in KiB and from Linux's /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from shared.core import events
from shared.core.documents import Job
from shared.gateways.cloud_storage import CloudStorage
from shared.jobs import storing
from shared.jobs.transitions import apply
from shared.platform.ports import new_id, utc_now
from shared.platform.provider import Providers
from shared.platform.settings import Settings
from shared.providers.omni import Omni
from tests.unit.conftest import Clock, House

HASTE = 100


class HastyClock(Clock):
    """The time of day, plus what it was moved by; sleeping takes a hundredth of what is asked for.

    For code that waits for real servers: a clock that stands still until somebody sleeps would run away meanwhile.
    """

    def __init__(self) -> None:
        super().__init__()
        self._moved = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self._moved

    def apply(self, seconds: float) -> None:
        self._moved += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / HASTE)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--files-url", required=True)
    parser.add_argument("--uri", required=True)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(_store(options.bucket, options.files_url, options.uri))))


async def _store(bucket: str, files_url: str, uri: str) -> dict[str, Any]:
    settings = Settings(google_cloud_project="p", bucket=bucket, gemini_api_key="any", gemini_url=files_url)
    house = House(clock=HastyClock())
    media = CloudStorage(settings, utc_now)
    generators = Providers({"gemini": Omni(settings, media)})
    house.services = replace(house.services, objects=media, providers=generators, ids=new_id)
    job = await about_to_store(house, uri)
    # A first call loads and connects what every call needs.
    await media.stat("nothing")
    _forget_peak()
    before_kib = _status_kib("VmRSS")
    await storing.store(house.services, job, "me")
    peak_kib = _status_kib("VmHWM")
    ended = await house.job(job.id)
    objects = await media.list(job.files_prefix)
    return {
        "stage": ended.stage,
        "size_bytes": ended.outputs[0].size_bytes,
        "crc32c": ended.outputs[0].crc32c,
        "objects": [(item.name, item.size_bytes, item.crc32c) for item in objects],
        "growth_mib": (peak_kib - before_kib) / 1024,
    }


async def about_to_store(house: House, uri: str) -> Job:
    """A job whose generation is done, and whose lease "me" holds."""
    job = await house.submit(await house.sign_up())
    await apply(house.services, job.id, events.LeaseRequested(0, "me"))
    await apply(house.services, job.id, events.Accepted(1, "operations/large"))
    return (await apply(house.services, job.id, events.GenerationFinished(1, "me", (uri,)))).job


def _forget_peak() -> None:
    # See proc(5): 5 resets the peak to the present size.
    Path("/proc/self/clear_refs").write_text("5")


def _status_kib(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise LookupError(field)


if __name__ == "__main__":
    main()
