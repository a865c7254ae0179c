"""LangChain's official adapter on `rushes mcp`: the offer of one process is accepted in another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testing.cloud import ROOT, Cloud
from tests.infra import clean_venv

HERE = Path(__file__).parent

pytestmark = pytest.mark.timeout(600)


@pytest.mark.long
def test_langchain_creates_and_deletes_a_video(embedded_cloud: Cloud, tmp_path: Path) -> None:
    python = clean_venv.python(ROOT / "requirements" / "clients.txt")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RUSHES_", "LANG"))}
    environ = {
        **inherited,
        "PYTHONPATH": str(ROOT / "cli"),
        "RUSHES_HOME": str(tmp_path / "home"),
        "RUSHES_URL": embedded_cloud.url,
        "RUSHES_API_KEY": embedded_cloud.user().token,
    }
    program = HERE / "python" / "langchain_assistant.py"
    command = (python, program, "boat.mp4", sys.executable, "-m", "rushes", "mcp")
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "boat.mp4").read_bytes()[4:8] == b"ftyp"
