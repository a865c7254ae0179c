"""Cloud Scheduler on a laptop: posts to the clean-up function on time, with OIDC tokens."""

from __future__ import annotations

import argparse
import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

from local.identity.oidc import Minter

ATTEMPT_DEADLINE_S: Final = 180.0
SWEEP_EVERY_S: Final = 60.0
DAILY_S: Final = 86_400.0
WEEKLY_S: Final = 7 * DAILY_S


@dataclass(frozen=True)
class Job:
    """One POST without a body, every so often; the first one interval after the start."""

    name: str
    url: str
    every_s: float


def timetable(root: str, sweep_every_s: float) -> list[Job]:
    """The jobs that the cloud's own scheduler has: the sweep each minute, the digest weekly, the others daily."""
    every_s = {"sweep": sweep_every_s, "retain": DAILY_S, "reconcile": DAILY_S, "digest": WEEKLY_S}
    return [Job(name, f"{root}/tasks/{name}", seconds) for name, seconds in every_s.items()]


class Scheduler:
    """Runs jobs side by side. An attempt that fails is printed and not repeated: the next one comes by itself."""

    def __init__(self, minter: Minter, email: str, audience: str) -> None:
        self._minter = minter
        self._email = email
        self._audience = audience

    async def run(self, jobs: list[Job]) -> None:
        """Never returns; ends by cancellation."""
        async with httpx2.AsyncClient(trust_env=False, timeout=ATTEMPT_DEADLINE_S) as client:
            await asyncio.gather(*(self._repeat(job, client) for job in jobs))

    async def _repeat(self, job: Job, client: httpx2.AsyncClient) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + job.every_s
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            # The next tick is counted from this one, however long the attempt takes; ticks missed meanwhile are gone.
            due = max(due, loop.time() - job.every_s) + job.every_s
            await self.attempt(job, client)

    async def attempt(self, job: Job, client: httpx2.AsyncClient) -> None:
        """One POST, told in one line."""
        headers = {
            "Authorization": f"Bearer {self._minter.token(self._email, self._audience)}",
            "User-Agent": "Google-Cloud-Scheduler",
            "X-CloudScheduler": "true",
            "X-CloudScheduler-JobName": job.name,
        }
        try:
            answer = await client.post(job.url, headers=headers)
        except httpx2.TransportError as error:
            print(f"{job.name}: no answer ({type(error).__name__})", flush=True)
            return
        print(f"{job.name}: {answer.status_code} {answer.text[:500]}", flush=True)


async def serve(scheduler: Scheduler, jobs: list[Job]) -> None:
    """Run until SIGTERM or SIGINT."""
    running = asyncio.ensure_future(scheduler.run(jobs))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    await asyncio.wait({running})
    if not running.cancelled():
        running.result()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.scheduler", description="Cloud Scheduler on a laptop.")
    parser.add_argument("--url", required=True, help="root URL of the private functions")
    parser.add_argument("--audience", required=True, help="audience of the tokens")
    parser.add_argument("--email", required=True, help="service account in the tokens")
    parser.add_argument("--oidc-key", type=Path, required=True, help="PEM key that signs the tokens")
    parser.add_argument("--sweep-every", type=float, default=SWEEP_EVERY_S, metavar="SECONDS")
    options = parser.parse_args()
    jobs = timetable(options.url.rstrip("/"), options.sweep_every)
    asyncio.run(serve(Scheduler(Minter.from_file(options.oidc_key), options.email, options.audience), jobs))


if __name__ == "__main__":
    main()
