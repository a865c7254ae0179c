"""The workflows run the commands of the Makefile, and only deploying and planning jobs get an identity."""

from __future__ import annotations

import os
import re
import subprocess
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
def test_every_make_command_exists(path: Any) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = re.findall(r"\bmake ([a-z-]+)", "\n".join(commands(read(path.stem))))
    assert set(asked) <= targets


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_have_no_keys_and_minimal_permissions(path: Any) -> None:
    text = path.read_text()
    assert "secrets." not in text
    assert "credentials_json" not in text
    assert read(path.stem)["permissions"]["contents"] == "read"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_request_text_becomes_part_of_a_command(path: Any) -> None:
    """An expression in a command is text of the pull request's author; environment variables are not."""
    assert all("${{" not in command for command in commands(read(path.stem)))


def test_pushes_and_pull_requests_run_the_local_test_command() -> None:
    triggers = on(read("test"))
    assert {"push", "pull_request", "workflow_call"} == set(triggers)
    assert "make test" in commands(read("test"))
    assert triggers["push"]["branches-ignore"] == on(read("deploy"))["push"]["branches"] == ["main"]


def test_long_tests_run_nightly() -> None:
    assert on(read("nightly"))["schedule"]
    (job,) = read("nightly")["jobs"].values()
    assert (job["uses"], job["with"]) == ("./.github/workflows/test.yml", {"long": True})
    conditions = {step["run"]: step["if"] for step in read("test")["jobs"]["test"]["steps"] if "if" in step}
    assert conditions == {"make test": "${{ !inputs.long }}", "make test-all": "${{ inputs.long }}"}


def test_fast_tests_run_on_the_next_runtime_too() -> None:
    job = read("test")["jobs"]["newer-python"]
    (python,) = [step["with"]["python-version"] for step in job["steps"] if "setup-python@" in step.get("uses", "")]
    assert (python, [step["run"] for step in job["steps"] if "run" in step]) == ("3.13", ["make unit", "make contract"])


def test_main_goes_to_dev_then_staging_then_prod() -> None:
    jobs = read("deploy")["jobs"]
    needs = {name: jobs[name]["needs"] for name in ("dev", "staging", "prod")}
    assert needs == {"dev": "test", "staging": ["test", "dev"], "prod": ["test", "dev", "staging"]}
    assert all(jobs[name]["with"]["environment"] == name for name in needs)


def test_fork_deploys_nothing_and_says_so() -> None:
    jobs = dict(read("deploy")["jobs"])
    del jobs["test"]
    assert jobs.pop("nowhere")["if"] == "vars.ENVIRONMENTS == ''"
    for name, job in jobs.items():
        assert f"contains(vars.ENVIRONMENTS, '{name}')" in job["if"]
        # A job without a status function in its condition is skipped when what it needs was.
        assert name == "dev" or "!cancelled() && !failure()" in job["if"]


@pytest.mark.parametrize("missing", ["DEPLOYER", "STATE_BUCKET", "WORKLOAD_IDENTITY_PROVIDER", None])
def test_missing_environment_variables_are_named(missing: str | None) -> None:
    (job,) = read("apply")["jobs"].values()
    step = job["steps"][0]
    used = set(re.findall(r"vars\.([A-Z_]+)", str(job["steps"][1:]))) - {"CANARY"}
    assert {name: f"${{{{ vars.{name} }}}}" for name in used} == step["env"]
    environ = {"PATH": os.environ["PATH"], **dict.fromkeys(step["env"], "set"), **({missing: ""} if missing else {})}
    done = subprocess.run(["bash", "-e", "-c", step["run"]], capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == (1 if missing else 0)
    assert re.findall(r"has no variable (\w+)", done.stdout) == ([missing] if missing else [])


def test_canary_is_pinned_before_apply_and_shifted_after() -> None:
    (job,) = read("apply")["jobs"].values()
    runs = [step for step in job["steps"] if "run" in step]
    pin, plan, apply, after, shift = (
        next(at for at, step in enumerate(runs) if text in step["run"])
        for text in ("tools.canary pin", " plan -input", " apply -input", "tools.after_apply", "tools.canary shift")
    )
    assert pin < plan < apply < after < shift
    assert runs[pin]["if"] == runs[shift]["if"] == "vars.CANARY == 'true'"
    assert runs[plan]["env"]["TF_VAR_canary"] == "${{ vars.CANARY == 'true' }}"
    # The wrapper of setup-terraform writes lines of its own into what our tools read.
    (terraform,) = [step for step in job["steps"] if "setup-terraform@" in step.get("uses", "")]
    assert terraform["with"]["terraform_wrapper"] is False


@pytest.mark.parametrize("name", ["apply", "plan"])
def test_workflows_take_the_locked_providers_only(name: str) -> None:
    assert any("init -input=false -lockfile=readonly" in command for command in commands(read(name)))


def test_every_required_provider_is_locked_within_its_constraint() -> None:
    required = re.findall(r'source\s+= "(.+)"\n\s+version = "(.+)"', (ROOT / "infra/versions.tf").read_text())
    lock = (ROOT / "infra/.terraform.lock.hcl").read_text()
    locked = re.findall(
        r'provider "registry.terraform.io/(.+)" \{\n.*version += "(.+)"\n.*constraints = "(.+)"\n', lock
    )
    assert {source: constraint for source, _, constraint in locked} == dict(required)
    for _, version, constraint in locked:
        least = [int(part) for part in constraint.removeprefix("~> ").split(".")]
        taken = [int(part) for part in version.split(".")]
        assert taken[0] == least[0]
        assert taken[1] >= least[1]
    hashes = re.findall(r'"zh:([0-9a-f]{64})"', lock)
    # One for each platform's archive, and one for the manifest.
    assert len(hashes) == 12 * len(locked)


def test_providers_are_locked_for_every_platform() -> None:
    (rule,) = re.findall(r"^providers:.*\n\t(.+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert rule == "terraform -chdir=infra providers lock -platform=linux_amd64 -platform=darwin_arm64"
    assert ".terraform.lock.hcl" not in (ROOT / ".gitignore").read_text()


def test_applying_jobs_run_in_the_deployment_environment() -> None:
    """Its reviewers approve, and the deployer's account admits no other run."""
    (job,) = read("apply")["jobs"].values()
    assert job["environment"] == "${{ inputs.environment }}"
    assert any(command.startswith("terraform") and " apply " in command for command in commands(read("apply")))


def test_pull_request_plans_with_a_read_only_identity() -> None:
    (job,) = read("plan")["jobs"].values()
    accounts = [step["with"]["service_account"] for step in job["steps"] if "auth@" in step.get("uses", "")]
    assert accounts == ["${{ vars.PLANNER }}"]
    assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]
    assert not any(" apply" in command for command in commands(read("plan")))


def test_environments_match_infra() -> None:
    options = on(read("apply"))["workflow_dispatch"]["inputs"]["environment"]["options"]
    assert set(options) == {path.stem for path in (INFRA / "environments").glob("*.tfvars")}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_third_party_actions_are_pinned_by_hash_with_a_version(path: Any) -> None:
    """An attacker who takes over a repository can move a tag to other code, but not a commit's hash."""
    used = re.findall(r"uses: (?!\./)(.+)", path.read_text())
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action) for action in used), used
