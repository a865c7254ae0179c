"""Time from process start to the first 2xx response: each function compared with a bare function.

That least is a function on functions-framework that answers at once and imports the same Google clients: those that
ours imports when it starts, and those that its first request makes it import. Ours is asked for real work: its first
answer includes reading the settings, making the clients and calling the services.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import machine, report
from bench.environment import Stand, bearer, known
from bench.goals import Part, at_most, run_alone
from bench.servers import ROOT, Server, function
from shared.api.routing import FUNCTIONS, Function
from testing.cloud import User
from tools import cold_start as imports

ROUNDS: Final = 5
LIMIT: Final = 1.3
PROMPT: Final = "A paper boat sails down a rainy street"
# A project of its own, so that a sweep finds nothing to do: what the other benches left is not its cold start.
EMPTY_PROJECT: Final = "nothing-yet"

_FIRESTORE = "from google.cloud.firestore import AsyncClient"
_TASKS = """\
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport"""
_STORAGE = """\
import google.auth.transport.requests
from google.cloud.storage import Client"""
_GENAI = """\
import google.auth.transport.requests
import google.oauth2.credentials
from google import genai
from google.genai import types"""
# What each function's first request below makes it import: shared/wiring.py says which gateway needs which client.
CLIENTS: Final[Mapping[Function, tuple[str, ...]]] = {
    "submit": (_FIRESTORE, _TASKS),
    "poll": (_FIRESTORE, _TASKS, _GENAI),
    "deliver": (_FIRESTORE,),
    "stream": (_FIRESTORE, _STORAGE),
    "history": (_FIRESTORE,),
    "cleanup": (_FIRESTORE,),
}
HELLO: Final = """\
import functions_framework.aio
{clients}
from starlette.responses import PlainTextResponse


@functions_framework.aio.http
async def hello(request):
    return PlainTextResponse("hello")
"""


@dataclass
class Starts:
    """Seconds to the first answer, and MiB afterwards, round by round."""

    seconds: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)

    def add(self, starting: AbstractContextManager[Server]) -> None:
        with starting as server:
            self.seconds.append(server.started_s)
            self.mib.append(machine.memory_mib(server.group))


def measure(stand: Stand) -> Part:
    user = stand.user()
    known(stand, user)
    ours = {name: Starts() for name in FUNCTIONS}
    hellos = {name: Starts() for name in FUNCTIONS}
    for number in range(ROUNDS):
        for name in FUNCTIONS:
            sides = [(ours[name], _ours(stand, user, name)), (hellos[name], _hello(stand, name))]
            for starts, starting in sides if number % 2 == 0 else sides[::-1]:
                starts.add(starting)
    goals = [
        at_most(f"{name}: start to first 2xx, compared with a bare function with Google's clients", ratios, LIMIT)
        for name in FUNCTIONS
        if (ratios := [mine / its for mine, its in zip(ours[name].seconds, hellos[name].seconds, strict=True)])
    ]
    rows = [(name, *_import_ms(name), *_figures(ours[name]), *_figures(hellos[name])) for name in FUNCTIONS]
    head = (
        *("", "framework's import, ms", "function's import, ms"),
        *("start to first 2xx, s", "memory after that, MiB", "bare function, s", "its memory, MiB"),
    )
    return Part(goals, f"{report.table(rows, head)}\n\n{NOTE}")


NOTE: Final = """\
The first request to submit creates a video, to poll starts one at the provider, to deliver is for a message that
doesn't exist, to stream gets a signed URL, to history gets a video, and to cleanup sweeps an empty database. The bare
function responds without doing anything; the difference is the time for our own imports, for creating the clients and
for their calls."""


def _ours(stand: Stand, user: User, name: Function) -> AbstractContextManager[Server]:
    environ = stand.environ
    method, path, asked = _first(stand, user, name)
    if name == "cleanup":
        environ = {**environ, "GOOGLE_CLOUD_PROJECT": EMPTY_PROJECT}
    source, log = ROOT / "functions" / name / "main.py", stand.directory / f"cold-{name}.log"
    return function(name, source, log, environ, path, method=method, **asked)


def _first(stand: Stand, user: User, name: Function) -> tuple[str, str, dict[str, Any]]:
    """The first request of a function: method, path and the rest."""
    match name:
        case "submit":
            return "POST", "/v1/videos", {"headers": bearer(user), "json": {"prompt": PROMPT}}
        case "poll":
            return "POST", "/tasks/step", {"json": {"job": user.create(PROMPT)["id"], "step": 0}}
        case "deliver":
            return "POST", "/tasks/webhook", {"json": {"id": "msg_none", "step": 0}}
        case "stream":
            return "GET", f"/v1/videos/{_completed(stand, user)}/content?redirect=json", {"headers": bearer(user)}
        case "history":
            return "GET", f"/v1/videos/{user.create(PROMPT)['id']}", {"headers": bearer(user)}
        case "cleanup":
            return "POST", "/tasks/sweep", {}


def _completed(stand: Stand, user: User) -> str:
    """A video that the store says is there: what is signed is its name."""
    video = str(user.create(PROMPT)["id"])
    output = {"uri": "gs://bucket/video.mp4", "object": "video.mp4", "poster": "video.jpg", "size_bytes": 1_000_000}
    with stand.firestore() as client:
        client.collection("jobs").document(video).update(
            {"status": "completed", "stage": "completed", "completed_at": datetime.now(UTC), "outputs": [output]}
        )
    return video


def _hello(stand: Stand, name: Function) -> AbstractContextManager[Server]:
    source = stand.directory / f"hello-{name}" / "main.py"
    source.parent.mkdir(exist_ok=True)
    source.write_text(HELLO.format(clients="\n".join(CLIENTS[name])))
    return function("hello", source, stand.directory / "hello.log", {})


def _import_ms(name: Function) -> tuple[str, str]:
    """Milliseconds for the framework, and for the function beyond that, from the tree as it is."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "main.py").symlink_to(ROOT / "functions" / name / "main.py")
        (Path(directory) / "shared").symlink_to(ROOT / "shared")
        times = imports.measure(Path(sys.executable), Path(directory))
    return f"{times[0] * 1_000:.0f}", f"{times[1] * 1_000:.0f}"


def _figures(starts: Starts) -> tuple[str, str]:
    seconds = starts.seconds
    return (
        f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})",
        f"{statistics.median(starts.mib):.0f}",
    )


if __name__ == "__main__":
    run_alone("cold-start", measure)
