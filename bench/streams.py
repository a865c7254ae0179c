"""A thousand open event streams on one instance: memory, latency, and documents read."""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from google.cloud import firestore

from bench import machine, reads, seeded
from bench.environment import Stand
from bench.goals import Goal, Part, run_alone
from bench.load import request
from bench.reads import Counted
from bench.report import table
from bench.seeded import Person
from bench.servers import ROOT, Server, function
from local.ports import HOST
from shared.core.documents import Job
from shared.gateways.firestore import GoogleFirestore
from shared.platform.identity import DEFAULT_TENANT, Caller
from shared.platform.ports import Services, new_id
from shared.streaming import event_stream

STREAMS: Final = 1_000
# Users, commits a second, and how many. At each commit the emulator resends all watched accounts what they have,
# which Firestore does not: the more accounts, the fewer commits it can bear.
# As many streams of a user as an account may have, nearly; and a few.
CASES: Final = ((100, 10.0, 60), (200, 1.0, 12))
OPENED_AT_ONCE: Final = 25
# For the last commit to be sent.
TOLD_WITHIN_S: Final = 10.0
AT_REST_S: Final = 2.0
# The server inherits the limit of open files, too.
OPEN_FILES: Final = 4_096
MOST_MB: Final = 300
P95_S: Final = 1.0
COUNTED_STREAMS: Final = 3
COUNTED_CHANGES: Final = 10
MB: Final = 1_000_000
_VERSION: Final = re.compile(rb'"version":(\d+)')
_ID: Final = re.compile(rb'"id":"(video_[A-Za-z0-9_-]+)"')


@dataclass
class Stream:
    """One client of /v1/events. It remembers the last version received of each job."""

    person: Person
    versions: dict[str, int] = field(default_factory=dict)
    ready: bool = False


