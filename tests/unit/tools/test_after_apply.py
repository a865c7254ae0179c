"""The step after an apply, with a gcloud that answers like Google's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tools.after_apply import TRIES, UNCHECKED, Installation, problems
from tools.gcloud import GcloudError, gcloud

INSTALLATION = Installation("p", "r", "https://rushes.example", ["submit"], ["poll", "generate-veo"], ["submit"])
GONE = "NOT_FOUND: Requested entity was not found."


class Project:
    """Queues that accept tasks or only look alive, and services that check their callers."""

    def __init__(self, alive: dict[str, int], checked: set[str]) -> None:
        """`alive`: by queue, how many creates are refused before it takes tasks."""
        self.alive = alive
        self.checked = checked
        self.tasks: dict[str, str] = {}
        self.updates = 0

    def __call__(self, *arguments: str, project: str) -> Any:
        assert project == "p"
        flags = dict(one.removeprefix("--").partition("=")[::2] for one in arguments if one.startswith("--"))
        if arguments[:2] == ("tasks", "create-http-task"):
            self.alive[flags["queue"]] -= 1
            if self.alive[flags["queue"]] >= 0:
                raise GcloudError(GONE)
            self.tasks[arguments[2]] = flags["queue"]
        elif arguments[:2] == ("tasks", "delete"):
            assert self.tasks.pop(arguments[2]) == flags["queue"]
        elif arguments[:3] == ("run", "services", "describe"):
            off = arguments[3] not in self.checked
            return {"metadata": {"annotations": {UNCHECKED: "true"} if off else {}}}
        elif arguments[:3] == ("run", "services", "update"):
            assert "no-invoker-iam-check" in flags
            self.checked.discard(arguments[3])
            self.updates += 1
        else:
            raise AssertionError(arguments)
        return None


def test_working_queues_and_functions_are_fine() -> None:
    project = Project({"poll": 0, "generate-veo": 2}, {"submit", "poll"})
    assert list(problems(INSTALLATION, project, lambda _: None)) == []
    assert (project.tasks, project.checked) == ({}, {"poll"})
    # A second run changes no service: each change would be a revision.
    assert list(problems(INSTALLATION, project, lambda _: None)) == []
    assert project.updates == 1


def test_queue_that_only_looks_alive_is_reported_and_others_are_checked() -> None:
    project = Project({"poll": 10 * TRIES, "generate-veo": 0}, set())
    (line,) = problems(INSTALLATION, project, lambda _: None)
    assert line.startswith(f"queue poll: {GONE}")
    assert "suffix" in line
    assert project.alive["generate-veo"] < 0


def test_gcloud_returns_json_or_its_last_error_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "gcloud"
    script.write_text(
        '#!/bin/sh\n[ "$1" = fail ] && { echo warning >&2; echo "ERROR: no" >&2; exit 1; }\n'
        '[ "$1" = nothing ] || printf \'["%s", "%s"]\' "$1" "$2"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert gcloud("say", project="p") == ["say", "--project=p"]
    assert gcloud("nothing", project="p") is None
    with pytest.raises(GcloudError, match="ERROR: no"):
        gcloud("fail", project="p")
