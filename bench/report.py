"""Generated tables in the documentation: each is between two comments with its name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

RELIABILITY: Final = Path(__file__).parents[1] / "docs" / "reliability.md"


def table(rows: Iterable[tuple[str, ...]], head: tuple[str, ...] = ("", "")) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    lines = [_line(head), _line(("---", *("---:" for _ in head[1:])))]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def replace(name: str, text: str, page: Path = RELIABILITY) -> None:
    """Put the text where the page keeps the part of that name. Raises ValueError when it has no such part."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, opened, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise ValueError(f"{page.name} has no part named {name}")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
