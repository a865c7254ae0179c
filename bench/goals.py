"""What a bench found: figures, what they ought to be, and the text around them."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import report
from bench.environment import Stand

GOALS_HEAD: Final = ("What", "measured", "goal", "met")


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
