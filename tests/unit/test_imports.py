"""What a cold start loads: an import that is not needed is time that a user waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("google.cloud.storage", "google.cloud.tasks", "google.cloud.tasks_v2", "google.genai", "av", "numpy", "PIL")
PROBE = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("main", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(json.dumps(sorted(sys.modules)))
"""


def loaded(function: str) -> set[str]:
    """The modules that a fresh interpreter has loaded once the function is imported."""
    path = ROOT / "functions" / function / "main.py"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", PROBE, str(path)], env=environ, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(run.stdout))


@pytest.mark.parametrize("function", ["submit", "poll", "stream", "history", "cleanup"])
def test_a_cold_start_loads_nothing_that_only_some_requests_need(function: str) -> None:
    modules = loaded(function)
    assert not modules & set(HEAVY)
    assert not any(module == "local" or module.startswith("local.") for module in modules)


def test_the_pure_core_reaches_no_cloud() -> None:
    code = "import sys, shared.lifecycle, shared.views; print(*sorted(sys.modules))"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    # Installed packages make the bare names "google" and "google.cloud" by themselves.
    assert not [
        name for name in run.stdout.split() if name.startswith(("google.cloud.", "google.api_core", "grpc", "av"))
    ]


@pytest.mark.parametrize("folder", ["shared", "functions"])
def test_what_runs_in_the_cloud_never_imports_what_runs_on_a_laptop(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        lines = [line.split() for line in path.read_text().splitlines()]
        imported = {words[1].partition(".")[0] for words in lines if len(words) > 1 and words[0] in ("import", "from")}
        assert not imported & {"local", "tests", "bench"}, path


@pytest.mark.parametrize(
    "core",
    [
        *("lifecycle", "events", "ledger", "models", "errors", "plans", "pricing", "schedule", "views"),
        "generators/catalog",
    ],
)
def test_the_core_imports_nothing_but_the_core(core: str) -> None:
    allowed = {"events", "ledger", "models", "errors", "plans", "pricing", "schedule", "generators", "lifecycle"}
    for line in (ROOT / "shared" / f"{core}.py").read_text().splitlines():
        words = line.split()
        if words[:2] == ["from", "shared"]:
            assert {word.strip(",()") for word in words[3:]} <= allowed, line
        elif words[:1] == ["from"] and words[1].startswith("shared."):
            assert words[1].split(".")[1] in allowed, line
