"""Other people's linters find nothing in openapi.json, not even something to warn of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.conftest import Run

OPENAPI = Path(__file__).parents[2] / "openapi.json"

pytestmark = pytest.mark.timeout(600)


def test_redocly(run: Run, typescript: Path) -> None:
    found = json.loads(_json(run("npx", "redocly", "lint", OPENAPI, "--format", "json", cwd=typescript)))
    assert (found["totals"]["errors"], found["totals"]["warnings"]) == (0, 0), found["problems"]


def test_spectral(run: Run, typescript: Path) -> None:
    (typescript / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    # It exits with an error for anything that it finds.
    run("npx", "spectral", "lint", OPENAPI, "--fail-severity", "hint", cwd=typescript)


def _json(said: str) -> str:
    """The JSON document among notices about the tool's own version."""
    return said[said.index("{") : said.rindex("}") + 1]
