"""`python -m bench.soak`: a thousand jobs within a minute on the real local cloud, one function process killed every
five seconds. All must end, and every invariant must hold at the end; the exit code says whether they did.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import httpx2

from bench import machine, report
from shared.api.routing import FUNCTIONS
from shared.core.catalog import MODELS
from shared.core.documents import Job, LiveSettings, Stage
from testing import invariants
from testing.cloud import Cloud, User
from testing.console import Console
from testing.processes import Processes

CREDITS: Final = 1_000_000
ACTIVE_LIMIT: Final = 500
CALL_TIMEOUT_S: Final = 60.0
SUBMIT_FOR_S: Final = 180.0
SAMPLE_EVERY_S: Final = 5.0
# Uncertain starts wait six minutes; tasks lost before and during that may cost some minutes more.
GRACE_S: Final = 1_200.0
MEMORY_HEAD: Final = ("resident MiB", "first", "half-way", "last", "highest")
# Five deaths of one function within a minute end the local cloud.
SHORTEST_KILL_EVERY_S: Final = 4.0

# What goes wrong in one job of two, on top of the killing.
FAULTS: Final = (
    *("",) * 10,
    "[429] [retry after 2s]",
    "[accepted 503]",
    "[look 503 x2]",
    "[slow 5s]",
    "[lost webhook]",
    "[duplicate webhook]",
    "[truncated download]",
    "[blocked]",
    "[operation error]",
    "[lost answer]",
)


@dataclass(frozen=True)
class Wish:
    """One job to submit."""

    number: int
    user: User
    prompt: str
    body: dict[str, Any]


@dataclass
class Submissions:
    """How the submits went: seconds of first answers and until accepted, statuses of every try, ids of the jobs."""

    first_s: list[float] = field(default_factory=list)
    accepted_s: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    jobs: dict[str, Wish] = field(default_factory=dict)
    given_up: list[int] = field(default_factory=list)


@dataclass
class Memory:
    """Resident MiB of each process group over time; nothing for one that is being replaced."""

    samples: dict[str, list[float]] = field(default_factory=dict)

    def take(self, processes: Processes) -> None:
        resident = machine.resident_mib()
        for name, process in processes.all().items():
            if process.pgid in resident:
                self.samples.setdefault(name, []).append(resident[process.pgid])


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all jobs ended and every invariant held."""
    options = _parser().parse_args(arguments)
    if options.kill_every and options.kill_every < SHORTEST_KILL_EVERY_S:
        print(f"--kill-every must be at least {SHORTEST_KILL_EVERY_S:g}: the supervisor would give up", file=sys.stderr)
        return 2
    with (
        _directory(options.directory) as directory,
        # Half of the accidents are of downloads and events, which the Gemini API has.
        Cloud.started(directory, SIGNUP_CREDITS=str(CREDITS), OMNI_PROVIDER="gemini") as cloud,
        contextlib.closing(Console(cloud)) as console,
    ):
        return Soak(cloud, console, options).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--within", type=float, default=60.0, metavar="SECONDS", help="time for all submits")
    parser.add_argument("--kill-every", type=float, default=5.0, metavar="SECONDS", help="0: nobody is killed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-report", action="store_true", help="only print")
    parser.add_argument("--directory", type=Path, help="where the cloud's data and logs stay; a temporary one if none")
    return parser


@contextlib.contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="soak-") as made:
        yield Path(made)


