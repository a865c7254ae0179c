"""The workflows run the commands of the Makefile, and nobody gets an identity who does not deploy or plan."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.infra.configuration import INFRA

ROOT = INFRA.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

Workflow = dict[Any, Any]


def read(name: str) -> Workflow:
    workflow: Workflow = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    return workflow


def steps(workflow: Workflow) -> Iterator[Workflow]:
    for job in workflow["jobs"].values():
        yield from job.get("steps", [])


def on(workflow: Workflow) -> Workflow:
    """YAML 1.1 reads the word as true."""
    triggers: Workflow = workflow[True]
    return triggers


def commands(workflow: Workflow) -> list[str]:
    return [step["run"] for step in steps(workflow) if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_make_command_is_one(path: Any) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = re.findall(r"\bmake ([a-z-]+)", "\n".join(commands(read(path.stem))))
    assert set(asked) <= targets


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_has_a_key_and_each_says_what_it_may(path: Any) -> None:
    text = path.read_text()
    assert "secrets." not in text
    assert "credentials_json" not in text
    assert read(path.stem)["permissions"]["contents"] == "read"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nothing_of_a_request_becomes_part_of_a_command(path: Any) -> None:
    """An expression in a command is text of whoever wrote the pull request; variables of the environment are not."""
    assert all("${{" not in command for command in commands(read(path.stem)))


def test_every_push_and_pull_request_is_tested_by_the_laptops_command() -> None:
    triggers = on(read("test"))
    assert {"push", "pull_request", "workflow_call"} == set(triggers)
    assert "make test" in commands(read("test"))
    assert triggers["push"]["branches-ignore"] == on(read("deploy"))["push"]["branches"] == ["main"]


def test_main_goes_to_dev_once_tested_and_then_to_prod() -> None:
    jobs = read("deploy")["jobs"]
    assert (jobs["dev"]["needs"], jobs["prod"]["needs"]) == ("test", "dev")
    assert [jobs[name]["with"]["environment"] for name in ("dev", "prod")] == ["dev", "prod"]


def test_whoever_applies_runs_in_the_deployment_environment() -> None:
    """Its reviewers approve, and the deployer's account admits no other run."""
    (job,) = read("apply")["jobs"].values()
    assert job["environment"] == "${{ inputs.environment }}"
    assert any(command.startswith("terraform") and " apply " in command for command in commands(read("apply")))


def test_a_pull_request_plans_as_who_may_not_change_anything() -> None:
    (job,) = read("plan")["jobs"].values()
    accounts = [step["with"]["service_account"] for step in job["steps"] if "auth@" in step.get("uses", "")]
    assert accounts == ["${{ vars.PLANNER }}"]
    assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]
    assert not any(" apply" in command for command in commands(read("plan")))


def test_the_environments_are_those_of_infra() -> None:
    options = on(read("apply"))["workflow_dispatch"]["inputs"]["environment"]["options"]
    assert set(options) == {path.stem for path in (INFRA / "environments").glob("*.tfvars")}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_of_others_are_pinned_by_hash_with_their_version_beside_it(path: Any) -> None:
    """A tag can be moved to other code by whoever takes over its repository; a commit's hash can't."""
    used = re.findall(r"uses: (?!\./)(.+)", path.read_text())
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action) for action in used), used
