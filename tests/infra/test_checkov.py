"""checkov's policies for Google Cloud hold, or are waived in the code with a reason."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.infra import clean_venv
from tests.infra.configuration import INFRA, Configuration

# It pins dozens of libraries to versions of its own, so it lives by itself.
REQUIREMENTS = INFRA.parent / "requirements" / "checkov.txt"
MISTAKE = """
resource "google_storage_bucket" "open" {
  name                     = "open"
  location                 = "US"
  public_access_prevention = "inherited"
}
"""

Finding = dict[str, Any]

# Made once, in half a minute to two.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Finding]]:
    """What it finds in infra/, and in one file more that has mistakes in it."""
    folder = tmp_path_factory.mktemp("checkov")
    shutil.copytree(INFRA, folder / "infra", ignore=shutil.ignore_patterns(".terraform*"))
    (folder / "mistake").mkdir()
    (folder / "mistake" / "storage.tf").write_text(MISTAKE)
    command = [clean_venv.python(REQUIREMENTS), "-m", "checkov.main", "--directory", folder, "--framework", "terraform"]
    command += ["--output", "json", "--compact", "--skip-download", "--soft-fail"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    results: dict[str, list[Finding]] = json.loads(done.stdout)["results"]
    return results


def test_no_policy_fails(report: dict[str, list[Finding]]) -> None:
    failed = [f"{one['check_id']} {one['resource']}" for one in report["failed_checks"] if _ours(one)]
    assert failed == []


def test_violation_is_detected(report: dict[str, list[Finding]]) -> None:
    failed = {one["check_id"] for one in report["failed_checks"] if not _ours(one)}
    assert {"CKV_GCP_29", "CKV_GCP_114"} <= failed


def test_every_waiver_has_a_reason_and_is_used(report: dict[str, list[Finding]], configuration: Configuration) -> None:
    waived = re.compile(r"#checkov:skip=(\w+): (\S.*)")
    written = [found for text in configuration.texts.values() for found in waived.findall(text)]
    assert len(written) == sum(text.count("checkov:skip") for text in configuration.texts.values())
    used = {(one["check_id"], one["check_result"]["suppress_comment"].strip()) for one in report["skipped_checks"]}
    assert set(written) == used


def _ours(finding: Finding) -> bool:
    return Path(finding["file_path"]).parts[1] == "infra"
