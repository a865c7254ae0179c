"""For administrators of a tenant, and for operators of the installation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

import typer

from rushes import tables
from rushes.api import Api
from rushes.arguments import text
from rushes.exit_codes import Exit
from rushes.failure import Failure, usage
from rushes.paging import After, Limit, collect
from rushes.pending import Pending, pending
from rushes.run import Json, begin

USER_ID = re.compile(r"[A-Za-z0-9_-]{22}")

admin = typer.Typer(no_args_is_help=True, help="For administrators of a tenant.")
users = typer.Typer(no_args_is_help=True, help="The tenant's users.")
admin.add_typer(users, name="users")
operator = typer.Typer(no_args_is_help=True, help="For operators of the installation.")
TENANT_HELP = "The tenant's name; default for users who sign in without one."


# A user's id may begin with a dash: none of its letters is an option then, not even -h.
@admin.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
def grant(
    context: typer.Context,
    user: Annotated[str, typer.Argument(help="Email address or user id.")],
    amount: Annotated[int, typer.Argument(min=1, help="Credits.")],
    description: Annotated[str, typer.Option(help="Shown in the user's ledger.")] = "Granted by an administrator",
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Idempotency key (default: generated and saved).")
    ] = None,
    json: Json = False,
) -> None:
    """Grant credits to a user (safe to retry)."""
    run = begin(context, json)
    api = run.api("admin")
    body = {"amount": amount, "description": text(description)}
    with pending({**_of(api), "grant": body, "to": user}, key=idempotency_key) as note:
        entry = _granted(api, note, lambda: f"/v1/admin/users/{_id(api, user)}/grants", body)
        run.out.answer(entry, f"Granted {entry['amount']} credits to {user}. New balance: {entry['balance_after']}.")
        note.done()


def _of(api: Api) -> dict[str, Any]:
    """What makes two grants the same, besides what they give to whom."""
    return {"for": api.connection.profile or api.connection.url}


def _granted(api: Api, note: Pending, path: Callable[[], str], body: dict[str, Any]) -> dict[str, Any]:
    """The grant as the server made it, or made it before under the same key."""
    try:
        return api.post(path(), key=note.key, json=body)
    except Failure as failure:
        if failure.exit is not Exit.UNAVAILABLE:
            note.done()
        raise


def _id(api: Api, user: str) -> str:
    """The user's id; an address is looked up."""
    if "@" not in user:
        if not USER_ID.fullmatch(user):
            raise usage(f"{user} is neither an email address nor a user id.", "See rushes admin users list")
        return user
    found = api.get("/v1/admin/users", email=user)["data"]
    if not found:
        message = f"No user in your tenant has the address {user}."
        raise Failure(Exit.NOT_FOUND, "NOT_FOUND", message, "See rushes admin users list")
    return str(found[0]["id"])


@users.command("list")
def list_users(
    context: typer.Context,
    email: Annotated[str | None, typer.Option(help="Exact email address.")] = None,
    limit: Limit = 20,
    after: After = None,
    json: Json = False,
) -> None:
    """List the tenant's users, newest first."""
    run = begin(context, json)
    found = collect(run.api("admin"), "/v1/admin/users", limit, after, email=email)
    run.out.answer(found, tables.users(found["data"]))
    if found["has_more"] and not run.out.json:
        run.out.say(f"More: rushes admin users list --after {found['last_id']}")


@admin.command()
def budget(context: typer.Context, json: Json = False) -> None:
    """Show what your tenant's administrators can still grant."""
    run = begin(context, json)
    said = run.api("admin").get("/v1/admin/budget")
    run.out.answer(said, tables.budget(said))


@operator.command()
def tenant(context: typer.Context, name: Annotated[str, typer.Argument(help=TENANT_HELP)], json: Json = False) -> None:
    """Show what a tenant was granted, and what is left."""
    run = begin(context, json)
    said = run.api("operator").get(f"/v1/operator/tenants/{quote(name, safe='')}")
    run.out.answer(said, tables.budget(said))


@operator.command("grant", context_settings={"ignore_unknown_options": True})
def grant_to_tenant(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="TENANT", help=TENANT_HELP)],
    amount: Annotated[int, typer.Argument(help="Credits; a negative amount takes back what is left.")],
    description: Annotated[str, typer.Option(help="For the records.")] = "Granted by an operator",
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Idempotency key (default: generated and saved).")
    ] = None,
    json: Json = False,
) -> None:
    """Grant credits to a tenant (safe to retry)."""
    run = begin(context, json)
    api = run.api("operator")
    body = {"amount": amount, "description": text(description)}
    with pending({**_of(api), "grant": body, "to_tenant": name}, key=idempotency_key) as note:
        entry = _granted(api, note, lambda: f"/v1/operator/tenants/{quote(name, safe='')}/grants", body)
        run.out.answer(entry, f"Granted {entry['amount']} credits to {name}, {entry['granted_after']} in total.")
        note.done()


def add_to(app: typer.Typer) -> None:
    app.add_typer(admin, name="admin", rich_help_panel="Administration")
    app.add_typer(operator, name="operator", rich_help_panel="Administration")
