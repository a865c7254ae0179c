"""infra/ is Terraform that the providers take, laid out as usual, and made in one go from an empty project."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from lark.exceptions import LarkError

from tests.infra import formatting, graph, schema
from tests.infra.configuration import INFRA, Configuration
from tests.infra.conftest import Mistaken

ENVIRONMENTS = sorted((INFRA / "environments").glob("*.tfvars"))
UNREACHABLE = ("could not connect to registry", "failed to request discovery document", "Failed to query available")


@pytest.fixture(scope="session")
def known() -> schema.Schema:
    return schema.load()


def test_resources_and_arguments_exist_in_the_provider(configuration: Configuration, known: schema.Schema) -> None:
    assert schema.problems(configuration, known) == []


@pytest.mark.parametrize(
    ("file", "text", "by", "problem"),
    [
        ("queues.tf", "max_doublings ", "max_doubling ", "there is no max_doubling"),
        ("queues.tf", '  name     = "poll${var.suffix}"\n', "", "name is missing"),
        ("queues.tf", "retry_config {", "retry_config = {", "retry_config is a block"),
        ("queues.tf", 'resource "google_cloud_tasks_queue" "poll"', 'resource "google_cloud_task_queue" "poll"', "no such type"),  # noqa: E501
        ("firestore.tf", "  source {\n", "  sources {\n", "source is missing"),
        ("storage.tf", "versioning {\n    enabled = false\n  }", "versioning {\n    enabled = false\n  }\n\n  versioning {\n    enabled = false\n  }", "more than one versioning"),  # noqa: E501
        ("edge.tf", 'exact_match = header_matches.value', 'exact = header_matches.value', "there is no exact"),
        ("pubsub.tf", "google_pubsub_topic.objects.id", "google_pubsub_topic.objekts.id", "there is no google_pubsub_topic.objekts"),  # noqa: E501
        ("pubsub.tf", "google_pubsub_topic.objects.id", "google_pubsub_topic.objects.identity", "has no identity"),
        ("outputs.tf", "var.domain", "var.host", "there is no var.host"),
        ("scheduler.tf", "local.schedules", "local.jobs", "there is no local.jobs"),
    ],
)  # fmt: skip
def test_invalid_resource_is_detected(
    mistaken: Mistaken, known: schema.Schema, file: str, text: str, by: str, problem: str
) -> None:
    assert any(problem in one for one in schema.problems(mistaken(file, text, by), known))


def test_schema_covers_exactly_what_is_used(configuration: Configuration, known: schema.Schema) -> None:
    used = {(sort, kind) for _, sort, kind in schema.used(configuration)}
    assert {("resource", kind) for kind in known["resources"]} | {("data", kind) for kind in known["data"]} == used
    assert known["versions"] == {name: version for name, (_, _, version) in schema.BINDINGS.items()}


@pytest.mark.skipif(not schema.DOWNLOADS.exists(), reason="the bindings are not here; `python -m tests.infra.schema`")
def test_schema_matches_the_bindings(configuration: Configuration) -> None:
    assert schema.FILE.read_text() == schema.written(schema.build(configuration))


def test_resources_depend_on_their_api_without_cycles(configuration: Configuration) -> None:
    assert list(graph.problems(configuration)) == []


@pytest.mark.parametrize(
    ("file", "text", "by", "problem"),
    [
        ("queues.tf", "  depends_on = [time_sleep.apis]\n", "", "does not wait for the APIs"),
        ("apis.tf", '    "cloudtasks.googleapis.com",\n', "", "the API cloudtasks is not enabled"),
        ("apis.tf", '    "cloudtasks.googleapis.com",\n', '    "cloudtasks.googleapis.com",\n    "dns.googleapis.com",\n', "the API dns is enabled for nothing"),  # noqa: E501
        ("functions.tf", "POLL_URL              = local.run_urls.poll", 'POLL_URL              = google_cloudfunctions2_function.this["poll"].url', "a circle"),  # noqa: E501
    ],
)  # fmt: skip
def test_wrong_order_is_detected(mistaken: Mistaken, file: str, text: str, by: str, problem: str) -> None:
    assert any(problem in one for one in graph.problems(mistaken(file, text, by)))


def test_invalid_syntax_is_detected(mistaken: Mistaken) -> None:
    with pytest.raises(LarkError):
        _ = mistaken("queues.tf", "rate_limits {", "rate_limits {{").files


def test_files_are_formatted_like_terraform_fmt(configuration: Configuration) -> None:
    texts = configuration.texts | {path.name: path.read_text() for path in ENVIRONMENTS}
    assert [problem for name, text in texts.items() for problem in formatting.problems(name, text)] == []


def test_own_rules_agree_with_terraform(configuration: Configuration) -> None:
    """So that a machine without terraform finds what matters, and nothing else."""
    found = [problem for name, text in configuration.texts.items() for problem in formatting.by_rules(name, text)]
    assert found == []


@pytest.mark.parametrize(
    ("text", "by"),
    [("  max_attempts       = -1", "  max_attempts = -1"), ("  rate_limits {", "    rate_limits {"), ("{\n", "{ \n")],
)
def test_other_formatting_is_detected(mistaken: Mistaken, text: str, by: str) -> None:
    changed = mistaken("queues.tf", text, by).texts["queues.tf"]
    assert formatting.problems("queues.tf", changed)
    assert formatting.by_rules("queues.tf", changed)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environments_set_exactly_the_variables(configuration: Configuration, environment: Path) -> None:
    given = {line.split("=")[0].strip() for line in environment.read_text().splitlines() if " = " in line}
    needed = {name for name, body in configuration.variables.items() if "default" not in body}
    assert needed <= given <= set(configuration.variables)
    assert f'environment = "{environment.stem}"' in environment.read_text()


def test_variables_and_outputs_are_described(configuration: Configuration) -> None:
    outputs = {name: body for block in configuration.blocks("output") for name, body in block.items()}
    for name, body in {**configuration.variables, **outputs}.items():
        assert str(body.get("description", "")).endswith("."), name


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")
@pytest.mark.timeout(600)
def test_terraform_validate_passes(tmp_path: Path) -> None:
    """Only where the providers can be downloaded, once, into .build/terraform."""
    folder = tmp_path / "infra"
    shutil.copytree(INFRA, folder, ignore=shutil.ignore_patterns(".terraform*"))
    cache = INFRA.parent / ".build" / "terraform"
    cache.mkdir(parents=True, exist_ok=True)
    environ = {**os.environ, "TF_PLUGIN_CACHE_DIR": str(cache), "TF_IN_AUTOMATION": "1"}
    init = ["terraform", f"-chdir={folder}", "init", "-backend=false", "-input=false", "-no-color"]
    done = subprocess.run(init, capture_output=True, text=True, env=environ, check=False)
    if done.returncode and any(text in done.stdout + done.stderr for text in UNREACHABLE):
        pytest.skip("the registry of Terraform's providers cannot be reached")
    assert done.returncode == 0, done.stderr
    validate = ["terraform", f"-chdir={folder}", "validate", "-no-color"]
    validated = subprocess.run(validate, capture_output=True, text=True, env=environ, check=False)
    assert validated.returncode == 0, validated.stdout + validated.stderr
