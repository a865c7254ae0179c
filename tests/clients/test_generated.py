"""Clients that other people's generators make of openapi.json: they make a video, wait for it, list it, download it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from testing.cloud import Cloud
from tests.clients.conftest import Run
from tests.infra import clean_venv

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
OPENAPI = ROOT / "openapi.json"
REQUIREMENTS = ROOT / "requirements" / "clients.txt"
# 1,265 while each operation's errors were schemas of their own.
MOST_MODELS = 150

pytestmark = pytest.mark.timeout(600)


def test_openapi_python_client(embedded_cloud: Cloud, run: Run, tmp_path: Path) -> None:
    python = clean_venv.python(REQUIREMENTS)
    shutil.copytree(HERE / "python", tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.yml").write_text(
        "content_type_overrides: {video/mp4: application/octet-stream, image/jpeg: application/octet-stream}\n"
        "post_hooks: []\n"
    )
    generator = python.with_name("openapi-python-client")
    options = ("--path", OPENAPI, "--meta", "none", "--output-path", "client", "--config", "config.yml")
    said = run(generator, "generate", *options, "--fail-on-warning", cwd=tmp_path)
    assert len(list((tmp_path / "client" / "models").glob("*.py"))) <= MOST_MODELS, said
    run(python, "make_a_video.py", embedded_cloud.url, embedded_cloud.user().token, "boat.mp4", cwd=tmp_path)
    assert_is_a_film(tmp_path / "boat.mp4")


def test_openapi_typescript(embedded_cloud: Cloud, run: Run, typescript: Path) -> None:
    run("npx", "openapi-typescript", OPENAPI, "-o", "api.d.ts", cwd=typescript)
    typescript_program("openapi_typescript.ts", embedded_cloud, run, typescript)


@pytest.mark.long
def test_hey_api(embedded_cloud: Cloud, run: Run, typescript: Path) -> None:
    run("npx", "openapi-ts", "-i", OPENAPI, "-o", "hey", "-c", "@hey-api/client-fetch", cwd=typescript)
    typescript_program("hey_api.ts", embedded_cloud, run, typescript)


def typescript_program(name: str, cloud: Cloud, run: Run, directory: Path) -> None:
    """Check the program's types against the generated ones, then run it."""
    (directory / "tsconfig.one.json").write_text(f'{{"extends": "./tsconfig.json", "include": ["{name}"]}}')
    run("npx", "tsc", "--project", "tsconfig.one.json", cwd=directory)
    run("npx", "tsx", name, cloud.url, cloud.user().token, "boat.mp4", cwd=directory)
    assert_is_a_film(directory / "boat.mp4")


def assert_is_a_film(file: Path) -> None:
    assert file.read_bytes()[4:8] == b"ftyp"
    file.unlink()
