"""What Linux reports about this machine, and about the resources its process groups use."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MIB = 2**20


def resident_mib() -> dict[int, float]:
    """Resident MiB of each process group."""
    totals: dict[int, float] = {}
    for _, fields in _processes():
        group = _group(fields)
        totals[group] = totals.get(group, 0.0) + int(fields[21]) * PAGE_BYTES / MIB
    return totals


def memory_mib(group: int) -> float:
    """MiB that the group's processes hold, each page once: a worker shares pages with the process it was forked from.

    What is anonymous is divided among those who share it; of the files mapped, those of the process that maps most.
    """
    anonymous, mapped = 0, 0
    for process, fields in _processes():
        if _group(fields) == group:
            with contextlib.suppress(OSError):
                anonymous += _kib(process / "smaps_rollup", "Pss_Anon")
                mapped = max(mapped, _kib(process / "status", "RssFile") + _kib(process / "status", "RssShmem"))
    return (anonymous + mapped) / 1024


def _kib(path: Path, name: str) -> int:
    """The value of one line of a file in /proc."""
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(f"{name}:"))


def cpu_s(group: int) -> float:
    """CPU seconds, user's and system's, that the group's processes have used so far."""
    return sum(
        (int(fields[11]) + int(fields[12])) / TICKS_PER_S for _, fields in _processes() if _group(fields) == group
    )


def _processes() -> Iterator[tuple[Path, list[str]]]:
    """Each process's folder, and the fields of its stat file after the name (proc(5) numbers them from 3)."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                yield entry, fields


def _group(fields: list[str]) -> int:
    return int(fields[2])


def description(*packages: str) -> str:
    """Processor, cores, Python and the versions of packages, in one sentence."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    python = f"Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, {python}; {versions}"
