"""What a command says: its answer on standard output, as JSON or for people; the rest on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import IO, Any, Final, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rushes.failure import Failure
from rushes.streams import Drawn, Stderr, can_encode, write_output

# In a pipe there is no edge that a line could end at.
PIPE_COLUMNS: Final = 240


class Output:
    """`json`: standard output carries exactly one document, whatever happens."""

    def __init__(self) -> None:
        self.json = False
        # What users and servers write is text, whatever brackets and colons it has.
        errors = cast("IO[str]", Stderr())
        self.errors = Console(file=errors, soft_wrap=True, highlight=False, markup=False, emoji=False)
        width = None if sys.stdout is not None and sys.stdout.isatty() else PIPE_COLUMNS
        self._drawn = Drawn()
        self._out = Console(file=cast("IO[str]", self._drawn), width=width, highlight=False, markup=False, emoji=False)

    def answer(self, document: Any, *shown: Any) -> None:
        """The command's answer: the document for programs, or what is `shown` to people.

        Raises Failure when it could not be written to the last byte.
        """
        if self.json:
            write_output(_rendered(document))
            return
        for part in shown:
            self._out.print(part, soft_wrap=not isinstance(part, Table))
        write_output(self._drawn.take())

    def say(self, line: str | Text) -> None:
        """Something on the way, for people."""
        self.errors.print(Text(line) if isinstance(line, str) else line)

    def warn(self, line: str) -> None:
        self.errors.print(Text(line, "yellow"))

    def failed(self, failure: Failure) -> None:
        """How it ended instead."""
        if self.json:
            # Where even this can't be written, the exit code and standard error still say how it ended.
            with suppress(Failure):
                write_output(_rendered(failure.body()))
        self.errors.print(Text.assemble((failure.code, "bold red"), f": {failure.message}"))
        if failure.suggested_action:
            self.errors.print(Text(failure.suggested_action))
        if failure.request_id:
            self.errors.print(Text(f"Request {failure.request_id}", "dim"))


def _rendered(document: Any) -> str:
    """One JSON document; escaped where the terminal's encoding lacks its characters."""
    text = json.dumps(document, ensure_ascii=False, indent=2)
    return (text if can_encode(text, sys.stdout) else json.dumps(document, indent=2)) + "\n"


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table; the columns named in `right` hold numbers."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        # The id in the first column is what one copies: it is never cut.
        made.add_column(column, justify="right" if column in right else "left", no_wrap=column == columns[0])
    return made


def facts(rows: Iterable[tuple[str, Any]]) -> Table:
    """Names and values, one a line; what is not there is left out."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        if value not in (None, "", [], {}):
            made.add_row(name, Text(str(value)))
    return made


def moment(seconds: int | None) -> str:
    """A time of the API, which counts Unix seconds, in the user's own zone."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S") if seconds else ""
