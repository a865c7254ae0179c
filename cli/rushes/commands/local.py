"""The cloud on this machine: start it, and see what it lacks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from rushes import checkout
from rushes.checkout import Checkout
from rushes.doctor import examine
from rushes.exit_codes import Exit
from rushes.failure import Failure, usage
from rushes.files import read_json
from rushes.output import table
from rushes.run import Json, Run, begin

PANEL = "The cloud on this machine"
COLORS = {"ok": "green", "warning": "yellow", "missing": "bold red", "skipped": "dim"}
LOOK_EVERY_S = 0.05


def up(
    context: typer.Context,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the studio; 0: any (default: 8080, or any free one).")
    ] = None,
    embedded: Annotated[bool, typer.Option("--embedded", help="Run in one process, without Java.")] = False,
    directory: Annotated[Path | None, typer.Option(help="Data directory (default: .local in the checkout).")] = None,
    json: Json = False,
) -> None:
    """Start the cloud on this machine, like make run; Ctrl-C stops it."""
    run = begin(context, json)
    found = checkout.find()
    if found is None:
        raise usage("This isn't a checkout of Rushes.", "Clone the repository, and run this inside it.")
    command, environ = _command(found, port, embedded, directory)
    if not run.out.json:
        os.chdir(found.root)
        os.execvpe(command[0], command, environ)  # noqa: S606 - it takes our place, and Ctrl-C with it
    _tell(run, command, environ, found.root, directory or found.root / ".local")


def _command(
    found: Checkout, port: int | None, embedded: bool, directory: Path | None
) -> tuple[list[str], dict[str, str]]:
    if found.installed:
        command = [str(found.python), "-m", "local", "up"]
        command += ["--port", str(port)] if port is not None else []
        command += ["--embedded"] if embedded else []
        command += ["--directory", str(directory.absolute())] if directory else []
        return command, dict(os.environ)
    if directory:
        raise usage("--directory needs what make installs.", "Run rushes up once without it")
    environ = {**os.environ, **({"EMBEDDED": "1"} if embedded else {})}
    return ["make", "run", *([f"PORT={port}"] if port is not None else [])], environ


def _tell(run: Run, command: list[str], environ: dict[str, str], root: Path, directory: Path) -> None:
    """The session as the one document, once the cloud is up; then stay until it ends."""
    path = directory / "session.json"
    before = _stamp(path)
    # It is in our group and hears Ctrl-C itself; what only we hear is passed on.
    process = subprocess.Popen(command, cwd=root, env=environ, stdout=sys.stderr)  # noqa: S603
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    while process.poll() is None and _stamp(path) in (None, before):
        time.sleep(LOOK_EVERY_S)
    session = read_json(path) if process.poll() is None else None
    if session is None:
        raise Failure(Exit.UNAVAILABLE, "NOT_STARTED", "The cloud didn't start.", "Run rushes doctor.")
    run.out.answer({"object": "cloud", "url": session["url"], "session": str(path), "pid": process.pid})
    code = process.wait()
    if code:
        # The one document is out.
        run.out.json = False
        raise Failure(Exit.UNAVAILABLE, "ENDED", f"The cloud stopped unexpectedly (exit code {code}).")


def _stamp(path: Path) -> int | None:
    """When the file was written; None when it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def doctor(context: typer.Context, json: Json = False) -> None:
    """Check what is missing on this machine, and how to get it."""
    run = begin(context, json)
    findings = examine(run)
    missing = [finding.name for finding in findings if finding.state == "missing"]
    rows = table("", "part", "what was found", "how to get it")
    for one in findings:
        rows.add_row(Text(one.state, COLORS[one.state]), one.name, Text(one.said), Text(one.remedy))
    document: dict[str, Any] = {
        "object": "findings",
        "data": [finding.document() for finding in findings],
        "missing": missing,
    }
    run.out.answer(document, rows)
    if missing:
        raise typer.Exit(Exit.MISSING)


def add_to(app: typer.Typer) -> None:
    for command in (up, doctor):
        app.command(command.__name__, rich_help_panel=PANEL)(command)
