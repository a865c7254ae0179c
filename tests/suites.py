"""`python -m tests.suites`: run every suite that must pass, and print how long each took next to its budget.

--long runs the long form of each, as `make test-all` does at night. A budget is what a suite may take on two slow
cores while another suite runs; nothing fails for being slow, the table only shows it.
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
    seconds: float
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
    return Ended(name, time.monotonic() - start, done.returncode == 0, log.read_text(errors="replace"))


def run_group(names: Sequence[str], options: Sequence[str]) -> Iterator[Ended]:
    """Two at a time, in this order; each as soon as it has ended."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        try:
            for future in as_completed([pool.submit(run, name, options) for name in names]):
                yield future.result()
        except KeyboardInterrupt:
            # Those under way were interrupted by the terminal too.
            pool.shutdown(cancel_futures=True)
            raise


def table(ended: Sequence[Ended], total_s: float, budgets: Mapping[str, float]) -> str:
    """Suite, seconds, budget; the last line is the whole run."""
    lines = [f"{'suite':<12} {'seconds':>8} {'budget':>8}"]
    for suite in sorted(ended, key=lambda each: list(budgets).index(each.name)):
        notes = [] if suite.passed else ["FAILED"]
        notes += ["over its budget"] if suite.seconds > budgets[suite.name] else []
        lines.append(f"{suite.name:<12} {suite.seconds:>8.0f} {budgets[suite.name]:>8g}  {', '.join(notes)}".rstrip())
    lines.append(f"{'elapsed':<12} {total_s:>8.0f} {sum(budgets.values()):>8g}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.suites", description=__doc__)
    parser.add_argument("--long", action="store_true", help="the long form")
    long = parser.parse_args().long
    budgets: dict[str, float] = json.loads(BUDGETS.read_text())["make test-all" if long else "make test"]
    start, ended = time.monotonic(), []
    for group in (*GROUPS, *(LONG_ONLY if long else ())):
        for suite in run_group(group, ["LONG=1"] if long else []):
            ended.append(suite)
            print(f"--- {suite.name}: {suite.seconds:.0f} s\n{suite.output}", flush=True)
        if group == GROUPS[0] and not all(suite.passed for suite in ended):
            break
    print(table(ended, time.monotonic() - start, budgets))
    return 0 if all(suite.passed for suite in ended) else 1


if __name__ == "__main__":
    sys.exit(main())
