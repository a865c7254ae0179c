"""The queues are those that the code names, with the catalog's pace and the back-offs that recovery counts on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.supervisor.plan import Plan
from shared.accounts.chores import Chore
from shared.core.catalog import MODELS
from shared.core.lifecycle import POLL_QUEUE
from shared.webhooks.deliveries import Delivery
from tests.infra.configuration import Configuration
from tests.infra.conftest import Mistaken
from tests.infra.test_functions import functions

Queue = dict[str, Any]
NAMED = {POLL_QUEUE, Chore.queue, Delivery.queue} | {model.queue for model in MODELS.values()}


def problems(configuration: Configuration, laptop: list[Queue]) -> Iterator[str]:
    """Where the cloud's queues differ from the local ones, on which every promise of docs/operations.md is tested."""
    cloud = {each.body["name"]: each.body for each in configuration.instances("google_cloud_tasks_queue")}
    if set(cloud) != NAMED:
        yield f"the queues are {sorted(cloud)}"
    quotas = {f"generate-{key}": value for key, value in configuration.variables["model_quotas"]["default"].items()}
    for queue in laptop:
        name = queue["name"]
        if name not in cloud:
            continue
        retry, rate = cloud[name]["retry_config"][0], cloud[name]["rate_limits"][0]
        given = {
            "max_attempts": retry["max_attempts"],
            "min_backoff_s": _seconds(retry["min_backoff"]),
            "max_backoff_s": _seconds(retry["max_backoff"]),
            "max_doublings": retry["max_doublings"],
            "max_concurrent_dispatches": rate["max_concurrent_dispatches"],
        }
        yield from (f"{name}: {key} is {value}" for key, value in given.items() if queue[key] != value)
        if retry["max_retry_duration"] != "0s":
            yield f"{name}: it gives up by itself"
        pace = quotas[name] / 60 if name in quotas else rate["max_dispatches_per_second"]
        if queue["max_dispatches_per_second"] != pace:
            yield f"{name}: {pace} a second"


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


@pytest.fixture
def laptop(tmp_path: Path) -> list[Queue]:
    """The queues of the local cloud, as its supervisor writes them."""
    listed: list[Queue] = json.loads(Plan(tmp_path, {}, environ={}).write_queues().read_text())
    return listed


def test_queues_match_the_code(configuration: Configuration, laptop: list[Queue]) -> None:
    assert list(problems(configuration, laptop)) == []


def test_models_pace_is_its_quota_rounded_down(configuration: Configuration) -> None:
    (pace,) = {
        each.body["rate_limits"][0]["max_dispatches_per_second"]
        for each in configuration.instances("google_cloud_tasks_queue")
        if str(each.body["name"]).startswith("generate-")
    }
    assert pace == "${floor(50 * 1000 / 60) / 1000}"


@pytest.mark.parametrize(
    ("file", "text", "by"),
    [
        ("queues.tf", 'max_backoff        = "30s"', 'max_backoff        = "300s"'),
        ("queues.tf", "max_attempts       = -1", "max_attempts       = 100"),
        ("queues.tf", 'max_retry_duration = "0s"', 'max_retry_duration = "3600s"'),
        ("queues.tf", '  name     = "webhooks$', '  name     = "web-hooks$'),
        ("variables.tf", "veo-3-1-lite = 50", "veo-3-1-lite = 500"),
        ("variables.tf", "    veo-3-1-lite = 50\n", ""),
    ],
)
def test_differing_queue_is_detected(mistaken: Mistaken, laptop: list[Queue], file: str, text: str, by: str) -> None:
    assert list(problems(mistaken(file, text, by), laptop))


# What keeps its name for days after it is destroyed, and the argument that is its name.
KEPT = {
    "google_cloud_tasks_queue": "name",
    "google_apikeys_key": "name",
    "google_iam_workload_identity_pool": "workload_identity_pool_id",
    "google_logging_project_bucket_config": "bucket_id",
}


def without_suffix(configuration: Configuration) -> list[str]:
    """Names that stay taken after a destroy, and that the variable `suffix` doesn't change."""
    text, by = 'default     = ""', 'default     = "-b"'
    variables = configuration.texts["variables.tf"]
    head, name, rest = variables.partition('variable "suffix" {')
    other = Configuration(changed=configuration.texts | {"variables.tf": head + name + rest.replace(text, by, 1)})
    names = [each.body[argument] for kind, argument in KEPT.items() for each in other.instances(kind)]
    # The bucket _Default is the project's own: it is never made.
    found = [name for name in names if name != "_Default" and not name.endswith("-b")]
    if other.made("${local.settings}", {})["QUEUE_SUFFIX"] != "-b":
        found.append("QUEUE_SUFFIX")
    return found


def test_every_permanently_blocked_name_has_the_suffix(configuration: Configuration) -> None:
    assert without_suffix(configuration) == []
    enqueue = {name for name, row in configuration.locals["functions"].items() if "QUEUE_SUFFIX" in row["settings"]}
    assert enqueue == set(functions(configuration)) - {"stream"}


@pytest.mark.parametrize(
    ("file", "text", "by"),
    [
        ("queues.tf", '"generate-${each.key}${var.suffix}"', '"generate-${each.key}"'),
        ("identity.tf", '"studio${var.suffix}"', '"studio"'),
        ("deployer.tf", '"github${var.suffix}"', '"github"'),
        ("audit.tf", '"audit${var.suffix}"', '"audit"'),
        ("functions.tf", "QUEUE_SUFFIX          = var.suffix", 'QUEUE_SUFFIX          = ""'),
    ],
)
def test_name_without_the_suffix_is_detected(mistaken: Mistaken, file: str, text: str, by: str) -> None:
    assert without_suffix(mistaken(file, text, by))
