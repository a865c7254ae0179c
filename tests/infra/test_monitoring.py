"""The monitoring watches what is there: entries that are written, metrics that exist, sections that say what to do."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from google.api_core import exceptions

from shared.core.errors import Unavailable
from shared.gateways.firestore import _answer
from shared.http.routes import ROUTES
from shared.platform import log
from tests.infra import entries
from tests.infra.monitoring import DASHBOARD, OPERATIONS, Monitoring, complaints, plain, text

PRIVACY = OPERATIONS.with_name("privacy.md")


@pytest.fixture(scope="module")
def monitoring() -> Monitoring:
    return Monitoring()


def test_only_existing_things_are_monitored(monitoring: Monitoring) -> None:
    assert complaints(monitoring) == []


# --- what there must be ---


@pytest.mark.parametrize(
    ("alert", "severity", "limits"),
    [
        ("storing_fails", "CRITICAL", {"0.05"}),
        ("storage_full", "CRITICAL", {"0.9"}),
        ("firestore_fails", "CRITICAL", set()),
        ("sweep_silent", "CRITICAL", set()),
        ("api_fails", "CRITICAL", {"0.2"}),
        ("timeouts", "WARNING", {"0.05"}),
        ("slow_generation", "WARNING", {"240"}),
        ("refunds", "WARNING", {"0.15"}),
        ("errors", "WARNING", set()),
    ],
)
def test_alert_exists_with_its_limit(monitoring: Monitoring, alert: str, severity: str, limits: set[str]) -> None:
    found = monitoring.local("alerts")[alert]
    assert found["severity"] == severity
    assert limits <= set(re.findall(r"> (\d+(?:\.\d+)?)", found["query"]))


@pytest.mark.parametrize(
    ("alert", "steps"),
    [
        ("storing_fails", ("Over 10 %", "`storing_timeout_s`", "`default_models`", "`enabled` to false")),
        ("storage_full", ("Over 95 %", "`enabled` to false", "Raise `videos_quota_gb`", "`retention_days`", "to true")),
        ("api_fails", ("roll that function back", "`enabled` to false", "`rollout_percent` 10", "50 and 100")),
    ],
)
def test_section_says_how_to_roll_back(monitoring: Monitoring, alert: str, steps: tuple[str, ...]) -> None:
    section = " ".join((monitoring.section(monitoring.local("alerts")[alert]["section"]) or "").split())
    assert [step for step in steps if step not in section] == []


@pytest.mark.parametrize(
    "shown",
    [
        *("Submits", "Success rate", "Generation time", "Lag from provider done", "Storing failures", "Refund rate"),
        *("Active jobs", "Queue depth", "Queue age", "Credits"),
    ],
)
def test_dashboard_shows(monitoring: Monitoring, shown: str) -> None:
    assert [where for where in monitoring.queries if where.startswith(f"dashboard {shown}")]


def test_weekly_report_is_scheduled(monitoring: Monitoring) -> None:
    schedule = monitoring.local("schedules")["digest"]["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* [0-7]", schedule)
    assert "/tasks/digest" in {route.path for route in ROUTES if route.caller == "scheduler"}


# --- what is in the log ---


def test_every_loggable_error_is_counted(monitoring: Monitoring) -> None:
    (pattern,) = re.findall(r'message=~"(.+)"', monitoring.metrics["errors"].body["entry"])
    for entry in entries.written():
        if entry.severity == "ERROR":
            assert re.search(pattern, entry.message), entry


@pytest.mark.parametrize(
    "failure", [exceptions.ServiceUnavailable("down"), exceptions.DeadlineExceeded("late"), exceptions.Aborted("busy")]
)
async def test_firestore_outage_is_counted(monitoring: Monitoring, failure: Exception) -> None:
    (pattern, _) = re.findall(r'=~"(.+?)"', monitoring.metrics["firestore_errors"].body["entry"])
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    failed.set_exception(failure)
    with pytest.raises((Unavailable, exceptions.Aborted)) as raised:
        await _answer(failed)
    # A failed precondition is how the store works, and no failure.
    counted = not isinstance(failure, exceptions.Aborted)
    assert bool(re.search(pattern, str(raised.value))) == counted
    assert bool(re.search(pattern, repr(raised.value))) == counted


async def test_firestore_rejection_is_counted(monitoring: Monitoring, capsys: pytest.CaptureFixture[str]) -> None:
    (_, pattern) = re.findall(r'=~"(.+?)"', monitoring.metrics["firestore_errors"].body["entry"])
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    failed.set_exception(exceptions.PermissionDenied("no"))
    try:
        await _answer(failed)
    except exceptions.PermissionDenied:
        log.exception("unexpected")
    assert re.search(pattern, json.loads(capsys.readouterr().out)["exception"])


def test_log_retention_matches_the_privacy_page(monitoring: Monitoring) -> None:
    page, variables = PRIVACY.read_text(), monitoring.configuration.variables
    buckets = {
        plain(monitoring.configuration.resources[f"google_logging_project_bucket_config.{name}"])["bucket_id"]: name
        for name in ("default", "audit")
    }
    assert buckets == {"_Default": "default", "audit${var.suffix}": "audit"}
    for name, variable in (("default", "log_retention_days"), ("audit", "audit_retention_days")):
        bucket = plain(monitoring.configuration.resources[f"google_logging_project_bucket_config.{name}"])
        assert bucket["retention_days"] == f"${{var.{variable}}}"
        assert f"`{variable}` ({variables[variable]['default']})" in page


def test_audit_log_keeps_audited_events(monitoring: Monitoring, capsys: pytest.CaptureFixture[str]) -> None:
    sink = plain(monitoring.configuration.resources["google_logging_project_sink.audit"])
    log.audit("video_generated")
    labels = json.loads(capsys.readouterr().out)["logging.googleapis.com/labels"]
    for name, value in labels.items():
        assert f'labels.{name}="{value}"' in sink["filter"]


# --- mistakes ---


@pytest.mark.parametrize(
    ("file", "right", "wrong", "complaint"),
    [
        ("metrics.tf", r"\"swept_all\"", r"\"swept\"", "sweeps: nothing writes swept"),
        ("metrics.tf", '"lag_seconds"', '"lag_s"', "storing_lag_seconds: video_stored has no lag_s"),
        ("metrics.tf", 'code = "code" }', 'code = "why" }', "jobs_ended: job_ended has no why"),
        ("metrics.tf", "key = labels.key", 'key = "model"', "are not the labels ['model']"),
        ("metrics.tf", "credits_refunded = {", "given_back = {", "there is no metric"),
        ("alerts.tf", "user_sweeps{", "user_sweep{", "there is no metric logging_googleapis_com:user_sweep"),
        ("alerts.tf", "seconds_sum{", "seconds{", "there is no metric logging_googleapis_com:user_generation_seconds"),
        ("alerts.tf", "sum by (event)", "sum by (events)", "grouped by events"),
        ("alerts.tf", "GENERATION_TIMEOUT", "TIMEOUT", "code is never TIMEOUT"),
        ("alerts.tf", 'status!="canceled"', 'status!="cancelled"', "status is never cancelled"),
        ("alerts.tf", 'service_name=~"submit|', 'service_name=~"create|', "service_name is never create|"),
        ("alerts.tf", 'monitored_resource="gcs_bucket"', 'monitored_resource="bucket"', "is of gcs_bucket"),
        ("alerts.tf", "or vector(0)) < 1", "or vector(0) < 1", "alert sweep_silent"),
        ("alerts.tf", '"Jobs time out"', '"Timeouts"', "no section 'Timeouts'"),
        ("digest.tf", "EXTRACT(jsonPayload.accounts)", "EXTRACT(jsonPayload.users)", "accounts is users"),
        ("digest.tf", "extracted_label.canceled}", "extracted_label.cancelled}", "digest: tells"),
        ("digest.tf", r"message=\"digest\"", r"message=\"digests\"", "which digests has not"),
    ],
)
def test_mistake_in_a_file_is_detected(file: str, right: str, wrong: str, complaint: str) -> None:
    assert right in text(file)
    found = complaints(Monitoring(changed={file: text(file).replace(right, wrong)}))
    assert [each for each in found if complaint in each], found


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("user_credits_charged_sum", "user_credits_charged", "there is no metric"),
        ("queue_depth", "queue_length", "there is no metric cloudtasks_googleapis_com:queue_length"),
        ("sum by (code) (", "sum by (code) ((", "dashboard"),
        ('"xPos": 24', '"xPos": 25', "outside"),
        ('"xPos": 24', '"xPos": 23', "on Submits"),
        ("user_sweeps{", "user_errors{", ""),
    ],
)
def test_mistake_in_the_dashboard_is_detected(right: str, wrong: str, complaint: str) -> None:
    shown = DASHBOARD.read_text()
    assert right in shown
    found = complaints(Monitoring(dashboard=shown.replace(right, wrong)))
    # What is still watched by an alert may leave the dashboard.
    assert bool(complaint) == bool([each for each in found if complaint in each]), found


def test_unused_metric_is_detected() -> None:
    changed = text("metrics.tf").replace("counters = {", 'counters = {\n    idle = { entry = "", labels = {} }\n', 1)
    assert "idle: neither an alert nor the dashboard uses it" in complaints(Monitoring(changed={"metrics.tf": changed}))


@pytest.mark.parametrize("heading", ["### Storing fails", "### The weekly digest"])
def test_missing_or_orphaned_section_is_detected(heading: str) -> None:
    page = OPERATIONS.read_text().replace(heading, "### Something else")
    found = " ".join(complaints(Monitoring(operations=page)))
    assert f"no section {heading.removeprefix('### ')!r}" in found
    assert "'Something else' is of no alert" in found
