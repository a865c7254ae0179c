"""The script that teaches a shell to complete commands."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from rushes.run import Json, begin


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def completion(
    context: typer.Context, shell: Annotated[Shell, typer.Argument(help="The shell.")], json: Json = False
) -> None:
    """Print the completion script for your shell."""
    run = begin(context, json)
    # Not at the top: only this command needs it.
    from typer.completion import get_completion_script  # type: ignore[attr-defined] # typer says it by options only

    script = get_completion_script(prog_name="rushes", complete_var="_RUSHES_COMPLETE", shell=shell)
    run.out.answer({"object": "completion", "shell": shell, "script": script}, script)


def add_to(app: typer.Typer) -> None:
    app.command("completion", rich_help_panel="Completion")(completion)
