"""The supervisor of the cloud on a laptop: starts its processes, watches over them, and ends them all.

A function that dies is started again, as Cloud Run does; the end of any other process ends everything. Whatever ends
the supervisor, none of its children stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from local.files import write_json
from local.identity.keys import Signer
from local.ports import DEFAULT_PORT, HOST, free_ports, holder, is_free
from local.supervisor import firestore, health, live_settings
from local.supervisor.console import Console
from local.supervisor.plan import PROJECT, ROOT, Member, Plan
from local.supervisor.process import Child, Guard, adopt_orphans, rotate, tail
from local.supervisor.session import (
    ADMIN,
    CALL_TIMEOUT_S,
    DEVELOPER,
    OPERATOR,
    NotSignedIn,
    SessionFile,
    fund,
    give_role,
    sign_in,
)
from shared.api.routing import FUNCTIONS

START_TIMEOUT_S: Final = 120.0
GRACE_S: Final = 5.0
LOG_LINES: Final = 20
# The functions' crashes that are put up with: after the fifth in a minute something is broken for good.
CRASHES_ALLOWED: Final = 5
CRASH_WINDOW_S: Final = 60.0
FIRST_BACKOFF_S: Final = 0.1
# Those that call go before those that are called, so that nothing fails for want of the next.
STOP_ORDER: Final = (
    ("gateway", "embedded"),
    FUNCTIONS,
    ("scheduler", "tasks"),
    ("providers",),
    ("storage", "identity"),
)


class Failed(Exception):  # noqa: N818 - reads as the state it names
    """The cloud cannot start or continue; `log` is the end of the relevant log."""

    def __init__(self, message: str, log: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.log = list(log)


@dataclass(frozen=True)
class Options:
    """How to run: `port` is the gateway's, None for 8080 or, when that is taken or nobody looks on, any."""

    directory: Path
    port: int | None = None
    headless: bool = False
    embedded: bool = False
    strict: bool = False
    sweep_every_s: float | None = None
    functions: Path = ROOT / "functions"


