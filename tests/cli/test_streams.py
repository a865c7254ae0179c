"""Output that cannot be written, and characters that a terminal lacks: paid once, and said as documented."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from rushes.exit_codes import Exit
from testing.cloud import Cloud, User
from tests.cli.conftest import Ended, Shell
from tests.cli.test_once import charges, left

WISH = ("create", "a kite [never finishes]", "--seconds", "4")
EXOTIC = "a kité 凧 🪁 [never finishes]"
FULL = Path("/dev/full")

needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


@pytest.fixture(params=["full disk", "closed pipe", "closed"])
def broken(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Options of a process whose standard output takes nothing."""
    if request.param == "closed":
        yield {"stdout": None, "preexec_fn": lambda: os.close(1)}
    elif request.param == "full disk":
        if not FULL.exists():
            pytest.skip("this system has no /dev/full")
        with FULL.open("w") as full:
            yield {"stdout": full}
    else:
        reading, writing = os.pipe()
        os.close(reading)
        yield {"stdout": writing}
        os.close(writing)


def ended(shell: Shell, *arguments: str, **options: Any) -> Ended:
    process = shell.started(*arguments, **options)
    out, err = process.communicate(timeout=60)
    return Ended(process.returncode, out or "", err or "")


@pytest.mark.parametrize("form", [("--json",), ()], ids=["json", "text"])
def test_command_with_unwritten_output_pays_once(
    shell: Shell, user: User, broken: dict[str, Any], form: tuple[str, ...]
) -> None:
    for _ in range(2):
        failed = ended(shell, *WISH, *form, **broken)
        assert failed.code == Exit.UNEXPECTED, failed.err
        assert "OUTPUT_FAILED" in failed.err
        assert "Traceback" not in failed.err
    assert "Continuing with" in failed.err
    assert charges(user) == 1
    said = shell.call(*WISH, "--json").ok()
    assert [said.json["id"]] == user.account["active_jobs"]
    assert left(shell) == []


@needs_full
def test_repeated_command_shows_the_video_waited_for(shell: Shell, user: User) -> None:
    wish = ("create", "a kite", "--model", "omni-flash", "--seconds", "3", "--size", "640x360", "--wait", "--json")
    with FULL.open("w") as full:
        assert ended(shell, *wish, stdout=full).code == Exit.UNEXPECTED
    assert shell.call(*wish).ok().json["status"] == "completed"
    assert charges(user) == 1


@needs_full
def test_grant_with_unwritten_output_is_given_once(nobody: Shell, embedded_cloud: Cloud, user: User) -> None:
    token = embedded_cloud.session["admin_token"]
    admin = nobody.having(RUSHES_URL=embedded_cloud.url, RUSHES_API_KEY=token)
    grant = ("admin", "grant", user.account["id"], "70", "--json")
    with FULL.open("w") as full:
        assert ended(admin, *grant, stdout=full).code == Exit.UNEXPECTED
    assert admin.call(*grant).ok().json["amount"] == 70
    assert user.ledger == [500, 70]


@needs_full
def test_full_standard_error_changes_nothing(shell: Shell, user: User) -> None:
    with FULL.open("w") as full:
        made = ended(shell, *WISH, "--json", stderr=full)
        assert made.code == Exit.OK
        assert made.json["id"] == user.account["active_jobs"][0]
        refused = ended(shell, "get", "video_" + "x" * 22, "--json", stderr=full)
    assert (refused.code, refused.json["error"]["code"]) == (Exit.NOT_FOUND, "NOT_FOUND")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_terminal_without_the_prompts_characters(shell: Shell, user: User, encoding: str) -> None:
    narrow = shell.having(PYTHONIOENCODING=encoding)
    process = narrow.started("create", EXOTIC, "--seconds", "4", "--json", encoding=encoding)
    out, err = process.communicate(timeout=60)
    assert process.returncode == Exit.OK, err
    made = json.loads(out)
    assert made["prompt"] == EXOTIC
    process = narrow.started("get", made["id"], encoding=encoding)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (Exit.OK, False)
    assert made["id"] in out
    assert charges(user) == 1


def test_piped_prompt_is_utf_8_in_any_locale(shell: Shell) -> None:
    narrow = shell.having(PYTHONIOENCODING="ascii")
    made = _piped(narrow, EXOTIC.encode(), "create", "-", "--seconds", "4", "--json")
    assert made.ok().json["prompt"] == EXOTIC
    spoiled = _piped(shell, b"a kite \xff\xfe", "create", "-", "--seconds", "4", "--json")
    assert (spoiled.code, spoiled.json["error"]["code"]) == (Exit.USAGE, "USAGE")


def test_non_text_argument_is_a_usage_error(shell: Shell, user: User) -> None:
    for wrong in (["create", b"a kite \xff"], ["create", "a kite", "--label", b"a=\xff"]):
        failed = _raw(shell, *wrong, "--json")
        assert (failed.code, failed.json["error"]["code"]) == (Exit.USAGE, "USAGE")
    assert charges(user) == 0


def test_non_utf_8_locale_still_sends_the_prompt(shell: Shell) -> None:
    narrow = shell.having(LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    made = _raw(narrow, "create", EXOTIC.encode(), "--seconds", "4", "--label", "où=là".encode(), "--json").ok().json
    assert (made["prompt"], made["labels"]) == (EXOTIC, {"où": "là"})


@pytest.mark.parametrize("key", ["order-№7", "заказ/2026/1", "注文 1"])
def test_any_idempotency_key_is_reused_exactly(shell: Shell, user: User, key: str) -> None:
    first, again = (shell.call(*WISH, "--idempotency-key", key, "--json").ok().json["id"] for _ in range(2))
    assert first == again
    assert charges(user) == 1


@pytest.mark.parametrize("key", ["", " mine", "two\nlines", "x" * 256, "\ud800"])
def test_unsendable_key_is_a_usage_error(shell: Shell, user: User, key: str) -> None:
    refused = shell.call(*WISH, "--idempotency-key", key, "--json")
    assert (refused.code, refused.json["error"]["code"]) == (Exit.USAGE, "USAGE")
    assert charges(user) == 0


@pytest.mark.parametrize("api_key", ["ключ", "two\nlines"])
def test_api_key_with_odd_characters_is_explained(nobody: Shell, user: User, api_key: str) -> None:
    odd = nobody.having(RUSHES_URL=user.cloud.url, RUSHES_API_KEY=api_key, RUSHES_RETRY_FOR="0")
    refused = odd.call("account", "--json")
    assert refused.code in (Exit.USAGE, Exit.AUTH)
    assert refused.json["error"]["suggested_action"]


def _raw(shell: Shell, *arguments: str | bytes) -> Ended:
    command = [sys.executable, "-m", "rushes", *arguments]
    done = subprocess.run(command, cwd=shell.directory, env=shell.environ, capture_output=True, timeout=60, check=False)
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace"))


def _piped(shell: Shell, typed: bytes, *arguments: str) -> Ended:
    process: subprocess.Popen[Any] = shell.started(*arguments, stdin=subprocess.PIPE, text=False)
    stdin: IO[bytes] | None = process.stdin
    assert stdin is not None
    out, err = process.communicate(typed, timeout=60)
    return Ended(process.returncode, out.decode(), err.decode())
