"""`python -m bench.mutation`: mutation tests of the core.

mutmut changes one thing at a time in a scratch copy of the tree (an operator, a constant, an argument) and runs the
tests that reach it. A mutant that no test fails on is a survivor, and docs/mutants.md explains every one of them in one
line. The exit code is 1 when a file's score is below the least one, a survivor is not explained, or an explained one
does not survive any more.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import report

ROOT: Final = Path(__file__).resolve().parents[1]
EXPLANATIONS: Final = ROOT / "docs" / "mutants.md"
MUTATED: Final = ("shared/core/lifecycle.py", "shared/core/pricing.py", "shared/core/ledger.py")
TESTS: Final = (
    "tests/unit/core/test_lifecycle.py",
    "tests/unit/core/test_cancellation.py",
    "tests/unit/jobs/test_failover.py",
    "tests/unit/jobs/test_transitions.py",
    "tests/unit/core/test_pricing.py",
    "tests/unit/core/test_charges.py",
    "tests/unit/core/test_ledger.py",
    "tests/unit/core/test_limits.py",
)
COPIED: Final = ("shared", "local", "functions", "testing", "tests", "pyproject.toml")
LEAST_PERCENT: Final = 95.0
# Killed by a failing test, or by taking the process down.
KILLED: Final = frozenset({"killed", "timeout", "segfault", "caught by type check"})
UNTOLD: Final = frozenset({"not checked", "check was interrupted by user"})
# One seed (mutmut itself sees to one order): a survivor of today is a survivor of tomorrow.
PYTEST: Final = ("-p", "no:cacheprovider", "--hypothesis-seed=0")

# mutmut's own timers outlive what they watch and then signal whichever process has got that id; they must never go off.
# What runs for ever is ended by the time limit that every test has.
NEVER_S: Final = 604_800.0

_RESULT = re.compile(r"^\s+(?P<name>shared\.\S+): (?P<status>.+)$", re.MULTILINE)
_NAME = re.compile(r"^(?P<module>.+)\.x(?:_|ǁ(?P<class>\w+)ǁ)(?P<function>\w+)__mutmut_\d+$")
_EXPLAINED = re.compile(r"^- `(?P<function>[^`]+)`: `(?P<was>[^`]+)` → (?:`(?P<now>[^`]+)`|nothing): \S")
GONE: Final = ""


@dataclass(frozen=True, order=True)
class Survivor:
    """A mutant that no test fails on, identified without its number: numbers move with every change of the file.

    `was` and `now` are the changed lines, joined; `now` is empty where a line was taken away.
    """

    function: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"- `{self.function}`: `{self.was}` → " + (f"`{self.now}`" if self.now else "nothing")


@dataclass(frozen=True)
class Score:
    """The results of one file's mutants."""

    file: str
    killed: int
    survivors: tuple[Survivor, ...]

    @property
    def total(self) -> int:
        return self.killed + len(self.survivors)

    @property
    def percent(self) -> float:
        return 100.0 * self.killed / self.total

    @property
    def row(self) -> tuple[str, ...]:
        return f"`{self.file}`", f"{self.total:,}", f"{self.killed:,}", f"{self.percent:.1f} %"

    def __str__(self) -> str:
        survived = len(self.survivors)
        return f"{self.file}: {self.killed} killed, {survived} survived, {self.total} in all, {self.percent:.1f} %"


def measure(tree: Path, children: int) -> list[Score]:
    """The score of every file, found in a copy of the tree in that empty folder.

    Raises RuntimeError with mutmut's last words when it could not run to its end.
    """
    _copy_to(tree)
    log = _mutmut(tree, "run", "--max-children", str(children))
    statuses = {found["name"]: found["status"] for found in _RESULT.finditer(_mutmut(tree, "results", "--all", "1"))}
    if not statuses or not UNTOLD.isdisjoint(statuses.values()):
        raise RuntimeError(f"mutmut did not come to its end: {_last_words(log)}")
    return [_score(tree, file, statuses) for file in MUTATED]


