"""The exit codes that scripts rely on, of real processes, each for its reason; and the errors of the server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rushes.exit_codes import Exit, of_error
from shared.core.errors import CATALOG
from testing.cloud import User
from tests.cli.conftest import Ended, Shell
from tests.cli.test_commands import COMMANDS

UNKNOWN = "video_" + "x" * 22
NOWHERE = "http://127.0.0.1:1"
ENDLESS = "a boat [never finishes]"


def ends(ended: Ended, code: Exit, said: str | None = None) -> None:
    """It ended so, with one JSON document on standard output that names the reason."""
    assert ended.code == code, ended.err
    document = json.loads(ended.out)
    if said is not None:
        assert document["error"]["code"] == said
        assert said in ended.err


def test_0_success(shell: Shell) -> None:
    ends(shell.run("account", "--json"), Exit.OK)


def test_1_file_cannot_be_written(shell: Shell, user: User, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    video = user.finish("a boat", model="omni-flash", seconds=3, size="640x360")["id"]
    ends(
        shell.run("download", video, "-o", str(tmp_path / "file" / "boat.mp4"), "--json"),
        Exit.UNEXPECTED,
        "FILE_NOT_WRITTEN",
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "--status", "lost"), "USAGE"),
        (("create", "a boat", "--seconds", "5"), "UNSUPPORTED_BY_MODEL"),
    ],
)
def test_2_invalid_arguments(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    ends(shell.run(*arguments, "--json"), Exit.USAGE, said)


def test_2_unknown_command(nobody: Shell) -> None:
    ends(nobody.call("no-such-command", "--json"), Exit.USAGE, "USAGE")


def test_3_not_signed_in(shell: Shell) -> None:
    ends(shell.having(RUSHES_API_KEY="rk_nothing").run("account", "--json"), Exit.AUTH, "UNAUTHENTICATED")


# Every command that does something as somebody.
SIGNED_IN = (
    ("account",),
    ("ledger",),
    ("models",),
    ("keys", "list"),
    ("keys", "create", "nightly"),
    ("keys", "revoke", "key_" + "x" * 22),
    ("create", ENDLESS),
    ("extend", UNKNOWN, ENDLESS),
    ("estimate", ENDLESS),
    ("list",),
    ("get", UNKNOWN),
    ("wait", UNKNOWN),
    ("download", UNKNOWN),
    ("cancel", UNKNOWN),
    ("delete", UNKNOWN, "--yes"),
    ("whoami",),
    ("verify-email",),
    ("admin", "grant", "reader@example.com", "5"),
    ("admin", "budget"),
    ("admin", "users", "list"),
    ("operator", "tenant", "default"),
    ("operator", "grant", "default", "5"),
)
# What anybody may do, or what signs in.
ANYBODY = {"login", "logout", "reset-password", "profiles list", "profiles use", "up", "doctor", "mcp", "completion"}


def test_3_every_command_needs_a_sign_in(elsewhere: Shell) -> None:
    covered = {name for name in COMMANDS for command in SIGNED_IN if list(command[: len(name.split())]) == name.split()}
    assert covered | ANYBODY == set(COMMANDS)
    for command in SIGNED_IN:
        for where in ((), ("--url", NOWHERE)):
            ended = elsewhere.call(*where, *command, "--json")
            ends(ended, Exit.AUTH, "UNAUTHENTICATED")
            assert "login" in ended.err
    # Nothing is left to go on with later.
    assert not list((elsewhere.home / "pending").glob("*"))


def test_3_not_allowed(shell: Shell) -> None:
    ends(shell.call("admin", "users", "list", "--json"), Exit.AUTH, "FORBIDDEN")


def test_4_not_found(shell: Shell) -> None:
    ends(shell.run("get", UNKNOWN, "--json"), Exit.NOT_FOUND, "NOT_FOUND")


def test_5_insufficient_credits(shell: Shell) -> None:
    wish = ("create", ENDLESS, "--model", "veo-3.1", "--seconds", "8", "--count", "4", "--json")
    shell.call(*wish).ok()
    ends(shell.run(*wish), Exit.CREDITS, "INSUFFICIENT_CREDITS")


def test_6_too_many_at_once(shell: Shell) -> None:
    wish = ("create", ENDLESS, "--seconds", "4", "--json")
    for _ in range(3):
        shell.call(*wish).ok()
    ends(shell.run(*wish), Exit.LIMIT, "TOO_MANY_ACTIVE_JOBS")


def test_7_already_ended(shell: Shell, user: User) -> None:
    video = user.create(ENDLESS, seconds=4)["id"]
    shell.call("cancel", video).ok()
    ends(shell.run("cancel", video, "--json"), Exit.STATE, "NOT_CANCELABLE")


def test_8_video_failed(shell: Shell) -> None:
    ended = shell.run("create", "a boat [blocked]", "--seconds", "4", "--wait", "--json")
    ends(ended, Exit.JOB_FAILED)
    assert ended.json["error"]["code"] == "SAFETY_BLOCKED"
    assert ended.json["refunded"] == ended.json["cost"] == 40


def test_9_video_canceled(shell: Shell, user: User) -> None:
    video = user.create(ENDLESS, seconds=4)["id"]
    waiting = shell.started("wait", video, "--json")
    assert user.call("POST", f"/v1/videos/{video}/cancel").status_code == 200
    out, err = waiting.communicate(timeout=60)
    ends(Ended(waiting.returncode, out, err), Exit.JOB_CANCELED)
    assert json.loads(out)["status"] == "canceled"


def test_10_server_does_not_respond(shell: Shell) -> None:
    away = shell.having(RUSHES_URL=NOWHERE, RUSHES_RETRY_FOR="0")
    ends(away.run("account", "--json"), Exit.UNAVAILABLE, "UNAVAILABLE")


def test_11_timed_out(shell: Shell, user: User) -> None:
    video = user.create(ENDLESS, seconds=4)["id"]
    ended = shell.run("wait", video, "--timeout", "0.5", "--json")
    ends(ended, Exit.TIMEOUT)
    assert ended.json["id"] == video
    assert f"rushes wait {video}" in ended.err
    assert user.get(video)["status"] in ("queued", "in_progress")


@pytest.mark.parametrize("code", CATALOG)
def test_every_api_error_has_a_fitting_exit_code(code: str) -> None:
    entry = CATALOG[code]
    exit_code = of_error(code, entry.status)
    passing = exit_code in (Exit.UNAVAILABLE, Exit.LIMIT)
    if entry.status == 405:
        # No command of ours uses a wrong method.
        assert exit_code is Exit.UNEXPECTED
    elif code == "RANGE_NOT_SATISFIABLE":
        assert exit_code is Exit.UNEXPECTED
    else:
        assert exit_code not in (Exit.OK, Exit.UNEXPECTED)
        assert passing or not entry.retryable


def test_error_shows_code_message_and_next_step(shell: Shell) -> None:
    told = shell.call("get", UNKNOWN)
    assert told.out == ""
    entry = CATALOG["NOT_FOUND"]
    assert told.err.startswith("NOT_FOUND: Video not found.")
    assert entry.suggested_action in told.err
    assert "Request req_" in told.err
