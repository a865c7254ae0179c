"""The door for assistants."""

from __future__ import annotations

from importlib.util import find_spec

import typer

from rushes.exit_codes import Exit
from rushes.failure import Failure
from rushes.run import begin


def mcp(context: typer.Context) -> None:
    """Serve the Model Context Protocol on standard input and output, for an assistant."""
    run = begin(context, json=False)
    if find_spec("mcp") is None or find_spec("jsonschema") is None:
        action = "pipx inject rushes-cli mcp jsonschema, or pip install them"
        raise Failure(Exit.MISSING, "MISSING", "The packages mcp and jsonschema aren't installed.", action)
    # Not at the top, since it costs every other command half a second.
    from rushes.mcp_server import serve

    serve(run)


def add_to(app: typer.Typer) -> None:
    app.command("mcp", rich_help_panel="Assistants")(mcp)