def _copy_to(tree: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", ".*")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, tree / name)
    settings = {
        "source_paths": MUTATED,
        "also_copy": COPIED,
        "pytest_add_cli_args": PYTEST,
        "pytest_add_cli_args_test_selection": TESTS,
        "timeout_constant": NEVER_S,
        "timeout_multiplier": 1.0,
    }
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in settings.items()]
    with (tree / "pyproject.toml").open("a") as file:
        file.write("\n[tool.mutmut]\n" + "".join(lines))


def _mutmut(tree: Path, *arguments: str) -> str:
    program = Path(sys.executable).with_name("mutmut")
    if not program.exists():
        raise RuntimeError("mutmut is not installed: it is one of the development requirements")
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run([program, *arguments], cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(
            f"mutmut {arguments[0]} ended with {done.returncode}: {_last_words(done.stdout + done.stderr)}"
        )
    return done.stdout


def _last_words(output: str) -> str:
    """The end of what mutmut said, without its spinner."""
    lines = [line for line in output.splitlines() if line.strip() and not re.match(r"[\u2800-\u28ff] ", line)]
    return "\n".join(lines[-40:])


def _score(tree: Path, file: str, statuses: dict[str, str]) -> Score:
    module = file.removesuffix(".py").replace("/", ".")
    names = [name for name in statuses if name.startswith(f"{module}.")]
    survived = [name for name in names if statuses[name] not in KILLED]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        diffs = list(pool.map(lambda name: _mutmut(tree, "show", name), survived))
    survivors = tuple(sorted(survivor(name, diff) for name, diff in zip(survived, diffs, strict=True)))
    return Score(file, len(names) - len(survived), survivors)


def survivor(name: str, diff: str) -> Survivor:
    """The mutant of that name, read from its unified diff."""
    found = _NAME.match(name)
    if found is None:
        raise ValueError(f"no name of a mutant: {name}")
    function = f"{found['class']}.{found['function']}" if found["class"] else found["function"]
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++", "#"))]
    removed = [line[1:].strip() for line in lines if line.startswith("-")]
    added = [line[1:].strip() for line in lines if line.startswith("+")]
    # Taking the last argument away moves the bracket up; the bracket is no news.
    while removed and added and removed[-1] == added[-1]:
        del removed[-1], added[-1]
    return Survivor(function, " ".join(removed), " ".join(added))


def explained(text: str) -> Iterator[Survivor]:
    """The survivors that the document explains, one a line."""
    for line in text.splitlines():
        if found := _EXPLAINED.match(line):
            yield Survivor(found["function"], found["was"], found["now"] or GONE)
        elif line.startswith("- "):
            raise ValueError(f"{EXPLANATIONS.name}: not an explanation: {line}")


def faults(scores: Iterable[Score], text: str) -> Iterator[str]:
    """What is wrong with the scores and their explanations, a line each."""
    survivors: Counter[Survivor] = Counter()
    for score in scores:
        survivors.update(score.survivors)
        if score.percent < LEAST_PERCENT:
            yield f"below {LEAST_PERCENT:.0f} %: {score}"
    told = Counter(explained(text))
    yield from (f"not explained: {one}" for one in sorted((survivors - told).elements()))
    yield from (f"explained, but it does not survive: {one}" for one in sorted((told - survivors).elements()))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.mutation", description=__doc__)
    parser.add_argument("--children", type=int, default=os.cpu_count(), help="so many mutants are tested at once")
    parser.add_argument("--no-report", action="store_true", help="only print")
    parser.add_argument("--keep", type=Path, help="an empty folder for the copy, which stays there for `mutmut browse`")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        scores = measure(options.keep or Path(scratch), options.children)
    for score in scores:
        print(score)
        print(*(f"  {one}" for one in score.survivors), sep="\n", end="\n" if score.survivors else "")
    wrong = list(faults(scores, EXPLANATIONS.read_text() if EXPLANATIONS.exists() else ""))
    print(*wrong, sep="\n", file=sys.stderr)
    if not options.no_report:
        head = ("mutants of", "all", "killed", "score")
        report.replace("mutants", report.table((score.row for score in scores), head))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
