"""The user's private files: complete or absent, and readable only by them."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import typer

from rushes.exit_codes import Exit
from rushes.failure import Failure

PRIVATE = 0o600
PRIVATE_DIRECTORY = 0o700


def home() -> Path:
    """The directory for what the command line keeps: RUSHES_HOME, or the system's place for settings."""
    return Path(os.environ.get("RUSHES_HOME") or typer.get_app_dir("rushes"))


def not_written(path: Path, error: OSError) -> Failure:
    """What ends a command that can't keep what it must."""
    action = "Free some space, or set RUSHES_HOME to a writable directory."
    why = error.strerror or str(error)
    return Failure(Exit.UNEXPECTED, "FILE_NOT_WRITTEN", f"{path} can't be written: {why}.", action)


def private_directory(path: Path) -> Path:
    """The directory, made if it isn't there. Raises Failure."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=PRIVATE_DIRECTORY)
    except OSError as error:
        raise not_written(path, error) from None
    return path


def write_private(path: Path, value: Any) -> None:
    """Replace `path` by `value` as JSON in one step, for the owner's eyes only. Raises Failure."""
    private_directory(path.parent)
    try:
        _replace(path, value)
    except OSError as error:
        raise not_written(path, error) from None


def _replace(path: Path, value: Any) -> None:
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
    except (FileNotFoundError, ValueError, RecursionError):
        return None
