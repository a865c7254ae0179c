"""What the supervisor says: one line per event, in color where somebody looks on."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console as Rich
from rich.text import Text


class Console:
    """Lines on standard output. Nothing is redrawn, so the same lines read well in a file."""

    def __init__(self) -> None:
        self._out = Rich(highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        self._out.print(Text(line))

    def ready(self, name: str, seconds: float, note: str = "") -> None:
        """A part of the cloud answers, so long after the start."""
        line = Text.assemble(("  ready ", "green"), f"{name:<12}", (f"{seconds:5.1f} s", "dim"))
        if note:
            line.append(f"  {note}", "dim")
        self._out.print(line)

    def notice(self, line: str) -> None:
        self._out.print(Text(line, "yellow"))

    def failure(self, line: str, log: Iterable[str] = ()) -> None:
        """What went wrong, and the last lines of the relevant log."""
        self._out.print(Text(line, "bold red"))
        for logged in log:
            self._out.print(Text(f"    {logged}", "dim"))

    def address(self, url: str) -> None:
        self._out.print(Text.assemble("The studio is at ", (url, "bold cyan"), "  (Ctrl-C ends it)"))
        self._out.print(Text.assemble("Email to new users is at ", (f"{url}/emulator/mailbox", "cyan")))
