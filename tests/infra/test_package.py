"""Each function from its archive alone: what is deployed is all that is needed, and the same content the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from local.ports import HOST, free_ports
from shared.api.routing import FUNCTIONS
from tests.infra import clean_venv
from tests.unit.test_imports import HEAVY
from tools import cold_start, package

ROOT = Path(__file__).parents[2]
VIDEO = "/v1/videos/video_0123456789012345678901"
START_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
# One real route of each function: what it is asked, and what it answers without credentials, or without Firestore.
QUESTIONS: Mapping[str, tuple[str, str, Any, int, str]] = {
    "submit": ("POST", "/v1/videos/estimate", {"prompt": "a paper boat"}, 401, "UNAUTHENTICATED"),
    "stream": ("GET", f"{VIDEO}/content", None, 401, "UNAUTHENTICATED"),
    "history": ("GET", "/v1/videos", None, 401, "UNAUTHENTICATED"),
    "poll": ("POST", "/tasks/step", {"job": "video_a", "step": "soon"}, 400, "INVALID_REQUEST"),
    "deliver": ("POST", "/tasks/webhook", {"id": "msg_a", "step": "soon"}, 400, "INVALID_REQUEST"),
    "cleanup": ("POST", "/tasks/sweep", None, 503, "UNAVAILABLE"),
}
LOADED = """
import importlib, json, pkgutil, sys
sys.path.append("")
import main
if "everything" in sys.argv:
    import shared
    for module in pkgutil.walk_packages(shared.__path__, "shared."):
        importlib.import_module(module.name)
print(json.dumps({name: getattr(module, "__file__", None) for name, module in sys.modules.items()}))
"""
# The first test that wants the clean environment waits for it.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return package.package(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def sources(archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The unpacked archives by function."""
    root = tmp_path_factory.mktemp("sources")
    return {function: cold_start.unpack(archive, root / function) for function, archive in archives.items()}


@pytest.fixture(scope="module")
def python() -> Path:
    return clean_venv.python()


def loaded(python: Path, source: Path, *arguments: str) -> dict[str, str | None]:
    """Modules that a fresh interpreter has loaded once it imported the archive's main.py, and their files."""
    command = [python, "-P", "-E", "-c", LOADED, *arguments]
    run = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True)
    found: dict[str, str | None] = json.loads(run.stdout)
    return found


# --- the archives ---


@pytest.mark.parametrize("function", FUNCTIONS)
def test_archive_holds_its_function_shared_and_requirements(archives: dict[str, Path], function: str) -> None:
    with zipfile.ZipFile(archives[function]) as zipped:
        names = zipped.namelist()
        assert zipped.read("main.py") == (ROOT / "functions" / function / "main.py").read_bytes()
    modules = [path.relative_to(ROOT).as_posix() for path in (ROOT / "shared").rglob("*.py")]
    page = [path.relative_to(ROOT).as_posix() for path in (ROOT / "web").rglob("*") if path.is_file()]
    page = ["openapi.json", *page] if function == "history" else []
    assert sorted(names) == sorted(["main.py", "requirements.txt", *modules, *page])


