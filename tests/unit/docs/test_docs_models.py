"""The page about the API names exactly the models, other names and retired ids that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.core.catalog import MODELS, Offering, replaced_by

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
BOTH = frozenset({"vertex", "gemini"})


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_every_model_name_is_in_its_row(model: object) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{model.id}` |"))  # type: ignore[attr-defined]
    _, aliases, replaces = (set(re.findall(r"`([^`]+)`", cell)) for cell in row.strip("| ").split("|"))
    assert aliases == set(model.aliases)  # type: ignore[attr-defined]
    assert replaces == set(replaced_by(model, Offering(BOTH)))  # type: ignore[arg-type]
