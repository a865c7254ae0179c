"""The supervisor brings the local cloud up as one and takes it down as one, and what users made survives it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest

from local.ports import free_ports, holder
from local.supervisor import firestore
from local.supervisor.cloud import CRASH_WINDOW_S, CRASHES_ALLOWED, Cloud, Crashes, Options
from local.supervisor.console import Console
from local.supervisor.plan import INHERITED, PROJECT, ROOT, Plan
from shared.api.routing import FUNCTIONS
from shared.core.catalog import MODELS

DEADLINE_S = 90.0
OWNER = {"Authorization": "Bearer owner"}
NOTES = f"/v1/projects/{PROJECT}/databases/(default)/documents/notes"
NOTE = {"fields": {"text": {"stringValue": "kept"}}}

# Small functions with the least that a start needs: the first request of a user makes its account.
FUNCTION = """
import base64
import json
import os

import functions_framework.aio
import httpx2
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

ACCOUNTS = f"http://{os.environ['FIRESTORE_EMULATOR_HOST']}/v1/projects/rushes-local/databases/(default)/documents/accounts"


async def estimate(request):
    claims = request.headers["authorization"].split(".")[1]
    subject = json.loads(base64.urlsafe_b64decode(claims + "=="))["sub"]
    document = {"fields": {"sub": {"stringValue": subject}, "role": {"stringValue": "user"}}}
    async with httpx2.AsyncClient(headers={"Authorization": "Bearer owner"}) as client:
        (await client.post(ACCOUNTS, params={"documentId": subject}, json=document)).raise_for_status()
    return JSONResponse({})


async def who(request):
    return JSONResponse({"function": "NAME", "pid": os.getpid()})


ALL = Route("/{path:path}", who, methods=["GET", "POST"])
app = Starlette(routes=[Route("/v1/videos/estimate", estimate, methods=["POST"]), ALL])


@functions_framework.aio.http
async def NAME(request):
    return app
"""


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of the condition; fails when there is none in good time."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    pytest.fail(f"waited {DEADLINE_S:.0f} s in vain: {what}")


class Up:
    """`python -m local up` in a directory, as a user starts it."""

    def __init__(self, directory: Path, functions: Path, *arguments: str) -> None:
        self.directory = directory
        self.output = directory.with_suffix(".out")
        command = [sys.executable, "-m", "local", "up", "--headless", "--directory", str(directory)]
        env = {name: os.environ[name] for name in INHERITED if name in os.environ}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--functions", str(functions), *arguments],
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env=env,
                start_new_session=True,
            )

    def ready(self) -> dict[str, Any]:
        """The session, once it is written."""

        def read() -> Any:
            assert self.process.poll() is None, self.text
            # A killed run leaves its session behind; only the line on the screen says that this one is up.
            up = "The studio is at" in self.text
            return json.loads((self.directory / "session.json").read_text()) if up else None

        session: dict[str, Any] = eventually(read, f"a session in {self.text}")
        return session

    @property
    def text(self) -> str:
        return self.output.read_text()

    def processes(self) -> dict[str, dict[str, Any]]:
        """What runs, by name, without the supervisor."""
        listed: dict[str, dict[str, Any]] = json.loads((self.directory / "processes.json").read_text())
        del listed["supervisor"]
        return listed

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(DEADLINE_S)


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def nothing_lives(processes: dict[str, dict[str, Any]]) -> bool:
    """Whether none runs; one that has ended may still wait to be reaped by the system's first process."""
    groups = {process["pgid"] for process in processes.values()}
    if sys.platform != "linux":
        return all_gone(processes)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _parent, group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(group) in groups and state != "Z":
                return False
    return True


def all_gone(processes: dict[str, dict[str, Any]]) -> bool:
    return all(group_is_gone(process["pgid"]) for process in processes.values())


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("functions")
    for name in FUNCTIONS:
        (root / name).mkdir()
        (root / name / "main.py").write_text(FUNCTION.replace("NAME", name))
    return root


@pytest.fixture(scope="module")
def emulator() -> None:
    try:
        firestore.find()
    except firestore.Missing as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"needs {missing}")


@pytest.fixture(scope="module")
def shared_up(tmp_path_factory: pytest.TempPathFactory, functions: Path, emulator: None) -> Iterator[Up]:
    """One cloud that several tests share without stopping it; the others start their own."""
    up = Up(tmp_path_factory.mktemp("shared") / "data", functions)
    up.ready()
    yield up
    up.stop()


@pytest.fixture
def start(tmp_path: Path, functions: Path, emulator: None) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def starting(*arguments: str) -> Up:
        started.append(Up(tmp_path / "data", functions, *arguments))
        return started[-1]

    yield starting
    for up in started:
        up.stop()


