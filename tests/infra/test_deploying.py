"""Deploying in docs/operations.md: its commands exist, and its prices add up."""

from __future__ import annotations

import re

import pytest

from bench import costs
from tests.infra.configuration import INFRA, Configuration

ROOT = INFRA.parent
PAGE = (ROOT / "docs" / "operations.md").read_text()
DEPLOYING = PAGE.split("\n## Deploying\n", 1)[1].split("\n## ", 1)[0]
BLOCKS = re.findall(r"```sh\n(.*?)```", DEPLOYING, re.DOTALL)
# By row of the table: what bench/costs.py, which has the prices, makes of it.
WARM = sum(costs.MONTH_S * (costs.IDLE_VCPU_S + costs.MEMORY_GIB[name] * costs.IDLE_GIB_S) for name in costs.WARM)
PRICED = {
    "load balancer": (costs.LOAD_BALANCER, costs.LOAD_BALANCER),
    "Cloud Armor, a policy and two rules": (costs.ARMOR, costs.ARMOR),
    "Cloud Scheduler, four jobs": ((costs.SCHEDULER_JOBS - costs.SCHEDULER_JOBS_FREE) * costs.SCHEDULER_JOB,) * 2,
    "`warm_instances = 1`": (0.0, WARM),
}


def idle_costs() -> dict[str, tuple[float, float]]:
    """Dollars of dev and prod by row of the table."""
    table = DEPLOYING.split("### What an idle month costs", 1)[1].split("\n### ", 1)[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ") and line.count("|") == 5]
    return {
        cells[0].strip().strip("*"): (float(cells[2].strip(" *")), float(cells[3].strip(" *")))
        for cells in rows
        if cells[0].strip()
    }


def test_idle_month_adds_up_with_the_benchmarks_prices() -> None:
    rows = idle_costs()
    together = rows.pop("together")
    assert tuple(sum(row[at] for row in rows.values()) for at in (0, 1)) == pytest.approx(together, abs=0.0051)
    for name, dollars in PRICED.items():
        assert rows[name] == pytest.approx(dollars, abs=0.001)
    for name, total in zip(("dev", "prod"), together, strict=True):
        assert f"| **together, in {name}** | **{total:.2f}** |" in PAGE


def test_warm_instances_match_the_table() -> None:
    for name, is_warm in (("dev", False), ("staging", False), ("prod", True)):
        text = (INFRA / "environments" / f"{name}.tfvars").read_text()
        assert ("warm_instances = 1" in text) == is_warm


def test_every_command_exists(configuration: Configuration) -> None:
    commands = "\n".join(BLOCKS)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)$", commands, re.MULTILINE)) <= targets
    for module in re.findall(r"python -m tools\.(\w+)", DEPLOYING):
        assert (ROOT / "tools" / f"{module}.py").exists(), module
    outputs = {name for block in configuration.blocks("output") for name in block}
    assert set(re.findall(r"terraform -chdir=infra output -json (\w+)", commands)) <= outputs


def test_named_variables_exist(configuration: Configuration) -> None:
    assigned = set(re.findall(r"`(\w+) = ", DEPLOYING))
    assert assigned <= set(configuration.variables), assigned - set(configuration.variables)


def test_shell_variables_are_set_before_use() -> None:
    known: set[str] = set()
    for line in "\n".join(BLOCKS).splitlines():
        code = line if not line.startswith("#") else ""
        known |= set(re.findall(r"\b([A-Z]+)=", code))
        assert set(re.findall(r"\$([A-Z]+)", code)) <= known, line


def test_page_ends_with_what_only_a_real_project_can_confirm() -> None:
    checklist = DEPLOYING.split("### What only a real project can confirm", 1)[1].split("\n### ", 1)[0]
    assert checklist.count("- [ ] ") >= 10


def test_stated_runtime_end_is_of_the_runtime_in_use(configuration: Configuration) -> None:
    (runtime,) = {
        each.body["build_config"][0]["runtime"] for each in configuration.instances("google_cloudfunctions2_function")
    }
    assert f"`{runtime}`, which Google deprecates on" in DEPLOYING
