"""`make bench`: every figure of docs/performance.md, measured anew on this machine in under ten minutes.

Every figure is a ratio of two things that are measured side by side in one run: seconds of a machine as this one mean
little. Each part has a module of its own, which can be run alone; it gives its goals and its tables, and this program
prints one table of all goals and writes the page.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import machine, report
from bench.stand import Stand

PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"
GOALS_HEAD: Final = ("What", "measured", "goal", "met")
PACKAGES: Final = (
    "google-cloud-firestore",
    "google-cloud-tasks",
    "grpcio",
    "protobuf",
    "pydantic",
    "starlette",
    "uvicorn",
)


@dataclass(frozen=True)
class Goal:
    """A figure and what it ought to be. `met` is None where only the figure is reported."""

    what: str
    figure: str
    goal: str = "-"
    met: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        return self.what, self.figure, self.goal, "-" if self.met is None else "yes" if self.met else "**no**"


@dataclass
class Part:
    """What one bench found: its goals, and the text (tables, remarks) that stands in its place on the page."""

    goals: list[Goal] = field(default_factory=list)
    text: str = ""


def ratio(values: Sequence[float]) -> str:
    """The median of ratios that were measured round by round, and their spread."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def at_most(what: str, ratios: Sequence[float], limit: float) -> Goal:
    return Goal(what, ratio(ratios), f"at most {limit:g}", statistics.median(ratios) <= limit)


def at_least(what: str, ratios: Sequence[float], limit: float) -> Goal:
    return Goal(what, ratio(ratios), f"at least {limit:g}", statistics.median(ratios) >= limit)


def run_alone(name: str, measure: Callable[[Stand], Part]) -> None:
    """The main program of one bench: it prints what it finds, and writes nothing."""
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as directory, Stand.started(Path(directory)) as stand:
        part = measure(stand)
    print(report.table([goal.cells for goal in part.goals], GOALS_HEAD))
    print(f"\n{part.text}")


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