@dataclass
class Audience:
    """All clients, and the seconds from each commit to each of its events."""

    port: int
    committed_at: dict[tuple[str, int], float] = field(default_factory=dict)
    lags_s: list[float] = field(default_factory=list)
    events: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def open(self, stream: Stream) -> None:
        """Connect, and wait until the stream has begun. Raises AssertionError if it is refused."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        self.writers.append(writer)
        writer.write(request("GET", "/v1/events", {**stream.person.headers, "Accept": "text/event-stream"}))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head.decode()
        await self._event(reader, stream)
        # The job in progress is sent, too.
        await self._event(reader, stream)
        self.tasks.append(asyncio.create_task(self._follow(reader, stream)))

    async def _follow(self, reader: asyncio.StreamReader, stream: Stream) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._event(reader, stream)

    async def _event(self, reader: asyncio.StreamReader, stream: Stream) -> None:
        # What the chunked encoding puts around an event is looked past.
        event = await reader.readuntil(b"\n\n")
        now = time.time()
        id_, version = _ID.search(event), _VERSION.search(event)
        if id_ is None or version is None:
            return
        self.events += 1
        job, told = id_[1].decode(), int(version[1])
        if told > stream.versions.get(job, 0):
            stream.versions[job] = told
            if (committed_at := self.committed_at.get((job, told))) is not None:
                self.lags_s.append(now - committed_at)

    async def leave(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for writer in self.writers:
            writer.close()


@dataclass
class Case:
    """What came out with so many users. MB are resident; CPU is in cores."""

    users: int
    commits_a_second: float
    before_mb: float
    open_mb: float = 0.0
    most_mb: float = 0.0
    opened_s: float = 0.0
    resting_cores: float = 0.0
    told: int = 0
    expected: int = 0
    lags_s: list[float] = field(default_factory=list)

    @property
    def p95_s(self) -> float:
        return statistics.quantiles(self.lags_s, n=20, method="inclusive")[18]

    @property
    def cells(self) -> tuple[str, ...]:
        return (
            f"{self.users:,} users, {STREAMS // self.users} streams each",
            f"{self.before_mb:.0f}",
            f"{self.open_mb:.0f}",
            f"{self.most_mb:.0f}",
            f"{STREAMS / self.opened_s:.0f}",
            f"{self.resting_cores:.2f}",
            f"{self.commits_a_second:g}",
            f"{statistics.median(self.lags_s) * 1_000:.0f}",
            f"{self.p95_s * 1_000:.0f}",
            f"{max(self.lags_s) * 1_000:.0f}",
            f"{self.told:,} of {self.expected:,}",
        )


HEAD: Final = (
    f"{STREAMS:,} streams",
    "RSS before, MB",
    "open, MB",
    "peak, MB",
    "opened per second",
    "cores when idle",
    "commits per second",
    "p50, ms",
    "p95, ms",
    "longest, ms",
    "delivered",
)


def measure(stand: Stand) -> Part:
    _allow_open_files()
    cases = [_case(stand, *case) for case in CASES]
    return _part(cases, _reads(stand))


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))


def _case(stand: Stand, users: int, commits_a_second: float, commits: int) -> Case:
    people = seeded.people(stand, users)
    jobs = [seeded.unfinished(person.account) for person in people]
    # A database of its own: the emulator goes through all jobs at each query.
    project = f"rushes-{users}-users"
    environ = stand.environ | {"GOOGLE_CLOUD_PROJECT": project}
    with stand.firestore(project) as client, _instance(stand.directory, environ, people[0]) as server:
        seeded.create(client, *jobs)
        return asyncio.run(_watched(client, server, people, _Commits(jobs, commits_a_second, commits)))


def _instance(directory: Path, environ: Mapping[str, str], person: Person) -> AbstractContextManager[Server]:
    """A fresh process of the function, which has answered once."""
    source, log = ROOT / "functions" / "stream" / "main.py", directory / "streams.log"
    return function("stream", source, log, environ, "/v1/events", method="HEAD", headers=person.headers)


@dataclass(frozen=True)
class _Commits:
    """Changes of these jobs in turn, so many of them, and how many a second."""

    jobs: Sequence[Job]
    a_second: float
    count: int


async def _watched(client: firestore.Client, server: Server, people: Sequence[Person], commits: _Commits) -> Case:
    case = Case(len(people), commits.a_second, _resident_mb(server))
    audience = Audience(server.port)
    began = time.perf_counter()
    turns = asyncio.Semaphore(OPENED_AT_ONCE)

    async def opened(person: Person) -> None:
        async with turns:
            await audience.open(Stream(person))

    await asyncio.gather(*(opened(person) for person in islice(cycle(people), STREAMS)))
    case.opened_s = time.perf_counter() - began
    used_s = machine.cpu_s(server.group)
    await asyncio.sleep(AT_REST_S)
    case.resting_cores = (machine.cpu_s(server.group) - used_s) / AT_REST_S
    case.open_mb = case.most_mb = _resident_mb(server)
    for number, job in enumerate(islice(cycle(commits.jobs), commits.count)):
        turn = asyncio.create_task(asyncio.sleep(1 / commits.a_second))
        version = job.version + 1 + number // len(commits.jobs)
        audience.committed_at[job.id, version] = time.time()
        await asyncio.to_thread(_commit, client, job.id, version)
        await turn
        case.most_mb = max(case.most_mb, _resident_mb(server))
    case.expected = commits.count * STREAMS // len(people)
    over = time.monotonic() + TOLD_WITHIN_S
    while len(audience.lags_s) < case.expected and time.monotonic() < over:
        await asyncio.sleep(0.05)
    case.most_mb = max(case.most_mb, _resident_mb(server))
    await audience.leave()
    case.lags_s, case.told = audience.lags_s, len(audience.lags_s)
    return case


def _resident_mb(server: Server) -> float:
    return machine.resident_mib()[server.group] * machine.MIB / MB


def _commit(client: firestore.Client, job: str, version: int) -> None:
    """What a step of a job changes, of what a client sees."""
    changes = {"version": version, "updated_at": datetime.now(UTC), "change_id": new_id()}
    client.collection(Job.collection).document(job).update(changes)


# --- reads ---


@dataclass
class Reads:
    """Documents read for the first stream of an account, for each further one, and for a change sent to all."""

    first: int
    further: float
    change: float


def _reads(stand: Stand) -> Reads:
    """The function's own code in this process, over the real gateways with counters beneath."""
    person = seeded.people(stand, 1)[0]
    job = seeded.unfinished(person.account)
    with stand.firestore() as client, reads.services(stand.environ) as services:
        seeded.create(client, job)
        return asyncio.run(_counted(client, services, person, job))


