"""Structured logs: one JSON line per entry on standard output, in the fields that Cloud Logging reads.

The request's id and trace travel in a context variable; secrets and prompts are never logged.
"""

from __future__ import annotations

import json
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

context: ContextVar[dict[str, Any]] = ContextVar("log_context", default={})  # noqa: B039 - replaced, never changed

_RANK = {"DEBUG": 0, "INFO": 1, "WARNING": 2, "ERROR": 3, "CRITICAL": 4}
_threshold = _RANK["INFO"]


def set_level(severity: str) -> None:
    """The least severity that is written."""
    global _threshold
    _threshold = _RANK.get(severity.upper(), _RANK["INFO"])


def info(event: str, **fields: Any) -> None:
    _write("INFO", event, fields)


def warning(event: str, **fields: Any) -> None:
    _write("WARNING", event, fields)


def error(event: str, **fields: Any) -> None:
    _write("ERROR", event, fields)


def exception(event: str, **fields: Any) -> None:
    """An error with the present exception's traceback."""
    _write("ERROR", event, {**fields, "exception": traceback.format_exc()})


def audit(event: str, **fields: Any) -> None:
    """An entry that is written whatever the level, under the label `log: audit`, so that a sink can keep it apart."""
    _emit("NOTICE", event, {"logging.googleapis.com/labels": {"log": "audit"}, **fields})


def _write(severity: str, event: str, fields: dict[str, Any]) -> None:
    if _RANK[severity] >= _threshold:
        _emit(severity, event, fields)


def _emit(severity: str, event: str, fields: dict[str, Any]) -> None:
    entry = {
        "severity": severity,
        "message": event,
        "time": datetime.now(UTC).isoformat(),
        **context.get(),
        **fields,
    }
    sys.stdout.write(json.dumps(entry, default=str) + "\n")
    sys.stdout.flush()
