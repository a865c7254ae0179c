"""Files of the user's own: whole or absent, and readable by nobody else."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import typer

PRIVATE = 0o600
PRIVATE_DIRECTORY = 0o700


def home() -> Path:
    """The directory for what the command line keeps: RUSHES_HOME, or the system's place for settings."""
    return Path(os.environ.get("RUSHES_HOME") or typer.get_app_dir("rushes"))


def private_directory(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True, mode=PRIVATE_DIRECTORY)
    return path


def write_private(path: Path, value: Any) -> None:
    """Replace `path` by `value` as JSON in one step, for the owner's eyes only."""
    private_directory(path.parent)
    # mkstemp makes it with mode 0600, so it is at no moment readable by others.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(value, file, indent=2)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_json(path: Path) -> Any:
    """The JSON value in `path`; None where there is no such file, or none that can be read as JSON."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
