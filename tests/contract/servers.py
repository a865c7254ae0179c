"""The real services as processes: Google's Firestore emulator, and our Cloud Storage and Cloud Tasks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.identity.keys import ensure_key
from local.ports import HOST, free_ports
from local.supervisor import firestore

START_WITHIN_S = 60.0
STOP_WITHIN_S = 10.0
BUCKET = "contract"
SIGNER = "signer@example.iam.gserviceaccount.com"
LOCATION = "projects/contract/locations/us-central1"
QUEUES = ("steady", "hasty")


@contextmanager
def firestore_emulator(directory: Path) -> Iterator[str]:
    """host:port of a Firestore emulator."""
    try:
        emulator = firestore.find()
    except firestore.Missing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"missing: {missing}")
        pytest.skip(f"missing: {missing}")
    port = free_ports(1)[0]
    with _process(emulator.command(port, None), directory / "firestore.log") as process:
        _wait_for_http(process, f"http://{HOST}:{port}/")
        yield f"{HOST}:{port}"


@contextmanager
def storage_server(directory: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a storage server with one bucket, and the key of the signer that it believes."""
    key = directory / "signer.pem"
    ensure_key(key)
    port = free_ports(1)[0]
    options = ("--port", port, "--directory", directory / "storage", "--bucket", BUCKET)
    command = (*_module("local.storage"), *options, "--signer-key", key, "--signer-email", SIGNER)
    with _process(command, directory / "storage.log") as process:
        _wait_for_http(process, f"http://{HOST}:{port}/")
        yield f"http://{HOST}:{port}", key


@contextmanager
def tasks_server(directory: Path) -> Iterator[str]:
    """host:port of a Cloud Tasks server with two queues, both of which repeat quickly."""
    queues = directory / "queues.json"
    backoff = {"min_backoff_s": 0.05, "max_backoff_s": 0.2, "max_attempts": -1}
    queues.write_text(json.dumps([{"name": name, **backoff} for name in QUEUES]))
    key = directory / "oidc.pem"
    ensure_key(key)
    port = free_ports(1)[0]
    options = ("--port", port, "--queues", queues, "--location", LOCATION, "--oidc-key", key)
    with _process((*_module("local.tasks"), *options), directory / "tasks.log") as process:
        _wait_for_line(process, directory / "tasks.log", "ready")
        yield f"{HOST}:{port}"


def _module(name: str) -> tuple[str, ...]:
    return sys.executable, "-m", name


@contextmanager
def _process(command: Sequence[object], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_http(process: subprocess.Popen[bytes], url: str) -> None:
    for _ in _moments(process):
        try:
            urllib.request.urlopen(url, timeout=STOP_WITHIN_S).close()
            return
        except urllib.error.URLError:
            continue
    raise TimeoutError(f"{url} does not answer")


def _wait_for_line(process: subprocess.Popen[bytes], log: Path, word: str) -> None:
    for _ in _moments(process):
        if word in log.read_text():
            return
    raise TimeoutError(f"{log} never said {word!r}")


def _moments(process: subprocess.Popen[bytes]) -> Iterator[None]:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        yield
        time.sleep(0.05)
