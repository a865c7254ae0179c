"""What the doctor finds missing, and that it says how to get it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from testing.cloud import ROOT
from tests.cli.conftest import Shell

# Whether make has installed everything that this checkout needs.
HERE = (ROOT / ".venv" / ".installed").exists()


def findings(said: Any) -> dict[str, Any]:
    return {finding["name"]: finding for finding in said["data"]}


@pytest.fixture
def here(shell: Shell) -> Shell:
    """In the very checkout that the tests run in."""
    return Shell(ROOT, shell.home, shell.variables)


def test_complete_machine_has_nothing_missing(here: Shell) -> None:
    ended = here.run("doctor", "--json")
    found = findings(ended.json)
    assert found["python"]["said"] == ".".join(map(str, sys.version_info[:3]))
    assert found["server"]["state"] == found["credentials"]["state"] == found["checkout"]["state"] == "ok"
    assert "firestore emulator" in found
    assert (ended.code, ended.json["missing"]) == ((0, []) if HERE else (12, ["environment"]))


def test_empty_path_names_what_is_missing_and_how_to_get_it(here: Shell, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    bare = here.having(PATH=str(tmp_path / "empty"), JAVA_HOME="")
    found = findings(bare.run("doctor", "--json").json)
    assert found["chromium"]["state"] == "warning"
    assert "apt-get install chromium" in found["chromium"]["remedy"]
    assert found["make"]["state"] == ("warning" if HERE else "missing")
    assert "apt-get install make" in found["make"]["remedy"]


def test_checkout_without_its_environment_is_recognized(shell: Shell, checkout: Path) -> None:
    ended = shell.run("doctor", "--json")
    assert ended.code == 12
    assert ended.json["missing"] == ["environment"]
    environment = findings(ended.json)["environment"]
    assert environment["remedy"] == f"make -C {checkout} run"


def test_unresponsive_server_is_reported(shell: Shell) -> None:
    ended = shell.having(RUSHES_URL="http://127.0.0.1:1").call("doctor", "--json")
    assert ended.code == 12
    assert "server" in ended.json["missing"]
    assert findings(ended.json)["credentials"]["state"] == "skipped"


def test_other_server_is_reported(shell: Shell, user: Any) -> None:
    # The studio's own page answers, but not as the API does.
    ended = shell.having(RUSHES_URL=f"{user.cloud.url}/css").call("doctor", "--json")
    assert "server" in ended.json["missing"]


def test_rejected_credentials_are_reported(shell: Shell) -> None:
    ended = shell.having(RUSHES_API_KEY="rk_nothing").call("doctor", "--json")
    assert ended.code == 12
    assert findings(ended.json)["server"]["state"] == "ok"
    assert "credentials" in ended.json["missing"]


def test_every_problem_has_a_remedy(shell: Shell) -> None:
    ended = shell.having(RUSHES_URL="http://127.0.0.1:1", PATH="").call("doctor", "--json")
    unwell = [finding for finding in ended.json["data"] if finding["state"] in ("missing", "warning")]
    assert unwell
    assert all(finding["remedy"] for finding in unwell)


def test_default_output_is_a_table(shell: Shell) -> None:
    told = shell.call("doctor")
    assert told.code == 12
    assert "missing" in told.out
    assert "make -C" in told.out


def test_command_installed_by_make_is_this_one(here: Shell) -> None:
    command = shutil.which("rushes", path=str(Path(sys.executable).parent))
    assert command, "pip install -e cli"
