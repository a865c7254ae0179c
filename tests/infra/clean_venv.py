"""A virtual environment with one file of requirements and nothing else.

With requirements/functions.txt it is what the cloud's builder makes for a function, by that builder's pip and flags.
"""

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
REQUIREMENTS = ROOT / "requirements" / "functions.txt"


# The oldest pip that the cloud's builder may have for python311: the one that CPython has bundled since 3.11.9. The
# builder doesn't upgrade it, and pip before 24.0 refuses a lock in which an extra has a newer release.
BUILDERS_PIP = "pip==24.0"
# What the builder installs with: GoogleCloudPlatform/buildpacks, pkg/python/python.go. Bytecode is compiled afterwards.
BUILDERS_FLAGS = (
    "--upgrade",
    "--upgrade-strategy=only-if-needed",
    "--no-warn-script-location",
    "--no-warn-conflicts",
    "--force-reinstall",
    "--no-compile",
    "--disable-pip-version-check",
)


def python(requirements: Path = REQUIREMENTS) -> Path:
    """The environment's interpreter. Made once for each content of the requirements, in some 40 s."""
    content = Path(__file__).read_bytes() + requirements.read_bytes() + sys.version.encode()
    venv = VENVS / hashlib.sha256(content).hexdigest()[:16]
    with alone(venv.with_suffix(".lock")):
        if not (venv / "complete").exists():
            _make(venv, requirements)
    return venv / "bin" / "python"


def _make(venv: Path, requirements: Path) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    interpreter = venv / "bin" / "python"
    if requirements == REQUIREMENTS:
        _run_pip(interpreter, BUILDERS_PIP)
        _run_pip(interpreter, *BUILDERS_FLAGS, "--requirement", requirements)
    else:
        # The same files in a tenth of the time.
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--require-hashes", "--python", interpreter]
        subprocess.run([*uv, "-r", requirements], check=True)
    (venv / "complete").touch()


def _run_pip(interpreter: Path, *arguments: str | Path) -> None:
    subprocess.run([interpreter, "-m", "pip", "install", "--quiet", *arguments], check=True)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Two runs of the tests do not make the same environment at once."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
