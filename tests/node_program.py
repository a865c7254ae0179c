"""Programs for Node beside the official packages that they use, installed once a run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TIMEOUT_S = 300


def installed(folder: Path, directory: Path) -> Path:
    """A copy of the folder in `directory`, with the packages of its package.json."""
    if not (shutil.which("node") and shutil.which("npm")):
        if os.environ.get("CI") == "true":
            pytest.fail("node and npm are needed")
        pytest.skip("node and npm are not on this machine")
    shutil.copytree(folder, directory, dirs_exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return directory


def run(program: Path, *arguments: str) -> str:
    """What the program prints; fails with its whole output unless it ends well."""
    command = ["node", str(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
