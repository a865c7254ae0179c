"""`make bench`: measures every figure of docs/performance.md on this machine in under ten minutes.

Every figure is a ratio of two things that are measured side by side in one run: seconds of a machine as this one mean
little. Each part has a module of its own, which can be run alone; it gives its goals and its tables, and this program
prints one table of all goals and writes the page.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench import machine, report
from bench.environment import Stand
from bench.goals import GOALS_HEAD, Goal

PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"
PACKAGES: Final = (
    "google-cloud-firestore",
    "google-cloud-tasks",
    "grpcio",
    "protobuf",
    "pydantic",
    "starlette",
    "uvicorn",
)


def main() -> int:
    """0 when everything could be measured, whatever came out."""
    parser = argparse.ArgumentParser(prog="python -m bench.performance", description=__doc__.partition("\n")[0])
    parser.add_argument("--no-report", action="store_true", help="only print")
    options = parser.parse_args()
    from bench.parts import PARTS

    goals: list[Goal] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, Stand.started(Path(directory)) as stand:
        for name, measure in PARTS.items():
            print(f"... {name}", file=sys.stderr, flush=True)
            part = measure(stand)
            goals += part.goals
            if not options.no_report:
                report.replace(name, part.text, PAGE)
    table = report.table([goal.cells for goal in goals], GOALS_HEAD)
    print(table)
    if not options.no_report:
        minutes = (time.monotonic() - began) / 60
        report.replace("goals", table, PAGE)
        report.replace("machine", f"{machine.description(*PACKAGES)}. It took {minutes:.1f} minutes.", PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
