"""Node programs with the official packages they use, installed once per list of packages."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.infra.clean_venv import ROOT, alone

PACKAGES = ROOT / ".build" / "node"
TIMEOUT_S = 300


def installed(folder: Path, directory: Path) -> Path:
    """A copy of the folder in `directory`, with the packages of its package.json."""
    if not (shutil.which("node") and shutil.which("npm")):
        if os.environ.get("CI") == "true":
            pytest.fail("node and npm are needed")
        pytest.skip("node and npm are not on this machine")
    shutil.copytree(folder, directory, dirs_exist_ok=True)
    (directory / "node_modules").symlink_to(_packages(folder / "package.json"))
    return directory


def _packages(package: Path) -> Path:
    """The packages that the file names: installed once for each content of it."""
    made = PACKAGES / hashlib.sha256(package.read_bytes()).hexdigest()[:16]
    with alone(made.with_suffix(".lock")):
        if not (made / "complete").exists():
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            shutil.copy(package, made)
            command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
            done = subprocess.run(command, cwd=made, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            assert done.returncode == 0, done.stderr
            (made / "complete").touch()
    return made / "node_modules"


def run(program: Path, *arguments: str) -> str:
    """What the program prints; fails with its whole output unless it ends well."""
    command = ["node", str(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
