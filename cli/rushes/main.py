"""The command `rushes`: its commands put together, and how it ends."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from rushes import __version__
from rushes.commands import account, admin, agent, completion, local, sign_in, videos
from rushes.connection import Given
from rushes.exit_codes import Exit
from rushes.failure import Failure, usage
from rushes.run import Json, Run

app = typer.Typer(
    name="rushes",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog="Exit codes, settings and examples: docs/cli.md",
)
for commands in (videos, account, sign_in, admin, local, agent, completion):
    commands.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"rushes {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    profile: Annotated[
        str | None,
        typer.Option(envvar="RUSHES_PROFILE", help="Profile to use: laptop, cloud, or one you signed in with."),
    ] = None,
    url: Annotated[str | None, typer.Option(envvar="RUSHES_URL", help="URL of the installation.")] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="RUSHES_API_KEY", help="API key, instead of signing in.", show_envvar=True)
    ] = None,
    retry_for: Annotated[
        float,
        typer.Option(
            envvar="RUSHES_RETRY_FOR",
            min=0,
            metavar="SECONDS",
            help="How long to retry if the server can't be reached.",
        ),
    ] = 20.0,
    json: Json = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show version.")] = False,
) -> None:
    """Create videos from prompts, with the cloud on this machine or any other installation of Rushes."""
    run: Run = context.obj
    run.given = Given(profile or None, url or None, api_key or None)
    run.retry_for_s = retry_for
    run.out.json = json


def main(arguments: list[str] | None = None) -> int:
    """Run a command; its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    run = Run()
    try:
        with run.closing:
            code = typer.main.get_command(app).main(given, prog_name="rushes", standalone_mode=False, obj=run)
        if code == Exit.INTERRUPTED:
            raise KeyboardInterrupt
        return code if isinstance(code, int) else Exit.OK
    except Failure as failure:
        return _failed(run, failure, given)
    except typer.TyperException as error:
        if "--json" not in given:
            _show(error)
            return Exit.USAGE
        return _failed(run, usage(error.format_message(), "See rushes --help"), given)
    except (typer.Abort, KeyboardInterrupt):
        action = "Run the same command again to continue."
        return _failed(run, Failure(Exit.INTERRUPTED, "INTERRUPTED", "Interrupted.", action), given)
    except Exception as error:  # noqa: BLE001 - the boundary: scripts get a document and an exit code, people the trace
        run.out.say(traceback.format_exc())
        message = f"{type(error).__name__}: {error}"
        return _failed(run, Failure(Exit.UNEXPECTED, "UNEXPECTED", message, "Report it with the lines above."), given)


def _show(error: typer.TyperException) -> None:
    # Typer's own panel; a third of the start of every command would go into what draws it.
    from typer.rich_utils import rich_format_error

    rich_format_error(error)  # type: ignore[arg-type] # all that typer raises are of that kind


def _failed(run: Run, failure: Failure, given: list[str]) -> int:
    # What is wrong may have been found before the option was read.
    run.out.json = run.out.json or "--json" in given
    run.out.failed(failure)
    return failure.exit
