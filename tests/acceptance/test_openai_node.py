"""The official openai package for Node, unmodified, against both forms of the cloud."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from testing.cloud import Cloud
from tests import node_program


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return node_program.installed(Path(__file__).parent / "node", tmp_path_factory.mktemp("node")) / "acceptance.mjs"


@pytest.mark.timeout(2 * node_program.TIMEOUT_S)
def test_package_works_unmodified(cloud: Cloud, program: Path, tmp_path: Path) -> None:
    picture = tmp_path / "first.png"
    Image.new("RGB", (640, 360), "red").save(picture)
    user = cloud.user()
    # What is left is just enough for the program's six videos, and too little for a large one.
    large = user.create("a long night [never finishes]", seconds=8, count=4)["id"]
    node_program.run(program, f"{cloud.url}/v1", user.token, str(picture))
    # One with an image, one in JSON, two for the pages, two that were retried.
    assert user.ledger == [500, -320, *[-30] * 6]
    user.call("POST", f"/v1/videos/{large}/cancel")
