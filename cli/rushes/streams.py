"""Standard output and error as they may be: full, closed, or in an encoding without the characters to be written."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, TextIO

from rushes.exit_codes import Exit
from rushes.failure import Failure


def can_encode(text: str, stream: TextIO | None) -> bool:
    """Whether the stream's encoding has all characters of the text."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def write_output(text: str) -> None:
    """Write to standard output, to the last byte. Raises Failure, after which nothing more is written there."""
    try:
        if sys.stdout is None:
            raise OSError("it is closed")
        _write(sys.stdout, text)
    except (OSError, ValueError) as error:
        _silence(sys.stdout)
        reason = getattr(error, "strerror", None) or str(error)
        raise Failure(
            Exit.UNEXPECTED,
            "OUTPUT_FAILED",
            f"Couldn't write to standard output: {reason}",
            "Fix standard output, and run the same command again. You won't be charged twice.",
        ) from None


class Drawn:
    """Standard output as Rich draws for it; buffered until taken, to be written where a failure can be reported."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def write(self, text: str) -> int:
        self._parts.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing is written here."""

    def take(self) -> str:
        text, self._parts = "".join(self._parts), []
        return text

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)


class Stderr:
    """Standard error, for Rich. What is said there is for people: where it cannot be written, the command continues."""

    def write(self, text: str) -> int:
        try:
            if sys.stderr is not None:
                _write(sys.stderr, text)
        except (OSError, ValueError):
            _silence(sys.stderr)
        return len(text)

    def flush(self) -> None:
        """Every write is flushed."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


def _write(stream: TextIO, text: str) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text if can_encode(text, stream) else text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _silence(stream: TextIO | None) -> None:
    """Let what is left in the stream's buffer go nowhere: Python would fail once more on it when the process ends."""
    with suppress(OSError, ValueError, AttributeError):
        descriptor = stream.fileno()  # type: ignore[union-attr] # None has no descriptor to silence
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
