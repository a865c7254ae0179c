"""Servers measured for comparison: each in its own process group, stopped after the measurement."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from local.ports import HOST, free_ports
from local.supervisor.plan import INHERITED

ROOT = Path(__file__).parents[1]
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 10.0
LOOK_EVERY_S = 0.005


@dataclass(frozen=True)
class Server:
    """A running server. `started_s`: from its start to its first answer of 2xx."""

    port: int
    group: int
    started_s: float


@contextmanager
def served(
    command: Sequence[str | Path],
    port: int,
    log: Path,
    environ: Mapping[str, str],
    path: str = "/",
    cwd: Path = ROOT,
    method: str = "GET",
    **asked: Any,
) -> Iterator[Server]:
    """The server that the command starts, from the first 2xx on that `path`, method and other parts of a request get.

    Raises RuntimeError when there is none.
    """
    with httpx2.Client(timeout=ANSWER_TIMEOUT_S, trust_env=False) as client:
        request = client.build_request(method, f"http://{HOST}:{port}{path}", **asked)
        began = time.perf_counter()
        with started(command, log, environ, cwd) as process:
            _wait(process, lambda: client.send(request).is_success, f"{method} {path}", log)
            yield Server(port, process.pid, time.perf_counter() - began)


@contextmanager
def started(
    command: Sequence[str | Path], log: Path, environ: Mapping[str, str], cwd: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """The process that the command starts, in a group of its own; it may not answer yet."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    # gunicorn keeps a control socket there.
    runtime = Path(tempfile.mkdtemp(prefix="bench-"))
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env={**inherited, "XDG_RUNTIME_DIR": str(runtime), **environ},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(process)
        shutil.rmtree(runtime)


def function(
    target: str, source: Path, log: Path, environ: Mapping[str, str], path: str = "/", **asked: Any
) -> AbstractContextManager[Server]:
    """A function served as the cloud serves it, by functions-framework with one worker, on a free port."""
    port = free_port()
    program = Path(sys.executable).with_name("functions-framework")
    command = [program, "--target", target, "--source", source, "--host", HOST, "--port", str(port)]
    return served(command, port, log, environ, path, **asked)


def free_port() -> int:
    return free_ports(1)[0]


def _wait(process: subprocess.Popen[bytes], answers: Callable[[], bool], asked: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        with contextlib.suppress(httpx2.TransportError):
            if answers():
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no answer to {asked}:\n{log.read_text(errors='replace')[-4_000:]}")
        time.sleep(LOOK_EVERY_S)


def _stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
