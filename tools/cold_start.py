"""How long a function takes to import, in a fresh interpreter: the part of a cold start that is ours.

`python -m tools.cold_start` measures what `make package` wrote. As in the cloud, modules are compiled beforehand and
nothing but the archive is on the path.
"""

from __future__ import annotations

import compileall
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tools.package import PACKAGES

TRIES = 3
# The framework comes first, as it does in the cloud; the function's own time is what is printed last.
PROBE = """
import sys, time
began = time.perf_counter()
import functions_framework.aio
framework = time.perf_counter()
sys.path.append("")
import main
print(framework - began, time.perf_counter() - framework)
"""


def unpack(archive: Path, directory: Path) -> Path:
    """The archive as the cloud's builder leaves it: unpacked and compiled. Raises ValueError for a syntax error."""
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(directory)
    if not compileall.compile_dir(directory, force=True, quiet=2):
        raise ValueError(f"{archive.name} holds a module that does not compile")
    return directory


def measure(python: Path, source: Path) -> tuple[float, float]:
    """Seconds for the framework and, on top, for the function in the directory `source`: the best of some tries."""
    times = [_once(python, source) for _ in range(TRIES)]
    return min(framework for framework, _ in times), min(function for _, function in times)


def _once(python: Path, source: Path) -> tuple[float, float]:
    # -P and -E: neither the present directory nor PYTHONPATH lends a module; the probe itself appends the archive.
    run = subprocess.run(  # noqa: S603 - our own interpreter and code
        [python, "-P", "-E", "-c", PROBE], cwd=source, capture_output=True, text=True, check=True
    )
    framework, function = map(float, run.stdout.split())
    return framework, function


def line(function: str, times: tuple[float, float]) -> str:
    return f"{function:8} {times[1] * 1_000:4.0f} ms to import, after {times[0] * 1_000:.0f} ms for the framework"


def main() -> None:
    for archive in sorted(PACKAGES.glob("*.zip")):
        with tempfile.TemporaryDirectory() as directory:
            print(line(archive.stem, measure(Path(sys.executable), unpack(archive, Path(directory)))))


if __name__ == "__main__":
    main()
