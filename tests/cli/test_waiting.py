"""The display of waiting, and its tolerance of a bad network."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import time

from testing.cloud import User
from tests.cli.conftest import Shell
from tests.cli.shaky import shaky

SMALL = ("--model", "omni-flash", "--seconds", "3", "--size", "640x360")
ENDLESS = "a boat [never finishes]"
DEADLINE_S = 60.0


def test_without_a_terminal_each_stage_is_a_line(shell: Shell) -> None:
    done = shell.call("create", "a boat", *SMALL, "--wait").ok()
    stages = [line.split()[1] for line in done.err.splitlines()]
    assert stages[0] == "queued"
    assert stages[-1] == "completed"
    assert len(set(stages)) == len(stages)


def test_rejected_stream_falls_back_to_polling(shell: Shell, user: User) -> None:
    video = user.create(ENDLESS, seconds=4)["id"]
    events = "GET", f"/v1/videos/{video}/events"
    with shaky(user.cloud.url) as network:
        network.refuses = lambda _method, path: path.endswith("/events")
        waiting = shell.having(RUSHES_URL=network.url).started("wait", video, "--json")
        deadline = time.monotonic() + DEADLINE_S
        while network.seen[events] < 2:
            assert time.monotonic() < deadline, network.seen
            time.sleep(0.05)
        user.call("POST", f"/v1/videos/{video}/cancel")
        out, _ = waiting.communicate(timeout=DEADLINE_S)
        assert network.seen[events] == 2
    assert (waiting.returncode, json.loads(out)["status"]) == (9, "canceled")


def test_terminal_shows_stage_and_progress(shell: Shell, user: User) -> None:
    video = user.create(ENDLESS, seconds=4)["id"]
    ours, its = pty.openpty()
    waiting = shell.having(TERM="xterm-256color").started("wait", video, stderr=its)
    os.close(its)
    seen = _until(ours, r"generating.*?\d+%")
    user.call("POST", f"/v1/videos/{video}/cancel")
    seen += _until(ours, r"was canceled")
    waiting.communicate(timeout=DEADLINE_S)
    os.close(ours)
    assert waiting.returncode == 9
    assert "\x1b[" in seen


def _until(terminal: int, wanted: str) -> str:
    """What the terminal shows, until that is among it."""
    seen, deadline = "", time.monotonic() + DEADLINE_S
    while not re.search(wanted, seen, re.DOTALL):
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 1.0)[0]:
            seen += os.read(terminal, 65_536).decode(errors="replace")
    return seen