def test_session_file_authenticates_a_script(shared_up: Up) -> None:
    """Its two tokens are valid for hours, its addresses respond, and no other user can read it."""
    session = shared_up.ready()
    assert (shared_up.directory / "session.json").stat().st_mode & 0o777 == 0o600
    keys = jwt.PyJWKClient(session["identity"] + "/.well-known/jwks.json")
    for name in ("token", "admin_token"):
        key = keys.get_signing_key_from_jwt(session[name])
        claims = jwt.decode(session[name], key, algorithms=["RS256"], audience=session["project"])
        assert claims["email_verified"]
        assert claims["exp"] - claims["iat"] >= 6 * 3600
    assert httpx2.get(session["url"] + "/healthz").json() == {"status": "ok"}
    assert set(session["functions"]) == set(FUNCTIONS)
    for name, url in session["functions"].items():
        assert httpx2.get(url).json()["function"] == name
    for host in (session["firestore"], session["tasks"]):
        socket.create_connection(host.split(":"), timeout=10).close()


def test_local_admin_is_an_admin_and_the_developer_is_not(shared_up: Up) -> None:
    """A role is the account document's, set as in the Firestore console."""
    session = shared_up.ready()
    documents = f"http://{session['firestore']}/v1/projects/{PROJECT}/databases/(default)/documents/accounts"
    listed = httpx2.get(documents, headers=OWNER).json()["documents"]
    roles = {doc["fields"]["sub"]["stringValue"]: doc["fields"]["role"]["stringValue"] for doc in listed}
    admin = jwt.decode(session["admin_token"], options={"verify_signature": False})["sub"]
    developer = jwt.decode(session["token"], options={"verify_signature": False})["sub"]
    assert roles[admin] == "admin"
    assert roles.get(developer, "user") == "user"


def test_crashed_function_is_restarted(shared_up: Up) -> None:
    """With its worker or without; meanwhile the gateway says that it may be tried again."""
    url = shared_up.ready()["url"] + "/v1/videos"
    for kill in (os.killpg, os.kill):
        before = shared_up.processes()["history"]
        served_by = httpx2.get(url).json()["pid"]
        kill(before["pgid"], signal.SIGKILL)

        def restarted(pid: int = before["pid"]) -> bool:
            return bool(shared_up.processes()["history"]["pid"] != pid)

        eventually(restarted, "a restart")

        def answered(served_by: int = served_by) -> bool:
            answer = httpx2.get(url)
            if answer.status_code == 200:
                return bool(answer.json()["pid"] != served_by)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            return False

        eventually(answered, "an answer of the new worker")
        assert shared_up.processes()["history"]["restarts"] == before["restarts"] + 1
        assert group_is_gone(before["pgid"])
    assert "history ended (signal SIGKILL); restarting in " in shared_up.text


def test_one_directory_runs_one_cloud(shared_up: Up, functions: Path) -> None:
    """A second start says where the first one is, and leaves it alone."""
    session = shared_up.ready()
    command = [sys.executable, "-m", "local", "up", "--headless", "--directory", str(shared_up.directory)]
    second = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=DEADLINE_S)
    assert second.returncode == 1
    assert session["url"] in second.stdout
    assert httpx2.get(session["url"] + "/healthz").status_code == 200
    assert shared_up.ready() == session


