"""The suites of `make test`: each has a budget, and the table says how long each took."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from tests import suites
from tests.suites import Ended

BUDGETS = json.loads(suites.BUDGETS.read_text())
NAMES = [name for group in suites.GROUPS for name in group]


def test_budgets_of_make_test_total_10_minutes() -> None:
    assert sum(BUDGETS["make test"].values()) <= 600


@pytest.mark.parametrize(("form", "names"), [("make test", NAMES), ("make test-all", [*NAMES, *suites.LONG_ONLY[0]])])
def test_every_suite_is_a_target_with_a_budget(form: str, names: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (suites.ROOT / "Makefile").read_text(), re.MULTILINE)
    assert list(BUDGETS[form]) == names
    assert set(names) <= set(targets)


def test_shared_seconds_are_divided_and_add_up_to_the_run() -> None:
    ended = [Ended("unit", 10, 40, True, ""), Ended("acceptance", 10, 110, True, ""), Ended("page", 112, 142, True, "")]
    assert suites.shares(ended) == {"unit": 15, "acceptance": 85, "page": 30}


def test_table_shows_seconds_budgets_and_failures() -> None:
    ended = [Ended("page", 9.6, 151.4, True, ""), Ended("lint", 0, 9.6, False, "")]
    assert suites.table(ended, {"lint": 20, "page": 130}).splitlines() == [
        "suite         seconds   budget",
        "lint               10       20  FAILED",
        "page              142      130  over its budget",
        "all               151      150",
    ]


def test_failed_suite_is_named_by_its_target() -> None:
    ended = suites.run("no-such-suite")
    assert not ended.passed
    assert "no-such-suite" in ended.output


def test_complete_coverage_is_demanded_of_the_core() -> None:
    settings = tomllib.loads((suites.ROOT / "pyproject.toml").read_text())["tool"]["coverage"]
    assert settings["report"]["fail_under"] == 100
    covered = {path.stem for pattern in settings["run"]["include"] for path in suites.ROOT.glob(pattern)}
    assert covered >= {"lifecycle", "ledger", "pricing", "plans", "schedule", "tenant_days", "cancellation", "events"}
