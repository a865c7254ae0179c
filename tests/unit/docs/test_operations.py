"""The page for operators knows every warning and error that can be logged."""

from __future__ import annotations

import re

import pytest

from testing.cloud import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text()
SOURCES = [path.read_text() for folder in ("shared", "functions") for path in sorted((ROOT / folder).rglob("*.py"))]
LOGGED = {name for text in SOURCES for name in re.findall(r'\blog\.(?:warning|error|exception)\(\s*"(\w+)"', text)}
NOTED = {name for text in SOURCES for name in re.findall(r'\blog\.info\(\s*"(\w+)"', text)}
# Counted and logged by the loop that commits a change, under the name that the core gave them.
SIGNALS = {"uncertain_start", "abandoned_generation", "adopted", "late_success", "swept"}


@pytest.mark.parametrize("message", sorted(LOGGED | SIGNALS))
def test_every_warning_and_error_is_documented_for_operators(message: str) -> None:
    assert f"`{message}`" in PAGE


def test_documented_log_events_exist() -> None:
    tables = re.findall(r"^\| message \|.*?\n\n", f"{PAGE}\n\n", re.MULTILINE | re.DOTALL)
    rows = [line for table in tables for line in table.splitlines() if line.startswith("| `")]
    told = {name for line in rows for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])}
    assert told >= {"storage_refused", "uncertain_start"}, "the tables are not where they were"
    assert told <= LOGGED | SIGNALS | NOTED
