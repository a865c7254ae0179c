"""Every fenced example of docs/api.md is run unchanged, in the order of the page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from testing.cloud import Cloud, User
from tests.acceptance.test_openai_node import program

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
SECTIONS = [part.partition("\n")[0] for part in PAGE.split("\n## ")[1:] if "\n```" in part]
TIMEOUT_S = 120

__all__ = ["program"]


def examples(section: str) -> list[tuple[str, str]]:
    """Language and text of the section's examples."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def place(tmp_path: Path, program: Path) -> Path:
    """A directory with what the examples use."""
    for name, color in (("first.png", "orange"), ("last.png", "navy")):
        Image.new("RGB", (640, 360), color).save(tmp_path / name)
    (tmp_path / "node_modules").symlink_to(program.parent / "node_modules")
    return tmp_path


def run(language: str, text: str, place: Path, user: User) -> None:
    path = place / {"sh": "example.sh", "python": "example.py", "javascript": "example.mjs"}[language]
    path.write_text(text)
    command = {"sh": "sh", "python": sys.executable, "javascript": shutil.which("node") or "node"}[language]
    ended = subprocess.run(
        [command, *(["-e"] if language == "sh" else []), str(path)],
        cwd=place,
        env={**os.environ, "URL": user.cloud.url, "TOKEN": user.token, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 0, f"{text}\n{ended.stdout}\n{ended.stderr}"


@pytest.mark.timeout(3 * TIMEOUT_S)
@pytest.mark.parametrize("section", SECTIONS)
def test_documented_examples_work(embedded_cloud: Cloud, place: Path, section: str) -> None:
    user = embedded_cloud.user()
    found = examples(section)
    assert found
    for language, text in found:
        run(language, text, place, user)
        # The next may want what this one made, and no more jobs than may be active are wanted at once.
        for video in user.call("GET", "/v1/videos").json()["data"]:
            assert user.wait(video["id"])["status"] == "completed"
