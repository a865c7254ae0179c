"""The command line as its users have it: in a checkout of its own, with settings of its own, on the embedded cloud."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from rushes.api import Api
from rushes.checkout import MARKS
from rushes.main import main
from testing.cloud import ROOT, Cloud, User

TIMEOUT_S = 60.0
RUSHES = (sys.executable, "-m", "rushes")


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.out)

    def ok(self) -> Ended:
        assert self.code == 0, self.err
        return self


@dataclass(frozen=True)
class Shell:
    """Where a user of the command line sits: a working directory, a home for settings, and an environment."""

    directory: Path
    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """Nothing of the developer's own settings gets in."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RUSHES_")}
        own = {"RUSHES_HOME": str(self.home), "PYTHONPATH": str(ROOT / "cli"), "COLUMNS": "200", "TERM": "dumb"}
        return {**inherited, **own, **self.variables}

    def having(self, **variables: str) -> Shell:
        return replace(self, variables={**self.variables, **variables})

    def started(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """The command as a process of its own."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [*RUSHES, *arguments], cwd=self.directory, env=self.environ, **{"text": True, **pipes, **options}
        )

    def run(self, *arguments: str) -> Ended:
        """The command as a process of its own, to its end."""
        process = self.started(*arguments)
        out, err = process.communicate(timeout=TIMEOUT_S)
        return Ended(process.returncode, out, err)

    def call(self, *arguments: str, typed: str = "") -> Ended:
        """The command within this process, which starts it sooner."""
        out, err = io.StringIO(), io.StringIO()
        stdin = mock.patch.object(sys, "stdin", io.StringIO(typed))
        environ = mock.patch.dict(os.environ, self.environ, clear=True)
        with chdir(self.directory), environ, stdin, redirect_stdout(out), redirect_stderr(err):
            code = main(list(arguments))
        return Ended(int(code), out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory, embedded_cloud: Cloud) -> Path:
    """What passes for a checkout, with the embedded cloud up in it."""
    root = tmp_path_factory.mktemp("checkout")
    for mark in MARKS:
        (root / mark).parent.mkdir(parents=True, exist_ok=True)
        (root / mark).touch()
    (root / ".local").symlink_to(embedded_cloud.directory)
    return root


@pytest.fixture
def nobody(checkout: Path, tmp_path: Path) -> Shell:
    """Never signed in, run from the checkout: uses the cloud's ready-made users."""
    return Shell(checkout, tmp_path / "home")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Shell:
    """Has never signed in anywhere, and stands in a checkout in which no cloud is up."""
    directory = tmp_path / "elsewhere"
    for mark in MARKS:
        (directory / mark).parent.mkdir(parents=True)
        (directory / mark).touch()
    return Shell(directory, tmp_path / "home")


@pytest.fixture
def user(embedded_cloud: Cloud) -> Iterator[User]:
    """Whose unfinished videos are canceled in the end: the cloud keeps polling each of them."""
    made = embedded_cloud.user()
    yield made
    for video in made.account["active_jobs"]:
        made.call("POST", f"/v1/videos/{video}/cancel")


@pytest.fixture
def price_rise(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on everything costs a credit less in estimates than when it is made: as if the price rose in between."""
    post = Api.post

    def cheaper(self: Api, path: str, **options: Any) -> Any:
        said = post(self, path, **options)
        if path != "/v1/videos/estimate":
            return said
        cost = said["cost"] - 1
        return said | {"cost": cost, "quote": re.sub(r"_\d+_", f"_{cost}_", said["quote"], count=1)}

    monkeypatch.setattr(Api, "post", cheaper)


@pytest.fixture
def shell(nobody: Shell, user: User) -> Shell:
    """A new user of the cloud, by the environment."""
    return nobody.having(RUSHES_URL=user.cloud.url, RUSHES_API_KEY=user.token)
