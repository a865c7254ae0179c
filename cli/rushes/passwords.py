"""What only a person can say: asked for at the terminal, or read from standard input."""

from __future__ import annotations

import sys

import typer

from rushes.failure import usage


def asked(what: str, *, hidden: bool = False) -> str:
    """Read a line from the terminal. Raises Failure if the session is not interactive."""
    if not sys.stdin.isatty():
        raise usage(f"{what} is required.", "Pass --email and --password-stdin.")
    return str(typer.prompt(what, hide_input=hidden, err=True))


def password_of(*, from_stdin: bool) -> str:
    """The password: a line of standard input, or typed unseen. Raises Failure."""
    return sys.stdin.readline().rstrip("\n") if from_stdin else asked("Password", hidden=True)