class Crashes:
    """The deaths of one function within the last minute."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._times: deque[float] = deque()

    def another(self) -> float | None:
        """Seconds to wait before it is started again, or None when it has died too often."""
        now = self._now()
        self._times.append(now)
        while self._times[0] <= now - CRASH_WINDOW_S:
            self._times.popleft()
        if len(self._times) >= CRASHES_ALLOWED:
            return None
        return FIRST_BACKOFF_S * float(2 ** (len(self._times) - 1))


class Cloud:
    """One run of the local cloud in one directory, which the caller has locked."""

    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._console = console
        self._directory = options.directory
        self._session = SessionFile(options.directory)
        self._children: dict[str, Child] = {}
        self._answered: set[str] = set()
        self._ports: dict[str, int] = {}
        self._restarts: dict[str, int] = {}
        self._watchers: list[asyncio.Task[None]] = []
        self._stop_asked = asyncio.Event()
        self._stopping = False
        self._failure: Failed | None = None
        self._exports: firestore.Exports | None = None
        self._guard: Guard | None = None

    async def run(self) -> int:
        """Run until stopped; returns the exit code: 0, or 1 if something failed."""
        adopt_orphans()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ask_to_stop)
        self._session.remove()
        try:
            await self._or_stop(self._start())
            await self._stop_asked.wait()
        except Failed as failure:
            self._failure = failure
        finally:
            await self._end()
        if self._failure:
            self._console.failure(str(self._failure), self._failure.log)
        return 1 if self._failure else 0

    def _ask_to_stop(self) -> None:
        if self._stopping:
            # Asked twice: no more patience.
            for child in self._children.values():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.group, signal.SIGKILL)
        self._stop_asked.set()

    async def _or_stop(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, but leave it as soon as a stop is asked for."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stop_asked.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done():
            working.result()
            return
        working.cancel()
        await asyncio.wait({working})

    # --- starting ---

    async def _start(self) -> None:
        began = time.monotonic()
        plan = self._plan(self._gateway_port())
        emulator = self._emulator()
        members = self._members(plan, emulator)
        for member in members:
            rotate(member.spec.log)
        self._guard = Guard(ROOT)
        processes = "1 process" if len(members) == 1 else f"{len(members)} processes"
        self._console.say(f"Starting {processes}; logs are in {self._directory / 'logs'}")
        self._watchers = [asyncio.create_task(self._supervise(member)) for member in members]
        await asyncio.gather(*(self._answers(member, began) for member in members))
        if emulator:
            self._watchers.append(asyncio.create_task(self._keep_exporting()))
            await self._open_session(plan)
        else:
            await self._session.written()
        self._console.address(plan.gateway)

    def _gateway_port(self) -> int:
        asked = self._options.port
        if asked:
            if not is_free(asked):
                raise Failed(f"Port {asked} is taken{_by(asked)}. Choose another with PORT=.")
            return asked
        if asked == 0 or self._options.headless:
            return free_ports(1)[0]
        if is_free(DEFAULT_PORT):
            return DEFAULT_PORT
        port = free_ports(1)[0]
        self._console.notice(f"Port {DEFAULT_PORT} is taken{_by(DEFAULT_PORT)}; using {port} instead.")
        return port

    def _plan(self, gateway_port: int) -> Plan:
        ports = dict(zip(Plan.SERVERS, free_ports(len(Plan.SERVERS)), strict=True))
        return Plan(
            self._directory,
            {**ports, "gateway": gateway_port},
            functions=self._options.functions,
            sweep_every_s=self._options.sweep_every_s,
        )

    def _emulator(self) -> firestore.Emulator | None:
        """What runs Firestore, or None for the embedded form."""
        if self._options.embedded:
            self._console.notice("Embedded: everything in one process, as EMBEDDED=1 asks.")
            return None
        if os.environ.get("VERTEX_PROJECT") and not os.environ.get("BUCKET"):
            raise Failed("VERTEX_PROJECT needs BUCKET: Vertex AI writes its videos to a bucket of that project.")
        try:
            return firestore.find()
        except firestore.Missing as missing:
            if self._options.strict:
                raise Failed(f"Missing: {missing}. With CI=true there is no fallback.") from None
            self._console.notice(f"Embedded: everything in one process, because {missing} is missing.")
            return None

    def _members(self, plan: Plan, emulator: firestore.Emulator | None) -> list[Member]:
        if emulator is None:
            return plan.embedded()
        self._exports = firestore.Exports(self._directory / "firestore", PROJECT, plan.url("firestore"))
        if saved := self._exports.newest():
            lost = "" if saved.clean else f" (at most {firestore.EXPORT_EVERY_S:.0f} s lost)"
            self._console.say(f"Firestore data as of {saved.moment}{lost}")
        imported = self._exports.importable()
        self._exports.opened()
        return plan.members(emulator, imported)

    async def _answers(self, member: Member, began: float) -> None:
        try:
            await asyncio.wait_for(health.ready(member), START_TIMEOUT_S)
        except TimeoutError:
            log = tail(member.spec.log, LOG_LINES)
            raise Failed(f"{member.name} didn't respond within {START_TIMEOUT_S:.0f} s:", log) from None
        self._answered.add(member.name)
        self._console.ready(member.name, time.monotonic() - began)

    async def _open_session(self, plan: Plan) -> None:
        signer = Signer.of(self._directory / "identity", PROJECT)
        passwords = self._directory / "keys"
        try:
            async with httpx2.AsyncClient(trust_env=False, timeout=CALL_TIMEOUT_S) as client:
                await firestore.load_rules(client, plan.url("firestore"), PROJECT)
                # Before the first request, since the functions keep what they read for a minute.
                await live_settings.write(
                    client, plan.url("firestore"), PROJECT, plan.expected_times, plan.preferred_providers
                )
                developer = await sign_in(client, plan.gateway, signer, passwords, DEVELOPER)
                admin = await sign_in(client, plan.gateway, signer, passwords, ADMIN)
                operator = await sign_in(client, plan.gateway, signer, passwords, OPERATOR)
                for person, role in ((admin, "admin"), (operator, "operator")):
                    await give_role(client, plan.gateway, plan.url("firestore"), PROJECT, person, role)
                await fund(client, plan.gateway, operator)
        except (NotSignedIn, httpx2.HTTPError) as error:
            raise Failed(f"The first sign-in failed: {error or type(error).__name__}") from None
        self._session.write(plan.gateway, PROJECT, developer, admin, operator, **_addresses(plan))

    # --- watching ---

    async def _supervise(self, member: Member) -> None:
        """Keep one process running until everything stops."""
        crashes = Crashes()
        while not self._stopping:
            try:
                child = await self._spawn(member)
            except OSError as error:
                self._fail(Failed(f"{member.name} can't be run: {error}"))
                return
            code = await child.wait()
            if self._stopping:
                return
            # One that never answered would not do so the next time.
            restartable = member.function and member.name in self._answered
            delay_s = crashes.another() if restartable else None
            if delay_s is None:
                often = f" for the {CRASHES_ALLOWED}th time in a minute" if restartable else ""
                self._fail(Failed(f"{member.name} ended ({_ending(code)}){often}:", tail(member.spec.log, LOG_LINES)))
                return
            self._console.notice(f"{member.name} ended ({_ending(code)}); restarting in {delay_s:.1f} s")
            self._restarts[member.name] = self._restarts.get(member.name, 0) + 1
            await asyncio.sleep(delay_s)

    async def _spawn(self, member: Member) -> Child:
        assert self._guard is not None
        child = await Child.start(member.spec, self._guard)
        self._children[member.name] = child
        self._ports[member.name] = member.port
        self._write_processes()
        return child

    def _write_processes(self) -> None:
        """`processes.json`: whom to kill to see what happens; the group of a function holds its worker too."""
        listed = {
            name: {
                "pid": child.process.pid,
                "pgid": child.group,
                "port": self._ports[name],
                "restarts": self._restarts.get(name, 0),
                "log": str(child.spec.log),
            }
            for name, child in self._children.items()
        }
        write_json(self._directory / "processes.json", {"supervisor": {"pid": os.getpid()}, **listed})

    def _fail(self, failure: Failed) -> None:
        # The first failure is the cause; what follows it are consequences.
        self._failure = self._failure or failure
        self._stop_asked.set()

    async def _keep_exporting(self) -> None:
        while True:
            await asyncio.sleep(firestore.EXPORT_EVERY_S)
            await self._export(clean=False)

    async def _export(self, *, clean: bool) -> None:
        if self._exports is None:
            return
        try:
            await self._exports.save(clean=clean)
        except (httpx2.HTTPError, OSError) as error:
            self._console.notice(f"Firestore's data couldn't be exported: {error or type(error).__name__}")

    # --- stopping ---

    async def _end(self) -> None:
        """End every child, callers first; nothing of it may fail half-way."""
        self._stopping = True
        self._session.remove()
        if self._children:
            self._console.say("Stopping")
        for names in STOP_ORDER:
            await self._stop(names)
        if self._running("firestore"):
            await self._export(clean=True)
        await self._stop(tuple(self._children))
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        if self._guard is not None:
            self._guard.close()
        (self._directory / "processes.json").unlink(missing_ok=True)
        shutil.rmtree(self._directory / "run", ignore_errors=True)

    def _running(self, name: str) -> bool:
        return name in self._children and self._children[name].running

    async def _stop(self, names: Iterable[str]) -> None:
        await asyncio.gather(*(self._children[name].stop(GRACE_S) for name in names if name in self._children))


def _addresses(plan: Plan) -> dict[str, Any]:
    servers = {name: plan.url(name) for name in ("storage", "providers", "identity")}
    hosts = {name: f"{HOST}:{plan.ports[name]}" for name in ("firestore", "tasks")}
    return {"bucket": plan.bucket, **servers, **hosts, "functions": {name: plan.url(name) for name in FUNCTIONS}}


def _by(port: int) -> str:
    who = holder(port)
    return f" by {who}" if who else ""


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