class Soak:
    """One run."""

    def __init__(self, cloud: Cloud, console: Console, options: argparse.Namespace) -> None:
        self._cloud = cloud
        self._console = console
        self._options = options
        self._processes = Processes(cloud)
        self._random = random.Random(options.seed)
        self._kills: Counter[str] = Counter()
        self._memory = Memory()
        self._submissions = Submissions()

    def run(self) -> int:
        self._console.edit_config({"active_jobs_limit": ACTIVE_LIMIT})
        # New processes have read nothing older.
        self._processes.replace(FUNCTIONS)
        wishes = self._wishes([self._cloud.user() for _ in range(self._options.users)])
        began = time.monotonic()
        ended = asyncio.run(self._run(wishes))
        wall_s = time.monotonic() - began
        records = self._cloud.inside.records()
        broken = self._broken(records, ended)
        self._report(records, wall_s, broken)
        return 1 if broken else 0

    def _wishes(self, users: list[User]) -> list[Wish]:
        models = cycle(MODELS)
        return [
            Wish(number, users[number % len(users)], prompt, _body(next(models), prompt))
            for number in range(self._options.jobs)
            for prompt in [f"take {number} {self._random.choice(FAULTS)}".rstrip()]
        ]

    async def _run(self, wishes: list[Wish]) -> bool:
        """Whether all jobs ended in time."""
        beside = [asyncio.create_task(self._sample())]
        if self._options.kill_every:
            beside.append(asyncio.create_task(self._kill()))
        try:
            await self._submit_all(wishes)
            return await self._all_ended()
        finally:
            for task in beside:
                task.cancel()
            for result in await asyncio.gather(*beside, return_exceptions=True):
                if isinstance(result, Exception):
                    raise result

    # --- alongside the jobs ---

    async def _kill(self) -> None:
        for name in cycle(FUNCTIONS):
            await asyncio.sleep(self._options.kill_every)
            await asyncio.to_thread(self._processes.kill, [name])
            self._kills[name] += 1

    async def _sample(self) -> None:
        while True:
            await asyncio.to_thread(self._memory.take, self._processes)
            await asyncio.sleep(SAMPLE_EVERY_S)

    # --- the jobs ---

    async def _submit_all(self, wishes: list[Wish]) -> None:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(timeout=CALL_TIMEOUT_S, trust_env=False, limits=limits) as client:
            apart_s = self._options.within / len(wishes)
            await asyncio.gather(*(self._submit(client, wish, wish.number * apart_s) for wish in wishes))

    async def _submit(self, client: httpx2.AsyncClient, wish: Wish, after_s: float) -> None:
        """As a good client does: with an Idempotency-Key, again after no answer or a 5xx."""
        await asyncio.sleep(after_s)
        began = time.monotonic()
        while time.monotonic() < began + SUBMIT_FOR_S:
            answer = await self._post(client, wish)
            self._submissions.statuses[str(answer.status_code) if answer else "no answer"] += 1
            if answer is not None and answer.status_code in (200, 202):
                self._submissions.accepted_s.append(time.monotonic() - began)
                self._submissions.jobs[answer.json()["id"]] = wish
                return
            retry_after_s = float(answer.headers.get("retry-after", 1)) if answer is not None else 1.0
            await asyncio.sleep(self._random.uniform(0, min(retry_after_s, 5.0)))
        self._submissions.given_up.append(wish.number)

    async def _post(self, client: httpx2.AsyncClient, wish: Wish) -> httpx2.Response | None:
        headers = {"Authorization": f"Bearer {wish.user.token}", "Idempotency-Key": f"take-{wish.number}"}
        began = time.monotonic()
        try:
            answer = await client.post(f"{self._cloud.url}/v1/videos", json=wish.body, headers=headers)
        except httpx2.TransportError:
            return None
        self._submissions.first_s.append(time.monotonic() - began)
        return answer

    async def _all_ended(self) -> bool:
        deadline = time.monotonic() + GRACE_S + self._options.jobs
        told_at = 0.0
        while (unfinished := await asyncio.to_thread(self._console.unfinished)) and time.monotonic() < deadline:
            if time.monotonic() - told_at > 30:
                told_at = time.monotonic()
                print(f"{unfinished} jobs to go, {self._kills.total()} kills", flush=True)
            await asyncio.sleep(SAMPLE_EVERY_S)
        return unfinished == 0

    # --- what came of it ---

    def _broken(self, records: invariants.Records, ended: bool) -> list[str]:
        """What was promised and does not hold."""
        broken = [] if ended else ["not all jobs ended"]
        made = {job.id for job in records.jobs}
        if made != set(self._submissions.jobs) or len(made) != self._options.jobs:
            answered = len(self._submissions.jobs)
            broken.append(f"{self._options.jobs} submits, {answered} answers and {len(made)} jobs")
        if self._submissions.statuses["500"]:
            broken.append(f"{self._submissions.statuses['500']} answers 500")
        starts = self._console.starts()
        broken += [
            f"{job.id}: {starts[job.request.prompt]} starts in {job.attempt} attempts"
            for job in records.jobs
            if starts.get(job.request.prompt, 0) > job.attempt
        ]
        try:
            invariants.check(records, LiveSettings(), self._cloud.inside.read)
        except AssertionError as error:
            broken.append(str(error))
        return broken

    def _report(self, records: invariants.Records, wall_s: float, broken: list[str]) -> None:
        submissions = self._submissions
        starts = self._console.starts()
        attempts = sum(job.attempt for job in records.jobs)
        accepted = sum(starts.values())
        fruitless = [job for job in records.jobs if _code(job) == "START_UNCERTAIN" and starts.get(job.request.prompt)]
        lives = sorted((job.completed_at - job.created_at).total_seconds() for job in records.jobs if job.completed_at)
        rows = [
            ("jobs, users", f"{self._options.jobs}, {self._options.users}"),
            ("kills", f"{self._kills.total()} (one every {self._options.kill_every:g} s)"),
            ("wall time", f"{wall_s:.0f} s"),
            ("submit response, p50 / p95", _percentiles(submissions.first_s)),
            ("accepted after, p50 / p95", _percentiles(submissions.accepted_s)),
            ("submit responses", _counted(submissions.statuses)),
            ("stages at the end", _counted(Counter(str(job.stage) for job in records.jobs))),
            ("failure reasons", _counted(Counter(code for job in records.jobs if (code := _code(job))))),
            (
                "from submission to end, p50 / p95 / longest",
                f"{_percentiles(lives)} / {lives[-1]:.0f} s" if lives else "-",
            ),
            ("attempts, starts accepted by a provider", f"{attempts}, {accepted}"),
            ("starts beyond a job's first", str(sum(max(0, count - 1) for count in starts.values()))),
            ("paid starts without a video or known outcome", str(len(fruitless))),
            ("invariants", "all hold" if not broken else "BROKEN"),
        ]
        tables = f"{report.table(rows)}\n\n{report.table(self._memory_rows(), MEMORY_HEAD)}"
        print(tables)
        for line in broken:
            print(f"BROKEN: {line}")
        if not self._options.no_report:
            report.replace("soak", tables)

    def _memory_rows(self) -> Iterator[tuple[str, ...]]:
        for name, samples in self._memory.samples.items():
            killed = f" (killed {self._kills[name]} times)" if self._kills[name] else ""
            shown = (samples[0], samples[len(samples) // 2], samples[-1], max(samples))
            yield f"{name}{killed}", *(f"{value:.0f}" for value in shown)


def _body(model: str, prompt: str) -> dict[str, Any]:
    if "gemini" in MODELS[model].providers:
        return {"model": model, "prompt": prompt, "seconds": 3, "resolution": "360p"}
    return {"model": model, "prompt": prompt, "seconds": 4, "resolution": "720p"}


def _code(job: Job) -> str | None:
    return job.error.code if job.stage is Stage.FAILED and job.error else None


def _percentiles(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "-"
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return f"{cuts[9]:.2f} / {cuts[18]:.2f} s"


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common()) or "none"


if __name__ == "__main__":
    sys.exit(main())
