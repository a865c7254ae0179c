"""Child processes: each in a session of its own, logging to a file, and never outliving its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
KILL_WAIT_S: Final = 5.0
REAP_EVERY_S: Final = 0.01
KEPT_LOGS: Final = 1

# Loaded before the first fork: dlopen between fork and exec may find a lock held for ever.
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Spec:
    """What to run: `env` is the whole environment, `log` takes both output streams."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    directory: Path
    log: Path


class Guard:
    """The supervisor's end of the guard process."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local.supervisor.guard"],
            stdin=subprocess.PIPE,
            cwd=root,
            start_new_session=True,
            text=True,
            bufsize=1,
        )

    def watch(self, group: int) -> None:
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """Ends the guard, and with it what it still watches."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        # The guard is a second safety net: without it the children still get the kernel's parent-death signal.
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(line)


@dataclass
class Child:
    """One running child. `exit_code` resolves when it has ended, by itself or stopped."""

    spec: Spec
    process: asyncio.subprocess.Process
    guard: Guard
    started_at: float = field(default_factory=time.monotonic)
    _gone: bool = False

    @classmethod
    async def start(cls, spec: Spec, guard: Guard) -> Child:
        """Spawn it at the end of its log. Raises OSError when the program cannot be run."""
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        with spec.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *spec.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=spec.directory,
                env=dict(spec.env),
                start_new_session=True,
                preexec_fn=killed_with_parent,
            )
        guard.watch(process.pid)
        return cls(spec, process, guard)

    @property
    def group(self) -> int:
        """The process group, which is also the leader's id: `killpg` of it reaches its workers too."""
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.returncode is None

    async def wait(self) -> int:
        """The leader's exit code (negative: the signal that ended it), once its whole group is gone."""
        code = await self.process.wait()
        if not self._gone:
            await self._end_group()
            self._gone = True
            self.guard.forget(self.group)
        return code

    async def stop(self, grace_s: float) -> int:
        """SIGTERM to the group, SIGKILL when it is still there after `grace_s`."""
        self._signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(asyncio.shield(self.wait()), grace_s)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            return await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, number)

    async def _end_group(self) -> None:
        """Kill and reap what the leader left behind: a worker that keeps the port would block a restart."""
        deadline = time.monotonic() + KILL_WAIT_S
        while time.monotonic() < deadline:
            try:
                os.killpg(self.group, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                return
            _reap(self.group)
            await asyncio.sleep(REAP_EVERY_S)


def adopt_orphans() -> None:
    """Become the parent of our children's orphaned children (Linux), so that they can be reaped here."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def killed_with_parent() -> None:
    """For a child, between fork and exec: the kernel kills it when its parent ends (Linux)."""
    _follow_parent(signal.SIGKILL)


def ended_with_parent() -> None:
    """For a child, between fork and exec: it is asked to end when its parent ends (Linux)."""
    _follow_parent(signal.SIGTERM)


def _follow_parent(number: signal.Signals) -> None:
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def rotate(log: Path) -> None:
    """Start a new `log`; the previous one is kept next to it."""
    if log.exists():
        log.replace(log.with_suffix(f".{KEPT_LOGS}.log"))


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log, as far as there are any."""
    try:
        with log.open(errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=lines)]
    except FileNotFoundError:
        return []


def _reap(group: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-group, os.WNOHANG)
