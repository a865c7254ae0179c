"""Your account: balance, ledger, API keys, and what the models cost."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from rushes import tables
from rushes.paging import After, Limit, collect
from rushes.reauthentication import recently_signed_in
from rushes.run import Json, begin

PANEL = "Account"
keys = typer.Typer(no_args_is_help=True, help="API keys, for programs.")


class Scope(StrEnum):
    READ = "read"
    WRITE = "write"


def account(context: typer.Context, json: Json = False) -> None:
    """Show your balance, limits and role."""
    run = begin(context, json)
    said = run.api().get("/v1/account")
    run.out.answer(said, tables.account(said))


def ledger(context: typer.Context, limit: Limit = 20, after: After = None, json: Json = False) -> None:
    """List credit transactions, newest first."""
    run = begin(context, json)
    found = collect(run.api(), "/v1/account/transactions", limit, after)
    run.out.answer(found, tables.ledger(found["data"]))
    if found["has_more"] and not run.out.json:
        run.out.say(f"More: rushes ledger --after {found['last_id']}")


def models(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="Show only this model, in detail.")] = None,
    json: Json = False,
) -> None:
    """List models with their limits, prices and typical times."""
    run = begin(context, json)
    if model is not None:
        said = run.api().get(f"/v1/models/{model}")
        run.out.answer(said, tables.model(said))
        return
    found = run.api().get("/v1/models")
    run.out.answer(found, tables.models(found["data"]))


@keys.command("list")
def list_keys(context: typer.Context, json: Json = False) -> None:
    """List your API keys, without the secrets."""
    run = begin(context, json)
    found = run.api().get("/v1/api-keys")
    run.out.answer(found, tables.keys(found["data"]))


@keys.command("create")
def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[Scope, typer.Option(help="read: read-only.")] = Scope.WRITE,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Days until it expires (default: never).")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    json: Json = False,
) -> None:
    """Create an API key (shown once). Asks for your password unless you signed in recently."""
    run = begin(context, json)
    body = {"name": name, "scope": scope} | ({"expires_in_days": days} if days else {})
    made = recently_signed_in(run, lambda api: api.post("/v1/api-keys", json=body), password_stdin=password_stdin)
    run.out.answer(made, made["key"])
    run.out.say(f"{made['id']}: save it now, it won't be shown again.")


@keys.command("revoke")
def revoke_key(
    context: typer.Context, key: Annotated[str, typer.Argument(help="Key id: key_...")], json: Json = False
) -> None:
    """Revoke a key (takes effect within a minute)."""
    run = begin(context, json)
    said = run.api().delete(f"/v1/api-keys/{key}")
    run.out.answer(said, f"Revoked {key}.")


def add_to(app: typer.Typer) -> None:
    for command in (account, ledger, models):
        app.command(command.__name__, rich_help_panel=PANEL)(command)
    app.add_typer(keys, name="keys", rich_help_panel=PANEL)
