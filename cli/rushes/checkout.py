"""The checkout of the repository, where the cloud on this machine is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rushes.files import read_json

# What a directory has that is a checkout.
MARKS = ("local/__main__.py", "functions/submit/main.py", "shared/http/routes.py")


@dataclass(frozen=True)
class Checkout:
    """A checkout of Rushes on this machine."""

    root: Path

    @property
    def python(self) -> Path:
        """The interpreter of its virtual environment, whether or not it is there yet."""
        return self.root / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    @property
    def installed(self) -> bool:
        """Whether `make` has installed everything into the virtual environment."""
        return self.python.exists() and (self.root / ".venv" / ".installed").exists()

    def session(self) -> dict[str, Any] | None:
        """`.local/session.json`: the address and the tokens of the cloud that is up; None while none is."""
        session = read_json(self.root / ".local" / "session.json")
        return session if isinstance(session, dict) and "url" in session else None


def find() -> Checkout | None:
    """The checkout that one stands in, or else the one that this very code is part of."""
    return next((Checkout(path) for path in _candidates() if all((path / mark).is_file() for mark in MARKS)), None)


def _candidates() -> Iterator[Path]:
    here = Path.cwd()
    yield from (here, *here.parents)
    yield Path(__file__).resolve().parents[2]
