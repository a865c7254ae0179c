"""Every command: it answers with one JSON document, it is documented, and the shell can complete it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined] # typer says it by options only

from rushes.exit_codes import Exit
from rushes.main import app
from shared.http import agent_tools
from testing.cloud import ROOT, User
from tests.cli.conftest import TIMEOUT_S, Shell

CLI = (ROOT / "docs" / "cli.md").read_text()
AGENTS = (ROOT / "docs" / "agents.md").read_text()
# Of the root, which the page explains before the commands, and what every command has.
EVERYWHERE = {"--help", "-h", "--json"}
SMALL = ("--model", "omni-flash", "--seconds", "3", "--size", "640x360")


def commands(group: Any, *names: str) -> Iterator[tuple[str, Any]]:
    """All commands with their names: "create", "keys create"."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield " ".join((*names, name)), command


COMMANDS = dict(commands(typer.main.get_command(app)))
SECTIONS = {
    re.sub(r" \[?[A-Z]+\]?", "", title): text
    for title, text in re.findall(r"^### rushes ([^\n]+)\n(.*?)(?=^##|\Z)", CLI, re.MULTILINE | re.DOTALL)
}


def test_page_and_program_have_the_same_commands() -> None:
    assert set(SECTIONS) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_command_options_are_documented_exactly(name: str) -> None:
    options = {word for option in COMMANDS[name].params for word in (*option.opts, *option.secondary_opts)}
    options = {word for word in options if word.startswith("-")} - EVERYWHERE
    # "`--profile` before the command" is the root's.
    own = re.sub(r"`--?\w[\w-]*`\s+before", "", SECTIONS[name])
    named = set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", own)) - EVERYWHERE
    assert named == options


@pytest.mark.parametrize("name", COMMANDS)
def test_command_help_describes_every_part(name: str) -> None:
    assert COMMANDS[name].help
    assert all(part.help for part in COMMANDS[name].params if "--help" not in part.opts)


def test_global_options_are_documented() -> None:
    root = typer.main.get_command(app)
    words = {word for option in root.params for word in option.opts if word.startswith("--")} - {"--version"}
    assert all(word in CLI for word in words)
    variables = {option.envvar for option in root.params if option.envvar}
    assert all(str(variable) in CLI for variable in variables)


def test_documented_exit_codes_are_the_programs() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \| [^|]+ \|$", CLI, re.MULTILINE)
    assert [(int(number), name) for number, name in rows] == [(code.value, code.name) for code in Exit]


def test_assistant_tools_have_one_definition() -> None:
    committed = files("rushes").joinpath("agent_tools.json").read_text()
    assert committed == agent_tools.rendered(), "python -m shared.http.agent_tools > cli/rushes/agent_tools.json"


def test_documented_tools_are_the_tools() -> None:
    named = re.findall(r"^\| `(\w+)` \|", AGENTS, re.MULTILINE)
    assert named == [tool.name for tool in agent_tools.TOOLS]


@pytest.mark.parametrize("page", ["cli.md", "agents.md"])
def test_documented_examples_work(shell: Shell, user: User, page: str, tmp_path: Any) -> None:
    text = (ROOT / "docs" / page).read_text()
    examples = re.findall(r"^```(sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert examples
    function = f'rushes() {{ "{sys.executable}" -m rushes "$@"; }}\n'
    for language, example in examples:
        command = ["sh", "-ec", function + example] if language == "sh" else [sys.executable, "-c", example]
        environ = {**shell.environ, "URL": user.cloud.url, "TOKEN": user.token, "PYTHONWARNINGS": "ignore"}
        ended = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert "exit code" not in ended.stdout


# --- one JSON document ---

# Every command but those that serve (up, mcp) in an order in which each finds what it needs; a step names what the
# later ones use of its answer.
STORY: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    ("whoami", (), {"account": "account"}),
    ("account", (), {}),
    ("models", (), {}),
    ("estimate", ("a boat", *SMALL), {}),
    ("create", ("a boat", *SMALL, "--wait"), {"video": "id"}),
    ("extend", ("{video}", "and on [never finishes]", "--seconds", "3"), {"longer": "id"}),
    ("cancel", ("{longer}",), {}),
    ("get", ("{video}",), {}),
    ("wait", ("{video}",), {}),
    ("list", (), {}),
    ("download", ("{video}", "-o", "{home}/boat.mp4"), {}),
    ("delete", ("{video}", "--yes"), {}),
    ("ledger", (), {}),
    ("keys create", ("nightly", "--scope", "read", "--days", "3"), {"key": "id"}),
    ("keys list", (), {}),
    ("keys revoke", ("{key}",), {}),
    ("login", ("--sign-up", "--email", "{email}", "--password-stdin"), {}),
    ("verify-email", (), {}),
    ("reset-password", ("--email", "{email}"), {}),
    ("profiles list", (), {}),
    ("profiles use", ("laptop",), {}),
    ("logout", (), {}),
    ("doctor", (), {}),
    ("completion", ("zsh",), {}),
)


# These act on the profiles, where the others are given a token.
SIGNS_IN = ("login", "verify-email", "reset-password", "profiles list", "profiles use", "logout")


