"""`rushes up` starts the cloud of the checkout, and ends it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import httpx2
import pytest

from testing.cloud import ROOT
from tests.cli.conftest import Shell

needs_environment = pytest.mark.skipif(
    not (ROOT / ".venv" / ".installed").exists(), reason="make has not installed the environment of this checkout"
)


@needs_environment
def test_up_starts_prints_the_url_and_ends_with_ctrl_c(nobody: Shell, tmp_path: Path) -> None:
    here = Shell(ROOT, nobody.home)
    data = tmp_path / "data"
    up = here.started("up", "--embedded", "--port", "0", "--directory", str(data), "--json", start_new_session=True)
    assert up.stdout is not None
    document = "".join(iter(up.stdout.readline, "}\n")) + "}"
    said = json.loads(document)
    assert httpx2.get(f"{said['url']}/healthz", trust_env=False).json() == {"status": "ok"}
    session = json.loads((data / "session.json").read_text())
    assert session["url"] == said["url"]
    # As a terminal does it: everybody in the foreground hears it.
    os.killpg(up.pid, signal.SIGINT)
    up.communicate(timeout=60)
    assert up.returncode == 0
    assert not (data / "session.json").exists()


def test_up_without_an_environment_runs_make(nobody: Shell, tmp_path: Path, checkout: Path) -> None:
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    make = bin_directory / "make"
    make.write_text(f'#!{shutil.which("sh")}\necho "$PWD $EMBEDDED $*"\n')
    make.chmod(0o755)
    ended = nobody.having(PATH=str(bin_directory)).run("up", "--embedded", "--port", "9000")
    assert ended.out == f"{checkout} 1 run PORT=9000\n"


def test_up_that_does_not_start_fails(nobody: Shell, tmp_path: Path) -> None:
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    make = bin_directory / "make"
    make.write_text(f"#!{shutil.which('sh')}\nexit 1\n")
    make.chmod(0o755)
    ended = nobody.having(PATH=str(bin_directory)).run("up", "--json")
    assert ended.code == 10
    assert ended.json["error"]["code"] == "NOT_STARTED"
