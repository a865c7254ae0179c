"""A virtual environment with requirements.txt and nothing else, as the cloud's builder makes one for a function."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
VENVS = ROOT / ".build" / "venvs"
PIP, REQUIREMENTS = ROOT / "requirements-pip.txt", ROOT / "requirements.txt"


def python() -> Path:
    """The environment's interpreter. Made once for each content of the requirements, which takes some 40 s."""
    content = PIP.read_bytes() + REQUIREMENTS.read_bytes() + sys.version.encode()
    venv = VENVS / hashlib.sha256(content).hexdigest()[:16]
    VENVS.mkdir(parents=True, exist_ok=True)
    with _alone(venv.with_suffix(".lock")):
        if not (venv / "complete").exists():
            _make(venv)
    return venv / "bin" / "python"


def _make(venv: Path) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    # First pip itself, as in the Makefile: older ones refuse the lock.
    for requirements in (PIP, REQUIREMENTS):
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([venv / "bin" / "python", *install, "-r", requirements], check=True)
    (venv / "complete").touch()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Two runs of the tests do not make the same environment at once."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
