"""One's account: balance, ledger, API keys, and what the models cost."""

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
    """Your balance, limits and role."""
    run = begin(context, json)
    said = run.api().get("/v1/account")
    run.out.answer(said, tables.account(said))


def ledger(context: typer.Context, limit: Limit = 20, after: After = None, json: Json = False) -> None:
    """What your credits came from and went to, newest first."""
    run = begin(context, json)
    found = collect(run.api(), "/v1/account/transactions", limit, after)
    run.out.answer(found, tables.ledger(found["data"]))
    if found["has_more"] and not run.out.json:
        run.out.say(f"There is more: rushes ledger --after {found['last_id']}")


def models(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="Only this one, in full.")] = None,
    json: Json = False,
) -> None:
    """What each model can do, costs and usually takes."""
    run = begin(context, json)
    if model is not None:
        said = run.api().get(f"/v1/models/{model}")
        run.out.answer(said, tables.model(said))
        return
    found = run.api().get("/v1/models")
    run.out.answer(found, tables.models(found["data"]))


@keys.command("list")
def list_keys(context: typer.Context, json: Json = False) -> None:
    """List your API keys; never the keys themselves."""
    run = begin(context, json)
    found = run.api().get("/v1/api-keys")
    run.out.answer(found, tables.keys(found["data"]))


@keys.command("create")
def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[Scope, typer.Option(help="A read key can only look.")] = Scope.WRITE,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="How long it lives; else until revoked.")] = None,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from there.")] = False,
    json: Json = False,
) -> None:
    """Create an API key. It is shown only this once, and needs your password if you signed in a while ago."""
    run = begin(context, json)
    body = {"name": name, "scope": scope} | ({"expires_in_days": days} if days else {})
    made = recently_signed_in(run, lambda api: api.post("/v1/api-keys", json=body), password_stdin=password_stdin)
    run.out.answer(made, made["key"])
    run.out.say(f"{made['id']}: keep it now; it isn't shown again.")


@keys.command("revoke")
def revoke_key(
    context: typer.Context, key: Annotated[str, typer.Argument(help="Its id: key_...")], json: Json = False
) -> None:
    """Make a key useless: here at once, everywhere within a minute."""
    run = begin(context, json)
    said = run.api().delete(f"/v1/api-keys/{key}")
    run.out.answer(said, f"{key} is revoked.")


def add_to(app: typer.Typer) -> None:
    for command in (account, ledger, models):
        app.command(command.__name__, rich_help_panel=PANEL)(command)
    app.add_typer(keys, name="keys", rich_help_panel=PANEL)
