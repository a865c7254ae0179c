"""Servers that are measured beside ours: each a process group of its own, ended when the measuring is done."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from local.plan import INHERITED
from local.ports import HOST, free_ports

ROOT = Path(__file__).parents[1]
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0
LOOK_EVERY_S = 0.005


@dataclass(frozen=True)
class Server:
    """A running server. `started_s`: from its start to its first answer of 200."""

    port: int
    group: int
    started_s: float


@contextmanager
def served(
    command: Sequence[str | Path], port: int, log: Path, environ: Mapping[str, str], path: str = "/", cwd: Path = ROOT
) -> Iterator[Server]:
    """The server that the command starts, from the first 200 of `path` on. Raises RuntimeError when there is none."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    # gunicorn keeps a control socket there.
    runtime = Path(tempfile.mkdtemp(prefix="bench-"))
    began = time.perf_counter()
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
        _wait(process, f"http://{HOST}:{port}{path}", log)
        yield Server(port, process.pid, time.perf_counter() - began)
    finally:
        _stop(process)
        shutil.rmtree(runtime)


def framework(target: str, source: Path, port: int) -> list[str | Path]:
    """The command that serves a function as the cloud does: functions-framework, one worker."""
    program = Path(sys.executable).with_name("functions-framework")
    return [program, "--target", target, "--source", source, "--host", HOST, "--port", str(port)]


def free_port() -> int:
    return free_ports(1)[0]


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with httpx2.Client(timeout=10.0, trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx2.TransportError):
                if client.get(url).status_code == httpx2.codes.OK:
                    return
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{url} does not answer:\n{log.read_text(errors='replace')[-4_000:]}")
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
