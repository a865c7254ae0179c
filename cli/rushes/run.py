"""One run of the command line: what was said for all commands, and what they all need."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Annotated

import typer

from rushes.api import Api
from rushes.connection import Connection, Given, Role, resolve
from rushes.output import Output

Json = Annotated[bool, typer.Option("--json", help="Output JSON only.")]


@dataclass
class Run:
    """Made by `main`, given to every command through typer's context."""

    out: Output = field(default_factory=Output)
    given: Given = field(default_factory=Given)
    retry_for_s: float = 20.0
    closing: ExitStack = field(default_factory=ExitStack)

    @property
    def connection(self) -> Connection:
        return resolve(self.given)

    def api(self, role: Role | None = None) -> Api:
        """The API as somebody of that role, closed when the command ends. Raises Failure."""
        connection = self.connection.as_role(role) if role is not None else self.connection
        return self.closing.enter_context(Api(connection, self.retry_for_s))


def begin(context: typer.Context, json: bool) -> Run:
    """The first line of every command."""
    run: Run = context.find_root().obj
    run.out.json = run.out.json or json
    return run
