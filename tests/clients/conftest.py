"""What the programs here are run with, installed once a run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import node_program

Run = Callable[..., str]


@pytest.fixture(scope="session")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/clients/typescript with its packages."""
    return node_program.installed(Path(__file__).parent / "typescript", tmp_path_factory.mktemp("typescript"))


@pytest.fixture(scope="session")
def run() -> Run:
    def run(*command: str | Path, cwd: Path) -> str:
        """What the command prints; fails with its whole output unless it ends well."""
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run
