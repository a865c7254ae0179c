"""Structured logs: one JSON line per entry on standard output, with the fields that Cloud Logging reads.

A context variable carries the request's id and trace; secrets and prompts are never logged. Libraries' log entries,
warnings and above, are written in the same form, with their `logger` and the request's trace.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

context: ContextVar[dict[str, Any]] = ContextVar("log_context", default={})  # noqa: B039 - replaced, never changed

logging.addLevelName(logging.INFO + 5, "NOTICE")
_LEVELS = logging.getLevelNamesMapping()


class JsonFormatter(logging.Formatter):
    """Formats entries for Cloud Logging: ours with their fields, a library's with the name of its logger."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None)
        entry = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            **context.get(),
            **({"logger": record.name} if fields is None else fields),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class _Stdout(logging.StreamHandler[TextIO]):
    """Writes to whatever sys.stdout is at the time: tests and the embedded form replace it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(JsonFormatter())

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stdout


_HANDLER = _Stdout()
_LOGGER = logging.getLogger("rushes")
_LOGGER.addHandler(_HANDLER)
_LOGGER.setLevel(logging.INFO)
_LOGGER.propagate = False


def configure(severity: str) -> None:
    """Log our entries of at least that severity, and libraries' warnings."""
    _LOGGER.setLevel(_LEVELS.get(severity.upper(), logging.INFO))
    root = logging.getLogger()
    if _HANDLER not in root.handlers:
        root.addHandler(_HANDLER)


def info(event: str, **fields: Any) -> None:
    _write("INFO", event, fields)


def warning(event: str, **fields: Any) -> None:
    _write("WARNING", event, fields)


def error(event: str, **fields: Any) -> None:
    _write("ERROR", event, fields)


def exception(event: str, **fields: Any) -> None:
    """Log an error with the current exception's traceback."""
    _write("ERROR", event, {**fields, "exception": traceback.format_exc()})


def audit(event: str, **fields: Any) -> None:
    """Write an entry at any log level, with the label `log: audit` so that a sink can separate it."""
    _emit("NOTICE", event, {"logging.googleapis.com/labels": {"log": "audit"}, **fields})


def _write(severity: str, event: str, fields: dict[str, Any]) -> None:
    if _LOGGER.isEnabledFor(_LEVELS[severity]):
        _emit(severity, event, fields)


def _emit(severity: str, event: str, fields: dict[str, Any]) -> None:
    named = {"name": _LOGGER.name, "levelno": _LEVELS[severity], "levelname": severity, "msg": event}
    _LOGGER.handle(logging.makeLogRecord({**named, "fields": fields}))
