"""The processes of a running local cloud, and ways to crash or freeze them."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from local.ports import HOST
from local.supervisor.cloud import CRASH_WINDOW_S, CRASHES_ALLOWED
from testing.cloud import Cloud

BACK_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05
# Two fewer deaths in a minute than those that the supervisor takes for a broken function.
DEATHS_PER_WINDOW = CRASHES_ALLOWED - 2


@dataclass(frozen=True)
class Process:
    """One child of the supervisor; `pgid` is the group that holds its workers too."""

    pid: int
    pgid: int
    port: int
    log: Path


class Processes:
    """Those of one cloud, by name."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._deaths: dict[str, list[float]] = defaultdict(list)

    def __getitem__(self, name: str) -> Process:
        return self.all()[name]

    def all(self) -> dict[str, Process]:
        listed = json.loads((self._cloud.directory / "processes.json").read_text())
        return {
            name: Process(entry["pid"], entry["pgid"], entry["port"], Path(entry["log"]))
            for name, entry in listed.items()
            if name != "supervisor"
        }

    def kill(self, names: Iterable[str]) -> dict[str, Process]:
        """SIGKILL whole groups, all at once; returns them by name."""
        names = list(names)
        for name in names:
            self._spare(name)
        victims = {name: self[name] for name in names}
        for victim in victims.values():
            os.killpg(victim.pgid, signal.SIGKILL)
        return victims

    def replace(self, names: Iterable[str]) -> None:
        """Kill functions, and wait until others answer in their place."""
        for name, victim in self.kill(names).items():
            self.wait_for_successor(name, victim)

    def wait_for_successor(self, name: str, victim: Process) -> None:
        deadline = time.monotonic() + BACK_WITHIN_S
        while self[name].pgid == victim.pgid or not self._answers(name):
            assert time.monotonic() < deadline, f"{name} was not started again"
            time.sleep(LOOK_EVERY_S)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """The process keeps its connections and answers nothing: what a partition looks like from outside."""
        group = self[name].pgid
        os.killpg(group, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):  # killed meanwhile
                os.killpg(group, signal.SIGCONT)

    def logged(self, name: str, message: str) -> list[dict[str, Any]]:
        """The entries of that message in the function's log, those of its earlier processes too."""
        entries = []
        for line in self[name].log.read_text(errors="replace").splitlines():
            if f'"{message}"' in line:
                entry = json.loads(line)
                if entry["message"] == message:
                    entries.append(entry)
        return entries

    def _spare(self, name: str) -> None:
        """Wait while one more crash would make the supervisor give up."""
        deaths = self._deaths[name]
        while len([moment for moment in deaths if moment > time.monotonic() - CRASH_WINDOW_S]) >= DEATHS_PER_WINDOW:
            time.sleep(LOOK_EVERY_S)
        deaths.append(time.monotonic())

    def _answers(self, name: str) -> bool:
        try:
            self._cloud.http.get(f"http://{HOST}:{self[name].port}/")
        except httpx2.TransportError:
            return False
        return True
