"""The gcloud commands of the documentation and of tools/ exist in gcloud, with their flags."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.configuration import INFRA
from tests.unit.tools.test_after_apply import INSTALLATION, Project
from tests.unit.tools.test_canary import INSTALLATION as CANARY_INSTALLATION
from tests.unit.tools.test_canary import CloudRun
from tools.after_apply import problems
from tools.canary import Canary, shift
from tools.gcloud import Gcloud

ROOT = INFRA.parent
PAGES = ("docs/operations.md", "infra/backend.tf.example")
# Anything else in angle brackets or capitals is a word that stands for itself.
VARIABLE = re.compile(r"\$\{?\w+\}?")

pytestmark = [
    pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed"),
    pytest.mark.timeout(300),
]


def documented(text: str) -> Iterator[str]:
    """Commands of a page: in blocks, after `&&` and pipes, and in backquotes across lines."""
    text = re.sub(r"^#( |$)", "", text, flags=re.MULTILINE)
    text = text.replace("\\\n", " ")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    inline = [
        " ".join(found.split())
        for found in re.findall(r"`(gcloud [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    ]
    lines = [line for block in blocks for line in block.splitlines()]
    lines += [line for line in text.splitlines() if line.strip().startswith("gcloud ")]
    for line in lines + inline:
        for command in re.split(r"&&|\|", line):
            found = VARIABLE.sub("x", command).strip()
            # In prose a group of commands may be named without what follows.
            if found.startswith("gcloud ") and len(found.split()) > 3:
                yield " ".join(found.split())


def of_tools() -> Iterator[str]:
    """What tools/after_apply.py and tools/canary.py run."""
    asked: list[str] = []

    def noting(answers: Gcloud) -> Gcloud:
        def run(*arguments: str, project: str) -> object:
            asked.append(shlex.join(["gcloud", *arguments, f"--project={project}", "--format=json", "--quiet"]))
            return answers(*arguments, project=project)

        return run

    assert list(problems(INSTALLATION, noting(Project({"poll": 0, "generate-veo": 0}, {"submit"})))) == []
    cloud = CloudRun()
    canary = Canary(CANARY_INSTALLATION, noting(cloud))
    canary.pin()
    cloud.deploy("history")
    assert not shift(canary, lambda _: None, lambda _: iter(()))
    yield from asked


def rejected(commands: list[str], folder: Path) -> dict[str, str]:
    """What gcloud's own parser has against each of the commands, offline."""
    file = folder / "commands.json"
    file.write_text(json.dumps([{"command_string": command} for command in dict.fromkeys(commands)]))
    lint = ["gcloud", "meta", "lint-gcloud-commands", f"--commands-file={file}"]
    done = subprocess.run(lint, capture_output=True, text=True, cwd=folder, check=True)
    return {each["command_string"]: each["error_message"] for each in json.loads(done.stdout) if not each["success"]}


def test_documented_gcloud_commands_exist(tmp_path: Path) -> None:
    commands = [command for page in PAGES for command in documented((ROOT / page).read_text())]
    assert len(set(commands)) > 20
    assert rejected(commands, tmp_path) == {}


def test_gcloud_commands_of_the_tools_exist(tmp_path: Path) -> None:
    assert rejected(list(of_tools()), tmp_path) == {}


@pytest.mark.parametrize(
    "command",
    [
        "gcloud run services update poll --invoker-check-off",
        "gcloud task delete x --queue=q",
        "gcloud tasks delete x --queues=q",
    ],
)
def test_wrong_command_is_detected(tmp_path: Path, command: str) -> None:
    assert rejected([command], tmp_path)