def test_example_session_uses_every_command() -> None:
    told = {name for name, _, _ in STORY} | {"up", "mcp"}
    told |= {"admin grant", "admin budget", "admin users list", "operator tenant", "operator grant"}
    assert told == set(COMMANDS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "mcp"])
def test_command_has_json(name: str) -> None:
    assert any("--json" in option.opts for option in COMMANDS[name].params)


def test_every_command_outputs_one_json_document(shell: Shell, nobody: Shell, user: User) -> None:
    known = {"home": str(shell.home), "email": f"{user.account['id']}@example.org".lower()}
    for name, arguments, learned in STORY:
        sits = nobody if name in SIGNS_IN else shell
        given = [argument.format(**known) for argument in arguments]
        ended = sits.call(*name.split(), *given, "--json", typed="a paper boat\n")
        assert ended.code in (0, Exit.MISSING if name == "doctor" else 0), (name, ended.err)
        document = json.loads(ended.out)
        assert isinstance(document, dict)
        known |= {word: document[field] for word, field in learned.items()}


def test_admin_commands_output_one_json_document(nobody: Shell, user: User) -> None:
    entry = nobody.call("admin", "grant", user.account["id"], "5", "--json").ok().json
    assert (entry["type"], entry["amount"]) == ("grant", 5)
    by_email = nobody.call("admin", "grant", user.account["email"], "6", "--json").ok().json
    assert by_email["balance_after"] == 511
    assert nobody.call("admin", "users", "list", "--limit", "1", "--json").ok().json["object"] == "list"
    assert nobody.call("admin", "grant", "nobody@example.org", "6", "--json").code == Exit.NOT_FOUND
    assert nobody.call("admin", "grant", "no-such", "6", "--json").code == Exit.USAGE
    left = nobody.call("admin", "budget", "--json").ok().json["left"]
    granted = nobody.call("operator", "grant", "default", "-5", "--json").ok().json
    assert (granted["object"], granted["amount"]) == ("tenant_grant", -5)
    assert nobody.call("operator", "tenant", "default", "--json").ok().json["left"] == left - 5
    too_much = nobody.call("admin", "grant", user.account["id"], str(left), "--json")
    assert (too_much.code, too_much.json["error"]["code"]) == (Exit.CREDITS, "TENANT_BUDGET_EXCEEDED")
    # An id may begin with a dash, and is no option then, nor are its letters.
    for id_ in (f"-9{'a' * 20}", f"-U{'h' * 20}", f"--{'h' * 20}"):
        assert nobody.call("admin", "grant", id_, "6", "--json").code == Exit.NOT_FOUND


def test_json_may_precede_the_command(shell: Shell) -> None:
    assert shell.call("--json", "account").ok().json["object"] == "account"


@pytest.mark.parametrize("name", ["account", "ledger", "models", "models veo-3.1", "keys list", "list", "whoami"])
def test_default_output_is_not_json(shell: Shell, name: str) -> None:
    out = shell.call(*name.split()).ok().out
    assert not out.startswith("{")
    assert out.strip() or name in ("keys list", "list")


# --- completion ---


def test_completion_script_is_printed(nobody: Shell) -> None:
    told = nobody.having(_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1").run("--show-completion", "bash")
    assert told.code == 0, told.err
    assert "_RUSHES_COMPLETE" in told.out


def test_bash_completes_with_the_printed_script(nobody: Shell, tmp_path: Path) -> None:
    program = tmp_path / "rushes"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rushes "$@"\n')
    program.chmod(0o755)
    script = """
        source <(rushes completion bash)
        complete -p rushes | grep -q _rushes_completion
        for words in "keys re" "create boat --resol" "create boat --aspect-ratio 9" "completion f"; do
            COMP_WORDS=(rushes $words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _rushes_completion rushes
            echo "${COMPREPLY[@]}"
        done
    """
    environ = {**nobody.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert done.stdout.split() == ["revoke", "--resolution", "9:16", "fish"]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("shell_name", "variables"),
    [
        ("bash", {"COMP_WORDS": "rushes keys re", "COMP_CWORD": "2"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "rushes keys re"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "rushes keys re", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ],
)
def test_each_shell_gets_completions_in_its_format(nobody: Shell, shell_name: str, variables: dict[str, str]) -> None:
    script = nobody.call("completion", shell_name).ok().out
    assert script.strip() == get_completion_script(
        prog_name="rushes", complete_var="_RUSHES_COMPLETE", shell=shell_name
    )
    assert f"complete_{shell_name}" in script
    assert all(name in script for name in variables)
    told = nobody.having(_RUSHES_COMPLETE=f"complete_{shell_name}", **variables).run()
    assert "revoke" in told.out
    assert "create" not in told.out
    assert told.err == ""


def test_completion_works_signed_out_and_with_a_damaged_file(nobody: Shell) -> None:
    nobody.home.mkdir()
    (nobody.home / "credentials.json").write_text("{")
    asking = nobody.having(_RUSHES_COMPLETE="complete_bash", COMP_CWORD="1", COMP_WORDS="rushes extend")
    told = asking.run()
    assert (told.out.split(), told.err) == (["extend"], "")