def test_taken_port_names_its_process(start: Callable[..., Up]) -> None:
    """When the port was asked for, no other is chosen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        up = start("--port", str(port))
        assert up.process.wait(DEADLINE_S) == 1
        assert f"Port {port} is taken" in up.text
        if sys.platform == "linux":
            assert f"process {os.getpid()}" in up.text
            assert f"process {os.getpid()}" in holder(port)


@dataclass(frozen=True)
class Lives:
    """Three starts in one directory, ended in different ways: stopped, supervisor killed, storage killed."""

    sessions: tuple[dict[str, Any], ...]
    started: tuple[set[str], ...]
    gone: tuple[bool, ...]
    output: tuple[str, ...]
    exit_codes: tuple[int, ...]
    left_after_the_stop: set[str]
    kept: dict[str, Any]


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory, functions: Path, emulator: None) -> Iterator[Lives]:
    """A start costs more than all that is asked about it."""
    directory = tmp_path_factory.mktemp("lives") / "data"
    ups: list[Up] = []

    def start() -> tuple[Up, dict[str, Any], dict[str, dict[str, Any]]]:
        ups.append(Up(directory, functions))
        return ups[-1], ups[-1].ready(), ups[-1].processes()

    try:
        stopped, session, of_stopped = start()
        host = f"http://{session['firestore']}"
        httpx2.post(host + NOTES, params={"documentId": "n"}, headers=OWNER, json=NOTE).raise_for_status()
        stop_code = stopped.stop()
        stopped_gone = all_gone(of_stopped)
        left = {path.name for path in directory.iterdir()}
        stopped_said = stopped.text

        killed, again, of_killed = start()
        kept = httpx2.get(f"http://{again['firestore']}{NOTES}/n", headers=OWNER).json()["fields"]
        keys = jwt.PyJWKClient(again["identity"] + "/.well-known/jwks.json")
        key = keys.get_signing_key_from_jwt(session["token"])
        jwt.decode(session["token"], key, algorithms=["RS256"], audience=PROJECT)
        saved = firestore.Exports(directory / "firestore", PROJECT, f"http://{again['firestore']}")
        asyncio.run(saved.save())
        os.kill(killed.process.pid, signal.SIGKILL)
        kill_code = killed.process.wait(DEADLINE_S)
        killed_gone = eventually(lambda: nothing_lives(of_killed), "the end of all processes")
        killed_said = killed.text

        crashed, last, of_crashed = start()
        os.kill(of_crashed["storage"]["pid"], signal.SIGKILL)
        crash_code = crashed.process.wait(DEADLINE_S)
        yield Lives(
            (session, again, last),
            (set(of_stopped), set(of_killed), set(of_crashed)),
            (stopped_gone, killed_gone, all_gone(of_crashed)),
            (stopped_said, killed_said, crashed.text),
            (stop_code, kill_code, crash_code),
            left,
            kept,
        )
    finally:
        for up in ups:
            up.stop()


def test_user_data_survives_a_restart(lives: Lives) -> None:
    """Documents and users are there again, tokens are still good, and it says from when the documents are."""
    assert lives.exit_codes[0] == 0
    assert lives.gone[0]
    assert lives.left_after_the_stop.isdisjoint({"session.json", "processes.json", "run"})
    assert lives.kept == NOTE["fields"]
    assert "Firestore data as of" in lives.output[1]
    assert "lost" not in lives.output[1]
    tokens = [session["admin_token"] for session in lives.sessions]
    subjects = {jwt.decode(token, options={"verify_signature": False})["sub"] for token in tokens}
    assert len(subjects) == 1


def test_killed_supervisor_leaves_no_processes(lives: Lives) -> None:
    """Not even gunicorn's workers; the next start says that up to 30 s of documents are lost."""
    assert lives.exit_codes[1] == -signal.SIGKILL
    servers = {"firestore", "storage", "tasks", "providers", "identity", "scheduler", "gateway"}
    assert lives.started[1] >= {*servers, *FUNCTIONS}
    assert lives.gone[1]
    assert "(at most 30 s lost)" in lives.output[2]


def test_crash_of_any_other_process_stops_everything(lives: Lives) -> None:
    """With exit code 1, the name of what crashed, and nothing left."""
    assert lives.exit_codes[2] == 1
    assert "storage ended (signal SIGKILL)" in lives.output[2]
    assert lives.gone[2]


def test_function_that_cannot_start_is_reported_with_its_log(tmp_path: Path, functions: Path, emulator: None) -> None:
    """At once, and with the reason, instead of trying again and again."""
    broken = tmp_path / "functions"
    for name in FUNCTIONS:
        (broken / name).mkdir(parents=True)
        (broken / name / "main.py").write_text((functions / name / "main.py").read_text())
    (broken / "poll" / "main.py").write_text("raise RuntimeError('nobody can import this')")
    up = Up(tmp_path / "data", broken)
    assert up.process.wait(DEADLINE_S) == 1
    assert "poll ended (exit code 1)" in up.text
    assert "nobody can import this" in up.text


def test_stop_during_startup_is_obeyed(start: Callable[..., Up]) -> None:
    """Ctrl-C does not wait for the start to end."""
    up = start()
    processes = eventually(lambda: (up.directory / "processes.json").exists() and up.processes(), "the first process")
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(DEADLINE_S) == 0
    assert all_gone(processes)
    assert not (up.directory / "session.json").exists()


def test_five_crashes_in_a_minute_stop_everything() -> None:
    """Each restart waits twice as long; crashes of long ago are forgotten."""
    now = [0.0]
    crashes = Crashes(lambda: now[0])
    delays = [crashes.another() for _ in range(CRASHES_ALLOWED)]
    first = delays[0]
    assert first is not None
    assert delays == [first, 2 * first, 4 * first, 8 * first, None]
    now[0] += CRASH_WINDOW_S + 1
    assert crashes.another() == first


