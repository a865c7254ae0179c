"""The official openai package for Node, unmodified, against both forms of the cloud."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.cloud import Cloud

SOURCE = Path(__file__).parent / "node"
TIMEOUT_S = 300


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program beside the package that it uses, installed once."""
    if not (shutil.which("node") and shutil.which("npm")):
        if os.environ.get("CI") == "true":
            pytest.fail("node and npm are needed")
        pytest.skip("node and npm are not on this machine")
    directory = tmp_path_factory.mktemp("node")
    shutil.copytree(SOURCE, directory, dirs_exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    installed = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert installed.returncode == 0, installed.stderr
    return directory / "acceptance.mjs"


@pytest.mark.timeout(2 * TIMEOUT_S)
def test_the_package_keeps_working_unmodified(cloud: Cloud, program: Path, tmp_path: Path) -> None:
    picture = tmp_path / "first.png"
    Image.new("RGB", (640, 360), "red").save(picture)
    user = cloud.user()
    # What is left is just enough for the program's six videos, and too little for a large one.
    large = user.create("a long night [never finishes]", seconds=8, count=4)["id"]
    run = subprocess.run(
        ["node", str(program), f"{cloud.url}/v1", user.token, str(picture)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    # One with an image, one in JSON, two for the pages, two that were retried.
    assert user.ledger == [500, -320, *[-30] * 6]
    user.call("POST", f"/v1/videos/{large}/cancel")
