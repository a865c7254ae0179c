"""What a cold start loads: an import that is not needed is time that a user waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("jwt", "av", "numpy", "PIL")
# Google's libraries that importing a function may load. What only some requests need, their gateway imports when it is
# first used (shared/wiring.py).
AT_IMPORT: dict[str, frozenset[str]] = {
    "submit": frozenset(),
    "poll": frozenset(),
    "deliver": frozenset(),
    "stream": frozenset(),
    "history": frozenset(),
    "cleanup": frozenset(),
}
# The packages of shared/ that a function loads besides those that all do, and at most how many modules altogether.
EVERYWHERE = {"core", "platform", "api", "accounts", "http"}
LOADED: dict[str, tuple[set[str], int]] = {
    "submit": ({"jobs", "kinds", "webhooks", "workspace"}, 85),
    "poll": ({"jobs", "webhooks", "workspace"}, 85),
    "deliver": ({"webhooks"}, 65),
    "stream": ({"jobs", "streaming"}, 62),
    "history": ({"admin", "jobs", "kinds", "streaming", "webhooks", "workspace"}, 97),
    "cleanup": ({"jobs", "maintenance", "webhooks"}, 76),
}
# Every request makes the services; the database alone is in use from then on.
CLIENTS_OF_ANY_REQUEST = {"google.cloud.firestore", "google.cloud.firestore_v1"}
FRAMEWORKS_OWN = ("google.cloud.functions", "google.cloud.functions_v1")
# What the client libraries have in common.
COMMON = ("google.cloud._helpers", "google.cloud.client", "google.cloud.exceptions", "google.cloud.location")
IMPORTING = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("main", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
"""
SERVING = """
from shared.wiring import services
services()
"""
TELLING = "print(json.dumps(sorted(sys.modules)))"


@cache
def loaded(function: str, then: str = "") -> frozenset[str]:
    """The modules that a fresh interpreter has loaded once the function is imported, and `then` was run."""
    path = ROOT / "functions" / function / "main.py"
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "GOOGLE_CLOUD_PROJECT": "rushes-test", "BUCKET": "videos"}
    probe = f"{IMPORTING}{then}{TELLING}"
    run = subprocess.run(
        [sys.executable, "-c", probe, str(path)], env=environ, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return frozenset(json.loads(run.stdout))


def google_libraries(modules: frozenset[str]) -> set[str]:
    """Google's libraries among the modules, as google.cloud.NAME, google.NAME or grpc; bare namespaces are none."""
    names = set()
    for parts in (module.split(".") for module in modules):
        depth = 3 if parts[:2] == ["google", "cloud"] else 2 if parts[0] == "google" else 1
        if parts[0] in ("google", "grpc", "grpc_status", "proto") and len(parts) >= depth:
            names.add(".".join(parts[:depth]))
    return names - set(FRAMEWORKS_OWN)


@pytest.mark.parametrize("function", AT_IMPORT)
def test_cold_start_loads_only_what_every_request_needs(function: str) -> None:
    modules = loaded(function)
    assert not modules & set(HEAVY)
    assert not any(module == "local" or module.startswith("local.") for module in modules)


@pytest.mark.parametrize(("function", "allowed"), AT_IMPORT.items())
def test_function_imports_no_unused_google_library(function: str, allowed: frozenset[str]) -> None:
    assert google_libraries(loaded(function)) == allowed


@pytest.mark.parametrize("function", AT_IMPORT)
def test_firestore_is_the_only_google_client_always_loaded(function: str) -> None:
    found = google_libraries(loaded(function, SERVING))
    clients = {name for name in found if name.startswith(("google.cloud.", "google.genai"))} - set(COMMON)
    assert clients == CLIENTS_OF_ANY_REQUEST


def test_pure_core_imports_no_cloud_library() -> None:
    code = "import sys, shared.core.lifecycle, shared.api.views; print(*sorted(sys.modules))"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    # Installed packages make the bare names "google" and "google.cloud" by themselves.
    assert not [
        name for name in run.stdout.split() if name.startswith(("google.cloud.", "google.api_core", "grpc", "av"))
    ]


@pytest.mark.parametrize("folder", ["shared", "functions"])
def test_deployed_code_never_imports_local_code(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        lines = [line.split() for line in path.read_text().splitlines()]
        imported = {words[1].partition(".")[0] for words in lines if len(words) > 1 and words[0] in ("import", "from")}
        assert not imported & {"local", "tests", "bench"}, path


@pytest.mark.parametrize("function", LOADED)
def test_function_loads_only_the_packages_it_serves(function: str) -> None:
    modules = [name for name in loaded(function) if name.startswith("shared.") and name.count(".") > 1]
    packages, most = LOADED[function]
    assert {name.split(".")[1] for name in modules} == EVERYWHERE | packages
    assert len(modules) <= most