def test_export_of_unchanged_data_replaces_nothing(shared_up: Up, tmp_path: Path) -> None:
    """A changed one takes the other directory, so that a whole export exists at every moment."""
    host = shared_up.ready()["firestore"]
    exports = firestore.Exports(tmp_path, "another-project", f"http://{host}")
    documents = f"http://{host}/v1/projects/another-project/databases/(default)/documents/notes"
    httpx2.post(documents, headers=OWNER, json={"fields": {"n": {"integerValue": "1"}}}).raise_for_status()

    async def three_exports() -> list[str]:
        names = [(await exports.save()).name, (await exports.save()).name]
        httpx2.post(documents, headers=OWNER, json={"fields": {"n": {"integerValue": "2"}}}).raise_for_status()
        return [*names, (await exports.save(clean=True)).name]

    first, second, third = asyncio.run(three_exports())
    assert first == second != third
    saved = exports.newest()
    assert saved is not None
    assert saved.clean
    assert exports.importable() == tmp_path / third / f"{third}.overall_export_metadata"
    assert (tmp_path / first).exists()


def test_strict_run_without_java_or_emulator_names_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With CI=true nothing takes its place."""
    monkeypatch.setattr(firestore, "SDK_PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(firestore.Missing, match="the Firestore emulator"):
        firestore.find()
    options = Options(tmp_path / "data", headless=True, strict=True)
    assert asyncio.run(Cloud(options, Console()).run()) == 1
    assert "Missing: the Firestore emulator" in capsys.readouterr().out


def plan(tmp_path: Path, **environ: str) -> Plan:
    names = (*Plan.SERVERS, "gateway")
    return Plan(tmp_path, dict(zip(names, free_ports(len(names)), strict=True)), environ=environ)


def test_without_keys_functions_use_the_stand_in(tmp_path: Path) -> None:
    """Both providers are the local one, and the webhook's secret is shared with it."""
    here = plan(tmp_path)
    settings = here.function_environment()
    assert settings["VERTEX_URL"] == settings["GEMINI_URL"] == here.url("providers")
    assert base64.b64decode(settings["GEMINI_WEBHOOK_SECRET"].removeprefix("whsec_"))
    assert settings["POLL_URL"] == settings["DELIVER_URL"] == here.gateway


def test_with_keys_functions_use_google(tmp_path: Path) -> None:
    """No address of the stand-in is left for the provider whose key is set."""
    gemini = plan(tmp_path, GEMINI_API_KEY="real").function_environment()
    assert gemini["GEMINI_API_KEY"] == "real"
    assert "GEMINI_URL" not in gemini
    assert "VERTEX_URL" in gemini
    vertex = plan(tmp_path, VERTEX_PROJECT="mine", VERTEX_LOCATION="europe-west4").function_environment()
    assert (vertex["VERTEX_PROJECT"], vertex["VERTEX_LOCATION"]) == ("mine", "europe-west4")
    assert {"VERTEX_URL", "VERTEX_TOKEN"} & set(vertex) == set()


@pytest.mark.parametrize(
    ("environ", "provider"),
    [
        ({}, None),
        ({"GEMINI_API_KEY": "real"}, "gemini"),
        ({"GEMINI_API_KEY": "real", "VERTEX_PROJECT": "mine"}, None),
        ({"GEMINI_API_KEY": "real", "OMNI_PROVIDER": "vertex-omni"}, "vertex-omni"),
        ({"OMNI_PROVIDER": "gemini"}, "gemini"),
    ],
)
def test_omni_uses_the_real_provider_or_the_named_one(
    tmp_path: Path, environ: dict[str, str], provider: str | None
) -> None:
    """Without either the catalog and the stored live settings decide."""
    assert plan(tmp_path, **environ).preferred_providers.get("omni-flash") == provider


def test_children_inherit_only_what_they_need(tmp_path: Path) -> None:
    """A child gets what it needs of our environment and nothing else."""
    environ = {"PATH": "/bin", "HTTP_PROXY": "http://proxy", "https_proxy": "http://proxy", "SECRET": "1"}
    here = plan(tmp_path, **environ)
    emulator = firestore.Emulator(Path("java"), Path("emulator.jar"))
    for member in here.members(emulator, None):
        assert member.spec.env["PATH"] == "/bin"
        assert {"HTTP_PROXY", "https_proxy", "SECRET"} & set(member.spec.env) == set()


def test_every_model_has_a_queue_paced_to_its_quota(tmp_path: Path) -> None:
    """And no queue ever drops a task: deadlines are the job's."""
    queues = {queue["name"]: queue for queue in json.loads(plan(tmp_path).write_queues().read_text())}
    assert set(queues) == {model.queue for model in MODELS.values()} | {"poll", "webhooks"}
    for model in MODELS.values():
        assert queues[model.queue]["max_dispatches_per_second"] == pytest.approx(model.quota_per_minute / 60)
    assert {queue["max_attempts"] for queue in queues.values()} == {-1}
    hasty = json.loads(plan(tmp_path, STARTS_PER_MINUTE="30000").write_queues().read_text())
    assert {queue["max_dispatches_per_second"] for queue in hasty if queue["name"] not in ("poll", "webhooks")} == {500}
