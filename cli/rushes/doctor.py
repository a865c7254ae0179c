"""Check what is missing on this machine, and how to get it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, Final, Literal

import httpx2

from rushes import checkout, transport
from rushes.api import Api, failure_of, unreachable
from rushes.checkout import Checkout
from rushes.connection import Connection
from rushes.exit_codes import Exit
from rushes.failure import Failure
from rushes.run import Run

# Only `missing` keeps commands from working; a `warning` has a stand-in, or is for some purposes only.
State = Literal["ok", "warning", "missing", "skipped"]
LEAST_PYTHON: Final = (3, 11)
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT_S: Final = 30.0
EMULATOR: Final = "gcloud components install cloud-firestore-emulator, or apt-get with Google's packages"
JAVA: Final = "apt-get install default-jre-headless, brew install openjdk, or https://adoptium.net"
CHROMIUM: Final = "apt-get install chromium, or brew install --cask chromium"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    said: str
    remedy: str = ""

    def document(self) -> dict[str, str]:
        return asdict(self)


def examine(run: Run) -> list[Finding]:
    """Everything, in the order in which one would mend it."""
    return [*_machine(), *_server(run)]


def _machine() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= LEAST_PYTHON
    yield Finding("python", "ok" if fine else "missing", version, "" if fine else "Python 3.11 or newer: python.org")
    yield _package("mcp", "rushes mcp, for assistants", "pipx inject rushes-cli mcp jsonschema, or pip install them")
    found = checkout.find()
    if found is None:
        yield Finding("checkout", "skipped", "none; only rushes up needs one")
        return
    yield Finding("checkout", "ok", str(found.root))
    yield from _environment(found)
    yield from _parts(found)
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser:
        yield Finding("chromium", "ok", browser)
    else:
        yield Finding("chromium", "warning", "none on the PATH; only the browser tests need it", CHROMIUM)


def _package(name: str, purpose: str, remedy: str) -> Finding:
    if find_spec(name):
        return Finding(name, "ok", "installed")
    return Finding(name, "warning", f"not installed; only for {purpose}", remedy)


def _environment(found: Checkout) -> Iterator[Finding]:
    make = shutil.which("make")
    if make:
        yield Finding("make", "ok", make)
    else:
        state: State = "warning" if found.installed else "missing"
        yield Finding("make", state, "not on the PATH", "apt-get install make, or xcode-select --install")
    if found.installed:
        yield Finding("environment", "ok", str(found.python))
    else:
        yield Finding("environment", "missing", f"{found.root / '.venv'} is incomplete", f"make -C {found.root} run")


def _parts(found: Checkout) -> Iterator[Finding]:
    """What the cloud on this machine itself says of its parts."""
    if not found.python.exists():
        yield Finding("firestore emulator", "skipped", "the environment checks for it")
        return
    try:
        done = subprocess.run(  # noqa: S603 - the checkout's own interpreter
            [found.python, "-m", "local.supervisor.parts"],
            cwd=found.root,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        said: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        yield Finding("firestore emulator", "warning", f"couldn't check: {error}", "make run")
        return
    if said["emulator"]:
        yield Finding("firestore emulator", "ok", said["emulator"]["jar"])
        yield Finding("java", "ok", said["emulator"]["java"])
    else:
        remedy = JAVA if said["missing"].startswith("java") else EMULATOR
        yield Finding(
            "firestore emulator", "warning", f"no {said['missing']}; the embedded form is used instead", remedy
        )
    yield _port(found, said["port"])


def _port(found: Checkout, port: dict[str, Any]) -> Finding:
    name, session = f"port {port['number']}", found.session()
    if port["free"]:
        return Finding(name, "ok", "free")
    if session and str(session["url"]).endswith(f":{port['number']}"):
        return Finding(name, "ok", "used by this cloud")
    return Finding(name, "warning", f"used by {port['holder'] or 'another program'}; rushes up picks another", "--port")


def _server(run: Run) -> Iterator[Finding]:
    try:
        connection = run.connection
    except Failure as nowhere:
        if nowhere.code.startswith("CREDENTIALS_"):
            yield Finding("server", "skipped", "its URL is stored with the credentials")
            yield Finding("credentials", "missing", nowhere.message, nowhere.suggested_action)
            return
        yield Finding("server", "missing", nowhere.message, nowhere.suggested_action)
        yield Finding("credentials", "skipped", "no server to test them with")
        return
    failure = _answering(connection)
    if failure is not None:
        yield Finding("server", "missing", failure.message, "rushes up, or the right --url")
        yield Finding("credentials", "skipped", "the server doesn't respond")
        return
    yield Finding("server", "ok", connection.url)
    try:
        with Api(connection, retry_for_s=0.0) as api:
            account = api.get("/v1/account")
    except Failure as refused:
        yield Finding("credentials", "missing", f"{connection.source}: {refused.message}", refused.suggested_action)
        return
    yield Finding("credentials", "ok", f"{connection.source}: {account['email']}, {account['balance']} credits")


def _answering(connection: Connection) -> Failure | None:
    """What keeps the server from answering as Rushes does; None when nothing does."""
    address = f"{connection.url}/v1/account"
    try:
        with transport.client(address, TIMEOUT_S) as client:
            answer = client.get(address)
    except httpx2.TransportError as error:
        return unreachable(error)
    failure = failure_of(answer)
    return None if failure.exit is Exit.AUTH else failure
