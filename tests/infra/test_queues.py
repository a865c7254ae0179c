"""The queues are those that the code names, with the catalogue's pace and the back-offs that recovery counts on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.plan import Plan
from shared.chores import Chore
from shared.deliveries import Delivery
from shared.generators.catalog import MODELS
from shared.lifecycle import POLL_QUEUE
from tests.infra.configuration import Configuration
from tests.infra.conftest import Mistaken

Queue = dict[str, Any]
NAMED = {POLL_QUEUE, Chore.queue, Delivery.queue} | {model.queue for model in MODELS.values()}


def problems(configuration: Configuration, laptop: list[Queue]) -> Iterator[str]:
    """Where the cloud's queues differ from the laptop's, on which every promise of docs/operations.md is tested."""
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


def test_the_queues_are_those_of_the_code(configuration: Configuration, laptop: list[Queue]) -> None:
    assert list(problems(configuration, laptop)) == []


def test_a_models_pace_is_its_quota_rounded_down(configuration: Configuration) -> None:
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
        ("queues.tf", '  name     = "webhooks"', '  name     = "web-hooks"'),
        ("variables.tf", "veo-3-1-lite = 50", "veo-3-1-lite = 500"),
        ("variables.tf", "    veo-3-1-lite = 50\n", ""),
    ],
)
def test_a_queue_that_differs_is_noticed(
    mistaken: Mistaken, laptop: list[Queue], file: str, text: str, by: str
) -> None:
    assert list(problems(mistaken(file, text, by), laptop))
