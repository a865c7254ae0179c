"""What the functions log, read from their code: which entries, how severe, with which fields."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shared.maintenance.weekly_report import Week

ROOT = Path(__file__).parents[2]
SEVERITIES = {"info": "INFO", "warning": "WARNING", "error": "ERROR", "exception": "ERROR", "audit": "NOTICE"}
# In every entry, whatever it is about.
ALWAYS = frozenset({"severity", "message", "time"})
# Fields that a call passes on in a mapping.
PASSED_ON = {"digest": frozenset({"week", *Week().figures()})}


@dataclass(frozen=True)
class Entry:
    """One call that writes an entry."""

    message: str
    severity: str
    fields: frozenset[str]


@cache
def written() -> tuple[Entry, ...]:
    """All entries whose message is a literal, of shared/ and functions/."""
    return tuple(entry for folder in ("shared", "functions") for entry in _of(ROOT / folder))


def _of(folder: Path) -> Iterator[Entry]:
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and (severity := _severity(node.func)) is not None:
                yield from _entry(node, severity)


def _severity(function: ast.expr) -> str | None:
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "log":
        return SEVERITIES.get(function.attr)
    return None


def _entry(call: ast.Call, severity: str) -> Iterator[Entry]:
    message = call.args[0] if call.args else None
    if isinstance(message, ast.Constant) and isinstance(message.value, str):
        named = {keyword.arg for keyword in call.keywords if keyword.arg is not None}
        traceback = {"exception"} if isinstance(call.func, ast.Attribute) and call.func.attr == "exception" else set()
        fields = ALWAYS | named | traceback | PASSED_ON.get(message.value, frozenset())
        yield Entry(message.value, severity, frozenset(fields))


def fields(message: str) -> frozenset[str] | None:
    """The fields that every entry of that message has; None when nothing writes such an entry."""
    found = [entry.fields for entry in written() if entry.message == message]
    return frozenset.intersection(*found) if found else None
