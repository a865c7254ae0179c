"""A virtual environment with one file of requirements and nothing else.

With requirements.txt it is what the cloud's builder makes for a function.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
VENVS = ROOT / ".build" / "venvs"
PIP, REQUIREMENTS = ROOT / "requirements-pip.txt", ROOT / "requirements.txt"


def python(requirements: Path = REQUIREMENTS) -> Path:
    """The environment's interpreter. Made once for each content of the requirements.

    That takes some 40 s, of which uv saves most where it is installed.
    """
    content = PIP.read_bytes() + requirements.read_bytes() + sys.version.encode()
    venv = VENVS / hashlib.sha256(content).hexdigest()[:16]
    VENVS.mkdir(parents=True, exist_ok=True)
    with _alone(venv.with_suffix(".lock")):
        if not (venv / "complete").exists():
            _make(venv, requirements)
    return venv / "bin" / "python"


def _make(venv: Path, own: Path) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    interpreter = venv / "bin" / "python"
    if find_spec("uv"):
        # The same files in a tenth of the time.
        install = ["-m", "uv", "pip", "install", "--quiet", "--require-hashes", "--python", interpreter, "-r", own]
        subprocess.run([sys.executable, *install], check=True)
    else:
        # First pip itself, as in the Makefile: older ones refuse the lock.
        for requirements in (PIP, own):
            install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
            subprocess.run([interpreter, *install, "-r", requirements], check=True)
    (venv / "complete").touch()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Two runs of the tests do not make the same environment at once."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
