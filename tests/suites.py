"""`python -m tests.suites`: run every suite that must pass, and print how long each took next to its budget.

--long runs the long form of each, as `make test-all` does at night. Suites run side by side: a second in which two of
them run counts half for each, so that their seconds, and their budgets, add up to those of the whole run. Budgets are
for two slow cores. Nothing fails for being slow; the table only shows it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
BUDGETS: Final = Path(__file__).with_name("budget.json")
LOGS: Final = ROOT / ".build" / "suites"
SIDE_BY_SIDE: Final = 2
# One group after another, two suites of a group at a time. Without the first, the others are not run; the last two
# mostly wait, and next to what uses a whole processor they would wait longer.
GROUPS: Final = (("lint", "types"), ("acceptance", "unit", "contract", "faults"), ("page", "reliability"))
LONG_ONLY: Final = (("fuzz",),)


@dataclass(frozen=True)
class Ended:
    """One suite's run."""

    name: str
    start_s: float
    end_s: float
    passed: bool
    output: str


def run(name: str, options: Sequence[str] = ()) -> Ended:
    """`make NAME`, to its end; what it prints can be followed in .build/suites/NAME.log."""
    start, log = time.monotonic(), LOGS / f"{name}.log"
    LOGS.mkdir(parents=True, exist_ok=True)
    # What this make was called with is for this make.
    environ = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    command = ["make", "--no-print-directory", name, *options]
    with log.open("wb") as output:
        done = subprocess.run(command, cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT, check=False)
    return Ended(name, start, time.monotonic(), done.returncode == 0, log.read_text(errors="replace"))


def run_group(names: Sequence[str], options: Sequence[str]) -> Iterator[Ended]:
    """Two at a time, in this order; each as soon as it has ended."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        try:
            for future in as_completed([pool.submit(run, name, options) for name in names]):
                yield future.result()
        except KeyboardInterrupt:
            # Running suites were interrupted by the terminal too.
            pool.shutdown(cancel_futures=True)
            raise


def shares(ended: Sequence[Ended]) -> dict[str, float]:
    """Each suite's seconds of the run, of which those that it shared with others are divided."""
    found = {suite.name: 0.0 for suite in ended}
    moments = sorted({moment for suite in ended for moment in (suite.start_s, suite.end_s)})
    for since, until in pairwise(moments):
        running = [suite.name for suite in ended if suite.start_s <= since and until <= suite.end_s]
        for name in running:
            found[name] += (until - since) / len(running)
    return found


def table(ended: Sequence[Ended], budgets: Mapping[str, float]) -> str:
    """Suite, seconds, budget; the last line is the whole run."""
    seconds, passed = shares(ended), {suite.name: suite.passed for suite in ended}
    lines = [f"{'suite':<12} {'seconds':>8} {'budget':>8}"]
    for name in (name for name in budgets if name in seconds):
        notes = [] if passed[name] else ["FAILED"]
        notes += ["over its budget"] if seconds[name] > budgets[name] else []
        lines.append(f"{name:<12} {seconds[name]:>8.0f} {budgets[name]:>8g}  {', '.join(notes)}".rstrip())
    lines.append(f"{'all':<12} {sum(seconds.values()):>8.0f} {sum(budgets.values()):>8g}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.suites", description=__doc__)
    parser.add_argument("--long", action="store_true", help="the long form")
    long = parser.parse_args().long
    budgets: dict[str, float] = json.loads(BUDGETS.read_text())["make test-all" if long else "make test"]
    ended: list[Ended] = []
    for group in (*GROUPS, *(LONG_ONLY if long else ())):
        for suite in run_group(group, ["LONG=1"] if long else []):
            ended.append(suite)
            print(f"--- {suite.name}: {suite.end_s - suite.start_s:.0f} s\n{suite.output}", flush=True)
        if group == GROUPS[0] and not all(suite.passed for suite in ended):
            break
    print(table(ended, budgets))
    return 0 if all(suite.passed for suite in ended) else 1


if __name__ == "__main__":
    sys.exit(main())
