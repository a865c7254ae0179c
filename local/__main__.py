"""`python -m local up`, `demo` and `clean`: the cloud on a laptop."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from local.supervisor.cloud import Cloud, Options
from local.supervisor.console import Console
from local.supervisor.lock import DirectoryLock, Held
from local.supervisor.plan import ROOT
from local.supervisor.process import ended_with_parent
from local.supervisor.session import SessionFile


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of the command."""
    options = _parser().parse_args(arguments)
    if getattr(options, "with_parent", False):
        ended_with_parent()
    command: int = options.run(options)
    return command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description="The cloud on a laptop.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start everything and stay until Ctrl-C")
    up.add_argument("--port", type=int, default=_port(os.environ.get("PORT", "")), help="the gateway's; 0: any")
    up.add_argument("--headless", action="store_true", help="for scripts: any free port unless one is given")
    up.add_argument("--embedded", action="store_true", default=os.environ.get("EMBEDDED") == "1")
    up.add_argument("--sweep-every", type=float, metavar="SECONDS", help="how often Cloud Scheduler sweeps")
    up.add_argument("--functions", type=Path, default=ROOT / "functions", help=argparse.SUPPRESS)
    up.set_defaults(run=_up)
    demo = commands.add_parser("demo", help="create one video from start to finish, then stop everything")
    demo.add_argument("--prompt", default=os.environ.get("PROMPT") or None)
    demo.add_argument("--seconds", type=int)
    demo.add_argument("--size", metavar="WIDTHxHEIGHT")
    demo.add_argument("--out", type=Path, default=Path("out/demo.mp4"))
    demo.set_defaults(run=_demo)
    clean = commands.add_parser("clean", help="remove all data")
    clean.set_defaults(run=_clean)
    for command in (up, demo):
        command.add_argument("--with-parent", action="store_true", help="end when the process that started this ends")
    for command in (up, clean):
        command.add_argument("--directory", type=Path, default=ROOT / ".local", help="where all data is")
    return parser


def _port(text: str) -> int | None:
    return int(text) if text else None


def _up(options: argparse.Namespace) -> int:
    directory: Path = options.directory.resolve()
    console = Console()
    try:
        with DirectoryLock(directory):
            run = Options(
                directory,
                port=options.port,
                headless=options.headless,
                embedded=options.embedded,
                strict=os.environ.get("CI") == "true",
                sweep_every_s=options.sweep_every,
                functions=options.functions.resolve(),
            )
            return asyncio.run(_run(run, console))
    except Held:
        session = SessionFile(directory).read() or {}
        where = f" at {session['url']}" if session else "; it is still starting or stopping"
        console.failure(f"A cloud is already running in {directory}{where}.")
        return 1


async def _run(options: Options, console: Console) -> int:
    return await Cloud(options, console).run()


def _demo(options: argparse.Namespace) -> int:
    # Imported here, so that `up` does not wait for what only the demo draws with.
    from local.supervisor import demo

    return demo.run(demo.Wish(options.prompt, options.seconds, options.size), options.out)


def _clean(options: argparse.Namespace) -> int:
    directory: Path = options.directory.resolve()
    if not directory.exists():
        return 0
    try:
        with DirectoryLock(directory):
            shutil.rmtree(directory)
    except Held:
        Console().failure(f"A cloud is running in {directory}; stop it first.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
