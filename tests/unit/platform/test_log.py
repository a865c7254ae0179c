"""Log lines, ours and those of libraries, as Cloud Logging reads them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from shared.platform import log

Capture = pytest.CaptureFixture[str]
TRACE = {"request_id": "req_1", "logging.googleapis.com/trace": "projects/p/traces/t"}


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    log.configure("INFO")
    token = log.context.set(TRACE)
    yield
    log.context.reset(token)
    log.configure("INFO")
    logging.getLogger().removeHandler(log._HANDLER)


def lines(capsys: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_entry_has_severity_fields_and_trace(capsys: Capture) -> None:
    log.warning("webhook_not_delivered", tries=3)
    [entry] = lines(capsys)
    assert entry.pop("time").endswith("+00:00")
    assert entry == {"severity": "WARNING", "message": "webhook_not_delivered", "tries": 3, **TRACE}


def test_library_warning_has_the_trace(capsys: Capture) -> None:
    logging.getLogger("urllib3.pool").warning("retrying %s", "once")
    logging.getLogger("urllib3.pool").info("nothing of interest")
    [entry] = lines(capsys)
    assert entry.pop("time")
    assert entry == {"severity": "WARNING", "message": "retrying once", "logger": "urllib3.pool", **TRACE}


def test_library_exception_has_its_traceback(capsys: Capture) -> None:
    try:
        raise OSError("broken")
    except OSError:
        logging.getLogger("asyncio").exception("a task failed")
    assert "OSError: broken" in lines(capsys)[0]["exception"]


def test_higher_level_drops_lower_entries_but_no_audit(capsys: Capture) -> None:
    log.configure("ERROR")
    log.info("one")
    log.warning("two")
    log.error("three")
    log.audit("four")
    written = [(entry["severity"], entry["message"]) for entry in lines(capsys)]
    assert written == [("ERROR", "three"), ("NOTICE", "four")]


def test_configuring_twice_logs_each_line_once(capsys: Capture) -> None:
    log.configure("INFO")
    logging.getLogger("library").error("twice")
    assert len(lines(capsys)) == 1