async def _always() -> None:
    """The caller may listen."""


async def _counted(client: firestore.Client, services: Services, person: Person, job: Job) -> Reads:
    store, live = services.firestore, services.changes
    assert isinstance(store, GoogleFirestore)
    counters = [Counted(store._client), Counted(live._client)]  # type: ignore[attr-defined]
    caller = Caller(person.account, DEFAULT_TENANT, "user", "default", None)

    def count() -> int:
        return sum(counter.reads for counter in counters)

    readers: list[_Reader] = []
    opened = [count()]
    for _ in range(COUNTED_STREAMS):
        readers.append(_Reader(await event_stream.of_account(services, caller, _always, None)))
        await readers[-1].told(job.version)
        # The rest of what a stream begins with.
        await asyncio.sleep(1.0)
        opened.append(count())
    for change in range(1, COUNTED_CHANGES + 1):
        await asyncio.to_thread(_commit, client, job.id, job.version + change)
        for reader in readers:
            await reader.told(job.version + change)
    changed = count() - opened[-1]
    for reader in readers:
        await reader.close()
    await live.close()  # type: ignore[attr-defined]
    await counters[0].close()
    return Reads(opened[1] - opened[0], (opened[-1] - opened[1]) / (COUNTED_STREAMS - 1), changed / COUNTED_CHANGES)


class _Reader:
    """Reads the events of one answer as they come, as a client does."""

    def __init__(self, answer: Any) -> None:
        self._events = answer.body_iterator
        self._versions: asyncio.Queue[int] = asyncio.Queue()
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with aclosing(self._events) as events:
            async for event in events:
                if (found := _VERSION.search(event)) is not None:
                    self._versions.put_nowait(int(found[1]))

    async def told(self, version: int) -> None:
        """Raises TimeoutError if that version does not arrive."""
        async with asyncio.timeout(TOLD_WITHIN_S):
            while await self._versions.get() < version:
                pass

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


# --- the part ---


def _part(cases: list[Case], counted: Reads) -> Part:
    most_mb, slowest_s = max(case.most_mb for case in cases), max(case.p95_s for case in cases)
    minutes = event_stream.PACE.longest_s / 60
    a_minute = counted.further / minutes
    goals = [
        Goal(f"Events: RSS with {STREAMS:,} streams", f"{most_mb:.0f} MB", f"under {MOST_MB} MB", most_mb < MOST_MB),
        Goal("Events: p95 from commit to event", f"{slowest_s:.2f} s", f"under {P95_S:g} s", slowest_s < P95_S),
        Goal(
            "Events: documents read, per stream and minute",
            f"{a_minute:.2f}, {a_minute + 60 / event_stream.PACE.read_s:.2f} with an unfinished video, "
            f"and {counted.change:.1f} per change",
        ),
    ]
    text = "\n\n".join(
        [
            f"{STREAMS:,} streams of `/v1/events` on one process of the function. Each user has one video that is "
            f"generating, whose progress each stream checks every {event_stream.PACE.tick_s:g} s. Then changes are "
            "committed, and timed from just before a commit is sent until a client has the event, on one clock. The "
            "clients run on the same cores. After each commit the emulator sends every watched account its whole "
            "result again (three messages each; Firestore sends only the change), so the lag with many users is mostly "
            "its own.",
            table([case.cells for case in cases], HEAD),
            f"Firestore returns {counted.first} documents (or empty results, which cost the same) when an account's "
            f"first stream opens, {counted.further:.0f} for each further one, and {counted.change:.1f} for each "
            f"change, which all streams of the account share. A stream reconnects every {minutes:.0f} minutes: that is "
            f"{a_minute:.2f} reads per stream and minute, plus the changes. While a video is unfinished its stream "
            f"also reads every {event_stream.PACE.read_s:g} s, in case Firestore's stream has died silently: one "
            "document, or what has changed since.",
        ]
    )
    return Part(goals, text)


if __name__ == "__main__":
    run_alone("streams", measure)