def test_archive_omits_nothing_of_shared() -> None:
    left_out = [path for path in (ROOT / "shared").rglob("*") if path.is_file() and path.suffix != ".py"]
    assert {path.suffix for path in left_out} <= {".pyc"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what archives are made of, with other times, modes and caches."""
    for name in ("shared", "functions", "web", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name, copy_function=shutil.copy)
    shutil.copy(ROOT / "openapi.json", tmp_path)
    for path in tmp_path.rglob("*.py"):
        path.chmod(0o600)
        os.utime(path, (1_500_000_000, 1_500_000_000))
    cache = tmp_path / "shared" / "__pycache__" / "jobs.cpython-399.pyc"
    cache.parent.mkdir(exist_ok=True)
    cache.write_bytes(b"stale")
    return tmp_path


def hashes(archives: Mapping[str, Path]) -> dict[str, str]:
    return {function: package.sha256(archive) for function, archive in archives.items()}


def test_same_content_gives_the_same_bytes(archives: dict[str, Path], tree: Path) -> None:
    assert hashes(package.package(tree / "packages", tree)) == hashes(archives)


def test_only_changed_archives_get_another_hash(archives: dict[str, Path], tree: Path) -> None:
    (tree / "functions" / "poll" / "main.py").write_text("changed = True\n")
    after = hashes(package.package(tree / "packages", tree))
    assert {function for function, hash_ in after.items() if hash_ != hashes(archives)[function]} == {"poll"}
    (tree / "shared" / "jobs" / "transitions.py").write_text("changed = True\n")
    assert not set(hashes(package.package(tree / "packages", tree)).values()) & set(after.values())


# --- alone ---


def test_builders_pip_can_install_the_requirements(python: Path) -> None:
    """An older pip than ours is what reads the lock in the cloud; that it does is how this environment was made."""
    version = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith(f"{clean_venv.BUILDERS_PIP.replace('==', ' ')} ")


def test_requirements_are_consistent(python: Path) -> None:
    # The cloud's builder makes this check, and refuses the build when it fails.
    check = subprocess.run([python, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout


@contextmanager
def served(
    python: Path, function: str, source: Path, directory: Path, settings: Mapping[str, str] | None = None
) -> Iterator[httpx2.Client]:
    """The function under functions-framework, started as Cloud Run starts it, without a repository or credentials."""
    port, nowhere = free_ports(2)
    environ = {
        "PATH": os.defpath,
        "HOME": str(directory),
        "XDG_RUNTIME_DIR": str(directory),
        "PORT": str(port),
        "FUNCTION_TARGET": function,
        "GOOGLE_CLOUD_PROJECT": "alone",
        "BUCKET": "alone-videos",
        "FIRESTORE_EMULATOR_HOST": f"{HOST}:{nowhere}",
        "GRPC_VERBOSITY": "ERROR",
        **(settings or {}),
    }
    output = directory / "output.log"
    with output.open("wb") as log:
        framework = python.with_name("functions-framework")
        process = subprocess.Popen([framework], cwd=source, env=environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            with httpx2.Client(base_url=f"http://{HOST}:{port}", trust_env=False, timeout=START_WITHIN_S) as client:
                _wait(client, process, output)
                yield client
        finally:
            process.terminate()
            process.wait(STOP_WITHIN_S)


def _wait(client: httpx2.Client, process: subprocess.Popen[bytes], output: Path) -> None:
    until = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until and process.poll() is None:
        try:
            client.get("/")
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"does not start:\n{output.read_text()[-5_000:]}")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_runs_from_its_archive_alone(
    python: Path, sources: dict[str, Path], function: str, tmp_path: Path
) -> None:
    method, path, body, status, code = QUESTIONS[function]
    with served(python, function, sources[function], tmp_path) as client:
        answer = client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_history_serves_the_page_from_its_archive_alone(python: Path, sources: dict[str, Path], tmp_path: Path) -> None:
    with served(python, "history", sources["history"], tmp_path, {"STUDIO_CONFIG": '{"api_key": "k"}'}) as client:
        assert client.get("/").content == (ROOT / "web" / "index.html").read_bytes()
        assert client.get("/config.json").json() == {"api_key": "k"}
        assert client.get("/openapi.json").content == (ROOT / "openapi.json").read_bytes()
        assert client.get("/main.py").status_code == 404


def strangers(modules: Mapping[str, str | None], source: Path, python: Path) -> list[str]:
    """Modules that come neither from the archive nor from the requirements, but from the repository."""
    source, venv = source.resolve(), python.parents[1].resolve()
    found = []
    for name, file in modules.items():
        path = Path(file).resolve() if file is not None else None
        ours = name == "main" or name.partition(".")[0] == "shared"
        astray = path is not None and path.is_relative_to(ROOT) and not path.is_relative_to(venv)
        if astray or (ours and (path is None or not path.is_relative_to(source))):
            found.append(f"{name} from {file}")
    return found


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_imports_nothing_outside_its_archive(python: Path, sources: dict[str, Path], function: str) -> None:
    modules = loaded(python, sources[function])
    assert {"main", "shared.http.app"} <= set(modules)
    assert strangers(modules, sources[function], python) == []


def test_shared_imports_with_the_requirements_alone(python: Path, sources: dict[str, Path]) -> None:
    # All have the same; what a function imports at its first use is here as well.
    modules = loaded(python, sources["poll"], "everything")
    names = {path.relative_to(ROOT).with_suffix("").as_posix() for path in (ROOT / "shared").rglob("*.py")}
    assert {name.removesuffix("/__init__").replace("/", ".") for name in names} <= set(modules)
    assert strangers(modules, sources["poll"], python) == []


def test_foreign_module_is_detected(python: Path, sources: dict[str, Path]) -> None:
    borrowed = {
        "shared.jobs.transitions": str(ROOT / "shared" / "jobs" / "transitions.py"),
        "local.identity.oidc": str(ROOT / "local" / "oidc.py"),
    }
    lent = {"os": os.__file__, "starlette": str(python.parents[1] / "lib" / "starlette.py"), "sys": None}
    assert len(strangers({**borrowed, **lent}, sources["poll"], python)) == 2


def test_missing_module_is_detected(
    python: Path, archives: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = cold_start.unpack(archives["poll"], tmp_path)
    (source / "shared" / "jobs" / "transitions.py").unlink()
    # Not even a repository that the environment names lends it.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with pytest.raises(subprocess.CalledProcessError) as failed:
        loaded(python, source)
    assert "cannot import name 'transitions' from 'shared.jobs'" in failed.value.stderr


# --- cold starts ---


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_cold_start_loads_nothing_that_only_some_requests_need(
    python: Path, sources: dict[str, Path], function: str
) -> None:
    modules = set(loaded(python, sources[function]))
    assert "shared.http.app" in modules
    assert not modules & set(HEAVY)


# A report: of one function, and of all in the long form.
@pytest.mark.parametrize(
    "function", [pytest.param(name, marks=() if name == "poll" else pytest.mark.long) for name in FUNCTIONS]
)
def test_a_cold_start_is_measured(
    python: Path, sources: dict[str, Path], function: str, capsys: pytest.CaptureFixture[str]
) -> None:
    times = cold_start.measure(python, sources[function])
    assert all(seconds > 0 for seconds in times)
    with capsys.disabled():
        print(f"\n{cold_start.line(function, times)}")


def test_archive_that_does_not_compile_is_rejected(tree: Path, tmp_path: Path) -> None:
    # The cloud's builder compiles all of an archive.
    (tree / "shared" / "jobs" / "transitions.py").write_text("def broken(:\n")
    archive = package.package(tree / "packages", tree)["poll"]
    with pytest.raises(ValueError, match="does not compile"):
        cold_start.unpack(archive, tmp_path / "source")
