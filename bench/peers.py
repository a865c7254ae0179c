"""Rushes compared with other services that create videos over HTTP: the LiteLLM proxy, and FastAPI + arq + Redis.

All run on this machine at once, answer the same load in turns, and have the same stand-in for their provider, whose
engine speaks each one's words. `make peers` puts the peers where this program looks for them; where they are not, the
page says so and has no figures of theirs.

What a create does differs. Ours charges the account and keeps job, charge and task durably before it answers; the
provider is called by the queue, which rests here. LiteLLM calls the provider before it answers and keeps nothing. The
service on arq keeps a hash in Redis's memory and enqueues a task, whose worker does not run here.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import httpx2

from bench import cpu_breakdown, machine, report
from bench.environment import Stand, bearer, known
from bench.goals import Goal, Part, at_least, at_most, ratio, run_alone
from bench.load import load, request
from bench.servers import ROOT, Server, free_port, function, served, started
from local.ports import HOST
from shared.api.routing import Function

RIVALS: Final = ROOT / "bench" / "rivals"
VENV: Final = ROOT / ".build" / "peers"
INSTALLED: Final = VENV / "bin"
# tools/peers.sh puts it there at the end.
COMPLETE: Final = VENV / "peers.txt"
OURS, LITELLM, ARQ, FLOOR = "Rushes", "LiteLLM", "FastAPI + arq", "empty function"

ROUNDS: Final = 3
CONCURRENCIES: Final = (1, 8, 32)
BUSY: Final = 8
OPERATIONS: Final = ("create", "status")
# Requests of one cell in one round: as many as take about a second or two, and some hundred CPU milliseconds.
COUNTS: Final[dict[str, tuple[int, ...]]] = {
    OURS: (60, 160, 256),
    LITELLM: (40, 80, 160),
    ARQ: (200, 500, 800),
    FLOOR: (200, 500, 800),
}
WARM_UP: Final = 40
STARTS_WARM_UP, STARTS = 5, 40
USERS: Final = 32
KNOWN: Final = 8
BODY: Final = {
    "model": "veo-3.1-fast",
    "prompt": "A paper boat sails down a rainy street",
    "seconds": "4",
    "size": "1280x720",
}
ANSWER_TIMEOUT_S: Final = 60.0
REDIS_TIMEOUT_S: Final = 10.0

FASTER, LEANER, SMALLER = 3.0, 1 / 3, 1 / 4


@dataclass(frozen=True)
class Operation:
    """What is asked of which server: requests without end, and the status that they get.

    `behind`: the process groups of the services that it calls, by name.
    """

    port: int
    group: int
    requests: Iterator[bytes]
    status: int
    behind: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Peer:
    """One of those that are compared. `started_s`, `groups`: its processes by name, how soon they answered first."""

    operations: Mapping[str, Operation]
    started_s: dict[str, float]
    groups: dict[str, int]


@dataclass
class Cell:
    """One operation of one peer at one concurrency, round by round."""

    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    behind_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, operation: Operation, count: int, concurrency: int) -> None:
        """Play so many requests. Raises AssertionError when one gets another status."""
        cpu_s = machine.cpu_s(operation.group)
        behind_s = {name: machine.cpu_s(group) for name, group in operation.behind.items()}
        requests = islice(operation.requests, count)
        result = asyncio.run(load(operation.port, requests, concurrency)).check(operation.status)
        self.rates.append(result.rate)
        self.cpu_ms.append(1_000 * (machine.cpu_s(operation.group) - cpu_s) / count)
        for name, group in operation.behind.items():
            self.behind_ms[name].append(1_000 * (machine.cpu_s(group) - behind_s[name]) / count)


@dataclass(frozen=True)
class Provider:
    """The running stand-in of the peers, and how their settings name it."""

    group: int
    environ: Mapping[str, str]


Cells = dict[tuple[str, str, int], Cell]


def measure(stand: Stand) -> Part:
    with ExitStack() as stack:
        peers = {OURS: _ours(stand), FLOOR: stack.enter_context(_floor(stand))}
        missing = _missing()
        if not missing:
            provider = stack.enter_context(_provider(stand))
            peers[LITELLM] = stack.enter_context(_litellm(stand, provider))
            peers[ARQ] = stack.enter_context(_arq(stand, provider))
        cells = _compared(peers)
        memory = {
            name: {part: machine.memory_mib(group) for part, group in peer.groups.items()}
            for name, peer in peers.items()
        }
    start = _start(stand)
    shown = [name for name in (OURS, LITELLM, ARQ, FLOOR) if name in peers]
    text = [
        _table(shown, "Requests a second", {key: cell.rates for key, cell in cells.items()}, 0),
        _table(shown, "CPU ms a request", {key: cell.cpu_ms for key, cell in cells.items()}, 2),
        _behind(cells, start, shown),
        _bound(cells),
        _sizes({name: peers[name] for name in shown}, memory),
        _pieces(stand, cells),
    ]
    if missing:
        return Part([], "\n\n".join([f"{missing} `make peers` puts both there.", *text]))
    return Part([*_goals(cells, memory), *_reported(cells, start)], "\n\n".join([NOTE, *text]))


NOTE: Final = """\
LiteLLM's create calls the provider and stores nothing, and its status asks the provider again. The service on arq
writes a hash and a task into Redis's memory. Rushes charges credits and stores job, account, charge and task durably.
Both of these start the generation later, from a queue: in this benchmark ours is paused, and no arq worker runs. The
backend services (the Firestore emulator and the Cloud Tasks stand-in; the provider's stand-in; Redis) share this
machine with the servers: their CPU time isn't counted, but it lowers the rates."""


def _missing() -> str:
    """What is not installed, in one sentence; empty when all is there."""
    absent = [
        name
        for name, there in (
            ("LiteLLM, FastAPI and arq", COMPLETE.exists()),
            ("redis-server", shutil.which("redis-server") is not None),
        )
        if not there
    ]
    return f"Not measured, because not installed: {' and '.join(absent)}." if absent else ""


# --- the load ---


def _compared(peers: Mapping[str, Peer]) -> Cells:
    for peer in peers.values():
        for operation in peer.operations.values():
            Cell().add(operation, WARM_UP, BUSY)
    cells: Cells = defaultdict(Cell)
    for number in range(ROUNDS):
        order = list(peers) if number % 2 == 0 else list(peers)[::-1]
        for step, concurrency in enumerate(CONCURRENCIES):
            for what in OPERATIONS:
                for name in order:
                    cells[name, what, concurrency].add(peers[name].operations[what], COUNTS[name][step], concurrency)
    return cells


def _start(stand: Stand) -> Cell:
    """The first step of jobs of ours, which starts them at the provider: what the queue calls, called directly."""
    user = stand.user()
    known(stand, user)
    videos = [_made(stand.port("submit"), bearer(user)) for _ in range(STARTS_WARM_UP + STARTS)]
    steps = (request("POST", "/tasks/step", {}, {"job": video, "step": 0}) for video in videos)
    operation = Operation(stand.port("poll"), stand.group("poll"), steps, 204)
    Cell().add(operation, STARTS_WARM_UP, 1)
    cell = Cell()
    cell.add(operation, STARTS, BUSY)
    return cell


# --- who is compared ---


def _ours(stand: Stand) -> Peer:
    users = [stand.user() for _ in range(USERS)]
    for user in users:
        known(stand, user)
    creates = [request("POST", "/v1/videos", bearer(user), BODY) for user in users]
    ids = [(user, _made(stand.port("submit"), bearer(user))) for user in users[:KNOWN]]
    looks = [request("GET", f"/v1/videos/{video}", bearer(user)) for user, video in ids]
    user, video = ids[0]
    functions: tuple[Function, ...] = ("submit", "history")
    firestore, tasks = (
        {"Firestore's emulator": stand.group("firestore")},
        {"Cloud Tasks' stand-in": stand.group("tasks")},
    )
    return Peer(
        {
            "create": Operation(stand.port("submit"), stand.group("submit"), cycle(creates), 202, firestore | tasks),
            "status": Operation(stand.port("history"), stand.group("history"), cycle(looks), 200, firestore),
        },
        {
            "submit": _start_s(stand, "submit", "POST", "/v1/videos/estimate", headers=bearer(user), json=BODY),
            "history": _start_s(stand, "history", "GET", f"/v1/videos/{video}", headers=bearer(user)),
        },
        {name: stand.group(name) for name in functions},
    )


def _start_s(stand: Stand, name: Function, method: str, path: str, **asked: Any) -> float:
    source, log = ROOT / "functions" / name / "main.py", stand.directory / f"{name}-started.log"
    with function(name, source, log, stand.environ, path, method=method, **asked) as server:
        return server.started_s


@contextmanager
def _floor(stand: Stand) -> Iterator[Peer]:
    with function("floor", RIVALS / "floor.py", stand.directory / "floor.log", {}) as server:
        yield Peer(
            {
                "create": Operation(server.port, server.group, cycle([request("POST", "/", {}, BODY)]), 200),
                "status": Operation(server.port, server.group, cycle([request("GET", "/")]), 200),
            },
            {"": server.started_s},
            {"": server.group},
        )


@contextmanager
def _provider(stand: Stand) -> Iterator[Provider]:
    """The provider's stand-in."""
    port = free_port()
    command = [sys.executable, "-m", "bench.competitors.gemini_veo", "--port", str(port)]
    with served(command, port, stand.directory / "gemini_veo.log", {}) as server:
        yield Provider(server.group, {"GEMINI_URL": f"http://{HOST}:{port}", "GEMINI_API_KEY": "local"})


@contextmanager
def _litellm(stand: Stand, provider: Provider) -> Iterator[Peer]:
    key, port = f"sk-{secrets.token_hex(16)}", free_port()
    environ = {
        **provider.environ,
        "LITELLM_MASTER_KEY": key,
        # As its documentation advises for production; and it does not download its table of prices.
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    command: list[str | Path] = [
        INSTALLED / "litellm",
        "--config",
        RIVALS / "litellm.yaml",
        "--host",
        HOST,
        "--port",
        str(port),
    ]
    with served(command, port, stand.directory / "litellm.log", environ, "/health/liveliness") as server:
        yield _peer(server, key, 200, {"the provider's stand-in": provider.group})


@contextmanager
def _arq(stand: Stand, provider: Provider) -> Iterator[Peer]:
    key, port, redis_port = secrets.token_hex(16), free_port(), free_port()
    directory = stand.directory / "redis"
    directory.mkdir()
    redis: list[str | Path] = [
        "redis-server",
        "--port",
        str(redis_port),
        "--bind",
        HOST,
        "--save",
        "",
        "--dir",
        directory,
    ]
    environ = {**provider.environ, "REDIS_PORT": str(redis_port), "API_KEYS": key}
    uvicorn: list[str | Path] = [
        INSTALLED / "uvicorn",
        "arq_service:app",
        "--app-dir",
        RIVALS,
        "--host",
        HOST,
        "--port",
        str(port),
    ]
    with started(redis, stand.directory / "redis.log", {}) as process:
        _wait_for(redis_port)
        log = stand.directory / "arq.log"
        with served([*uvicorn, "--no-access-log"], port, log, environ, "/healthz") as server:
            peer = _peer(server, key, 202, {"Redis": process.pid})
            peer.groups["its Redis"] = process.pid
            yield peer


def _peer(server: Server, key: str, created: int, behind: Mapping[str, int]) -> Peer:
    """A peer that speaks the OpenAI API on one port, and calls one service."""
    headers = {"Authorization": f"Bearer {key}"}
    create = request("POST", "/v1/videos", headers, BODY)
    videos = [_made(server.port, headers) for _ in range(KNOWN)]
    looks = [request("GET", f"/v1/videos/{video}", headers) for video in videos]
    return Peer(
        {
            "create": Operation(server.port, server.group, cycle([create]), created, behind),
            "status": Operation(server.port, server.group, cycle(looks), 200, behind),
        },
        {"": server.started_s},
        {"": server.group},
    )


def _made(port: int, headers: Mapping[str, str]) -> str:
    """The id of a video."""
    answer = httpx2.post(
        f"http://{HOST}:{port}/v1/videos", headers=headers, json=BODY, timeout=ANSWER_TIMEOUT_S, trust_env=False
    )
    return str(answer.raise_for_status().json()["id"])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + REDIS_TIMEOUT_S
    while True:
        try:
            socket.create_connection((HOST, port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


# --- what came out ---


def _goals(cells: Cells, memory: Mapping[str, Mapping[str, float]]) -> Iterator[Goal]:
    for what in OPERATIONS:
        rates = {each: _over(cells, what, each, LITELLM, "rates") for each in CONCURRENCIES}
        least = min(rates, key=lambda each: statistics.median(rates[each]))
        title = f"{what.capitalize()}: requests per second, compared with LiteLLM at the worst concurrency ({least})"
        yield at_least(title, rates[least], FASTER)
        spent = {each: _over(cells, what, each, LITELLM, "cpu_ms") for each in CONCURRENCIES}
        most = max(spent, key=lambda each: statistics.median(spent[each]))
        title = f"{what.capitalize()}: CPU, compared with LiteLLM at the worst concurrency ({most})"
        yield at_most(title, spent[most], round(LEANER, 2))
    theirs = sum(memory[LITELLM].values())
    for name, mib in memory[OURS].items():
        yield at_most(f"Resident memory of {name}, compared with LiteLLM", [mib / theirs], SMALLER)


def _reported(cells: Cells, start: Cell) -> Iterator[Goal]:
    together = [mine + start.cpu_ms[0] for mine in cells[OURS, "create", BUSY].cpu_ms]
    theirs = cells[LITELLM, "create", BUSY].cpu_ms
    ratios = [mine / its for mine, its in zip(together, theirs, strict=True)]
    title = f"CPU of a create plus its start at the provider, {BUSY} at once, compared with LiteLLM's create (both)"
    yield Goal(title, ratio(ratios))
    for what in OPERATIONS:
        for name, attribute in (("requests per second", "rates"), ("CPU", "cpu_ms")):
            found = _over(cells, what, 32, ARQ, attribute)
            yield Goal(f"{what.capitalize()}: {name}, 32 at once, compared with FastAPI + arq + Redis", ratio(found))


def _over(cells: Cells, what: str, concurrency: int, other: str, attribute: str) -> list[float]:
    """Ours over another's, round by round."""
    ours, theirs = (getattr(cells[name, what, concurrency], attribute) for name in (OURS, other))
    return [mine / its for mine, its in zip(ours, theirs, strict=True)]


def _table(
    names: Sequence[str], title: str, values: Mapping[tuple[str, str, int], Sequence[float]], digits: int
) -> str:
    rows = [
        (f"{what}, {concurrency} at once", *(_spread(values[name, what, concurrency], digits) for name in names))
        for what in OPERATIONS
        for concurrency in CONCURRENCIES
    ]
    return report.table(rows, (title, *names))


def _spread(values: Sequence[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _behind(cells: Cells, start: Cell, names: Sequence[str]) -> str:
    """What is done for a request elsewhere: by the services behind, and afterwards."""
    rows = [
        (f"{what} of {name}: {service}", _spread(spent, 2))
        for name in names
        for what in OPERATIONS
        for service, spent in cells[name, what, BUSY].behind_ms.items()
    ]
    rows.append((f"start of {OURS} at the provider, later: the function poll", _spread(start.cpu_ms, 2)))
    return report.table(rows, (f"Per request, {BUSY} at once", "CPU ms in other processes"))


def _bound(cells: Cells) -> str:
    """What keeps the rates of creates down on this machine, in one sentence."""
    cell, cores = cells[OURS, "create", BUSY], os.cpu_count() or 1
    own = statistics.median(cell.cpu_ms)
    behind = sum(statistics.median(spent) for spent in cell.behind_ms.values())
    return (
        f"A create takes {own:.1f} ms of the function's CPU and {behind:.1f} ms of the backend services', so these "
        f"{cores} cores\ncan't do more than {1_000 * cores / (own + behind):.0f} per second. If Firestore isn't on the "
        f"same machine, one core for the\nfunction is enough for {1_000 / own:.0f}."
    )


def _sizes(peers: Mapping[str, Peer], memory: Mapping[str, Mapping[str, float]]) -> str:
    rows = []
    for name, peer in peers.items():
        for part, mib in memory[name].items():
            seconds = f"{peer.started_s[part]:.1f}" if part in peer.started_s else "-"
            rows.append((f"{name}{f', {part}' if part else ''}", f"{mib:.0f}", seconds))
        if name == OURS:
            rows.append((f"{name}, both", f"{sum(memory[name].values()):.0f}", "-"))
    return report.table(rows, ("", "resident after the load, MiB", "start to first 200, s"))


def _pieces(stand: Stand, cells: Cells) -> str:
    """Where our milliseconds go, and how many of them the service on arq takes in all."""
    users = [stand.user() for _ in range(KNOWN)]
    for user in users:
        known(stand, user)
    made = [(user, _made(stand.port("submit"), bearer(user))) for user in users]
    body = json.dumps(BODY).encode()
    creates = [cpu_breakdown.Asked("POST", "/v1/videos", user.token, body) for user in users]
    looks = [cpu_breakdown.Asked("GET", f"/v1/videos/{video}", user.token) for user, video in made]
    columns = {
        "create": cpu_breakdown.measured(stand, "submit", creates, 202),
        "status": cpu_breakdown.measured(stand, "history", looks, 200),
    }
    for what, found in columns.items():
        found["functions-framework and the HTTP server: the empty function"] = _cpu_ms(cells, FLOOR, what)
    names = dict.fromkeys(name for found in columns.values() for name in found)
    rows = [(name, *(_ms(found.get(name)) for found in columns.values())) for name in names]
    rows.append(("**total**", *(f"**{sum(found.values()):.2f}**" for found in columns.values())))
    rows.append(("measured on the server, 8 at once", *(_ms(_cpu_ms(cells, OURS, what)) for what in columns)))
    if (ARQ, "create", BUSY) in cells:
        rows.append(("FastAPI + arq in total, 8 at once", *(_ms(_cpu_ms(cells, ARQ, what)) for what in columns)))
    return report.table(rows, ("CPU ms of one request to Rushes", *columns))


def _cpu_ms(cells: Cells, name: str, what: str) -> float:
    return statistics.median(cells[name, what, BUSY].cpu_ms)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    run_alone("peers", measure)
