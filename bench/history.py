"""A page of a user's videos, compared with a bare query of the same shape, for several numbers of videos."""

from __future__ import annotations

import asyncio
import importlib
import json
import statistics
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import httpx2

from bench import machine, reads, seeded
from bench.environment import Stand
from bench.goals import Goal, Part, at_most, ratio, run_alone
from bench.load import Load, load, request
from bench.reads import Counted
from bench.report import table
from bench.seeded import Person
from bench.servers import ROOT, Server, function
from shared.gateways.firestore import GoogleFirestore
from shared.http import routes
from shared.http.app import application
from shared.platform.ports import Services

# A database of its own: the emulator goes through all jobs at each query.
ENVIRON: Final = {"GOOGLE_CLOUD_PROJECT": "rushes-history"}
SIZES: Final = (100, 10_000, 50_000)
PAGE_JOBS: Final = 20
# Rounds go on until one of these is reached, but there are three at least.
MOST_ROUNDS: Final = 15
LEAST_ROUNDS: Final = 3
ROUNDS_S: Final = 15.0
# A page that takes a millisecond is asked for some times in each round, one that takes seconds once.
ROUND_S: Final = 0.3
MOST_IN_ROUND: Final = 20
MADE_EVERY: Final = timedelta(minutes=1)


@dataclass
class Size:
    """What came out with so many jobs of one user. Seconds of a page and of a bare query, round by round."""

    jobs: int
    seeded_a_second: float
    ours_s: list[float] = field(default_factory=list)
    bare_s: list[float] = field(default_factory=list)
    ours_cpu_s: list[float] = field(default_factory=list)
    bare_cpu_s: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [ours / bare for ours, bare in zip(self.ours_s, self.bare_s, strict=True)]

    @property
    def cells(self) -> tuple[str, ...]:
        return (
            f"{self.jobs:,}",
            *(f"{statistics.median(seconds) * 1_000:.1f}" for seconds in (self.ours_s, self.bare_s)),
            # The kernel counts CPU in hundredths of a second: only their mean is finer.
            *(f"{statistics.mean(seconds) * 1_000:.1f}" for seconds in (self.ours_cpu_s, self.bare_cpu_s)),
            ratio(self.ratios),
            str(len(self.ratios)),
        )


HEAD: Final = (
    "jobs of the user",
    "page, ms",
    "bare, ms",
    "page, CPU ms",
    "bare, CPU ms",
    "page / bare",
    "rounds",
)


def _function(stand: Stand, target: str, folder: str, **asked: Any) -> AbstractContextManager[Server]:
    """A function of the benches' own, with the database of this part. It is ready when it answers what is `asked`."""
    source, log = ROOT / "bench" / folder / "main.py", stand.directory / f"{folder}.log"
    return function(target, source, log, stand.environ | ENVIRON, **asked)


def measure(stand: Stand) -> Part:
    people = seeded.people(stand, len(SIZES))
    account = {"path": "/v1/account", "headers": people[0].headers}
    with _function(stand, "bare_page", "bare_page") as bare, _function(stand, "history", "patient", **account) as ours:
        found = [_measured(stand, ours, bare, person, jobs) for person, jobs in zip(people, SIZES, strict=True)]
    counted = _reads(stand, people[0])
    return Part(_goals(found, counted), _text(found, counted))


def _measured(stand: Stand, ours: Server, bare: Server, person: Person, jobs: int) -> Size:
    """Write the user's jobs, then ask for the first page by both ways in turn."""
    began = time.monotonic()
    with stand.firestore(ENVIRON["GOOGLE_CLOUD_PROJECT"]) as client:
        template = seeded.completed(seeded.unfinished(person.account))
        seeded.copies(client, template, jobs, MADE_EVERY)
    size = Size(jobs, jobs / (time.monotonic() - began))
    page = Side(ours, request("GET", f"/v1/videos?limit={PAGE_JOBS}", person.headers), size.ours_s, size.ours_cpu_s)
    query = Side(bare, request("GET", f"/{person.account}?limit={PAGE_JOBS}"), size.bare_s, size.bare_cpu_s)
    slowest_s = max(side.asked().p50_s for side in (page, query))
    times = max(1, min(MOST_IN_ROUND, int(ROUND_S / slowest_s)))
    over = time.monotonic() + ROUNDS_S
    while len(size.ours_s) < LEAST_ROUNDS or (len(size.ours_s) < MOST_ROUNDS and time.monotonic() < over):
        for side in (page, query):
            side.measure(times)
    return size


@dataclass
class Side:
    """One of the two ways, and where its seconds and CPU seconds of a page are collected."""

    server: Server
    request: bytes
    seconds: list[float]
    cpu_s: list[float]

    def measure(self, times: int) -> None:
        used_s = machine.cpu_s(self.server.group)
        self.seconds.append(self.asked(times).p50_s)
        self.cpu_s.append((machine.cpu_s(self.server.group) - used_s) / times)

    def asked(self, times: int = 1) -> Load:
        return asyncio.run(load(self.server.port, [self.request] * times)).check(httpx2.codes.OK)


# --- reads ---


@dataclass
class Reads:
    """Documents that Firestore gave for a page, the first and the next, once the caller is known."""

    first: int
    after: int


def _reads(stand: Stand, person: Person) -> Reads:
    """The function's own app, in this process, over the real store with a counter beneath."""
    with reads.services(stand.environ | ENVIRON) as services:
        return asyncio.run(_counted_pages(services, person))


async def _counted_pages(services: Services, person: Person) -> Reads:
    store = services.firestore
    assert isinstance(store, GoogleFirestore)
    counted = Counted(store._client)
    app = application(
        routes.of("history"), importlib.import_module("functions.history.main").HANDLERS, lambda: services
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://history") as http:

        async def page(after: str = "") -> tuple[str, int]:
            before = counted.reads
            query = {"limit": str(PAGE_JOBS), **({"after": after} if after else {})}
            answer = await http.get("/v1/videos", params=query, headers=person.headers, timeout=60.0)
            return json.loads(answer.raise_for_status().content)["last_id"], counted.reads - before

        await page()
        last, first = await page()
        _, after = await page(last)
    await counted.close()
    return Reads(first, after)


# --- the part ---


def _goals(found: list[Size], counted: Reads) -> list[Goal]:
    return [
        *(
            at_most(f"History: a page of a user with {size.jobs:,} jobs, compared with a bare query", size.ratios, 1.2)
            for size in found
        ),
        *(
            Goal(
                f"History: documents read for {which} page of {PAGE_JOBS}",
                str(count),
                f"at most {PAGE_JOBS + 1}",
                count <= PAGE_JOBS + 1,
            )
            for which, count in (("the first", counted.first), ("a later", counted.after))
        ),
    ]


def _text(found: list[Size], counted: Reads) -> str:
    rates = f"{min(size.seeded_a_second for size in found):,.0f} to {max(size.seeded_a_second for size in found):,.0f}"
    return "\n\n".join(
        [
            f"The first page of {PAGE_JOBS} jobs, newest first, from the function `history`; and the same query "
            "with Google's own client in a function that does nothing else (bench/bare_page). Times grow with the "
            "number of jobs because the emulator scans all of them; Firestore itself reads an index. The jobs were "
            f"written directly, {rates} per second.",
            table([size.cells for size in found], HEAD),
            f"Documents returned by the database: {counted.first} for the first page (one more than the page, to know "
            f"whether there is another), {counted.after} for a later one.",
        ]
    )


if __name__ == "__main__":
    run_alone("history", measure)
