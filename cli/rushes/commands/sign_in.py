"""Signing in and out, verifying an address, resetting a password, and the profiles that you're signed in to."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import typer

from rushes import checkout, identity, transport
from rushes.api import Api
from rushes.connection import Connection, clean
from rushes.credentials import LAPTOP, Credentials, Profile
from rushes.exit_codes import Exit
from rushes.failure import Failure, usage
from rushes.output import facts, table
from rushes.passwords import asked, password_of
from rushes.run import Json, Run, begin
from rushes.tokens import Fixed, Renewing

CLOUD = "cloud"
PANEL = "Signing in"
profiles = typer.Typer(no_args_is_help=True, help="The installations you are signed in to.")


def login(
    context: typer.Context,
    email: Annotated[str | None, typer.Option(help="Prompted if omitted.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    sign_up: Annotated[bool, typer.Option("--sign-up", help="Create an account.")] = False,
    url: Annotated[
        str | None, typer.Option(help="URL of the installation (default: the cloud on this machine).")
    ] = None,
    json: Json = False,
) -> None:
    """Sign in with email and password, or save an API key (rushes --api-key KEY login)."""
    run = begin(context, json)
    where, name = _where(run, clean(url) if url else None)
    if not transport.private(where):
        run.out.warn(f"{where} isn't encrypted: others on the network can read your credentials.")
    book = Credentials()
    if run.given.api_key:
        profile = Profile(where, api_key=run.given.api_key)
    else:
        settings = identity.configuration(where)
        address = email or asked("Email")
        password = password_of(from_stdin=password_stdin)
        profile = identity.sign_in(where, settings, address, password, new=sign_up)
        if sign_up:
            _mail_link(run, profile)
    bearer = Fixed(str(profile.api_key or profile.id_token))
    with Api(Connection(where, bearer, name, "this sign-in"), run.retry_for_s) as api:
        account = api.get("/v1/account")
    book.save(name, profile, current=True)
    said = {
        "object": "profile",
        "profile": name,
        "url": where,
        "email": account["email"],
        "email_verified": account["email_verified"],
        "balance": account["balance"],
    }
    run.out.answer(said, f"Signed in to {where} as {account['email']}, {account['balance']} credits (profile {name}).")


def _mail_link(run: Run, profile: Profile) -> None:
    """Send the verification email. The sign-up has succeeded even if that fails."""
    assert profile.identity is not None
    try:
        identity.send_verification(profile.url, profile.identity, str(profile.id_token))
    except Failure as failure:
        run.out.warn(f"The verification email wasn't sent: {failure.message} Try again: rushes verify-email")
    else:
        run.out.warn(f"Open the link we emailed to {profile.email}. Until then you can't get credits or API keys.")


def verify_email(context: typer.Context, json: Json = False) -> None:
    """Check whether your email address is verified; if it isn't, send the verification email again."""
    run = begin(context, json)
    connection = run.connection
    bearer = connection.bearer
    # What was verified meanwhile is in a new token only.
    bearer.refused(bearer.token())
    account = run.api().get("/v1/account")
    verified, email = bool(account["email_verified"]), account["email"]
    profile = Credentials().get(bearer.name) if isinstance(bearer, Renewing) else None
    if not verified:
        if profile is None or profile.identity is None:
            raise usage("Sign in with email and password first.", "rushes login")
        identity.send_verification(connection.url, profile.identity, bearer.token())
    said = {"object": "email_verification", "email": email, "email_verified": verified, "sent": not verified}
    sent = f"Sent to {email}. Open the link in it, then run this command again."
    run.out.answer(said, f"{email} is verified. You have {account['balance']} credits." if verified else sent)


def reset_password(
    context: typer.Context,
    email: Annotated[str | None, typer.Option(help="Prompted if omitted.")] = None,
    url: Annotated[
        str | None, typer.Option(help="URL of the installation (default: the cloud on this machine).")
    ] = None,
    json: Json = False,
) -> None:
    """Email a link for choosing a new password."""
    run = begin(context, json)
    where, _ = _where(run, clean(url) if url else None)
    settings = identity.configuration(where)
    address = email or asked("Email")
    identity.send_reset(where, settings, address)
    said = {"object": "password_reset", "url": where, "email": address}
    run.out.answer(said, f"If there's an account for {address}, a link to reset the password is on its way.")


def _where(run: Run, url: str | None) -> tuple[str, str]:
    """The URL to sign in to, and the name of its profile."""
    url = url or (clean(run.given.url) if run.given.url else None)
    found = checkout.find()
    session = found.session() if found else None
    here = str(session["url"]) if session else None
    named = run.given.profile
    if url is None:
        saved = Credentials().get(named) if named and named != LAPTOP else None
        url = saved.url if saved else here
    if url is None:
        raise usage("No server given, and no cloud is running on this machine.", "rushes login --url URL, or rushes up")
    return url, named or (LAPTOP if url == here else _new_name(url))


def _new_name(url: str) -> str:
    """What the profile of an installation is called: as before, or cloud, or by its host."""
    book = Credentials()
    return book.of_url(url) or (CLOUD if book.get(CLOUD) is None else str(urlsplit(url).hostname))


def logout(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="All profiles.")] = False,
    json: Json = False,
) -> None:
    """Sign out (current profile, or --profile)."""
    run = begin(context, json)
    book = Credentials()
    names = list(book.profiles()) if every else [run.given.profile or book.current or LAPTOP]
    removed = [name for name in names if book.remove(name)]
    said = f"Signed out of {', '.join(removed)}." if removed else "Nobody was signed in."
    run.out.answer({"object": "logout", "profiles": removed}, said)


@profiles.command("list")
def list_profiles(context: typer.Context, json: Json = False) -> None:
    """List the profiles; the current one is marked."""
    run = begin(context, json)
    book = Credentials()
    current = run.given.profile or book.current or LAPTOP
    data = [
        {"profile": name, "url": one.url, "email": one.email, "api_key": bool(one.api_key), "current": name == current}
        for name, one in book.profiles().items()
    ]
    rows = table("", "profile", "url", "as")
    for name, one in book.profiles().items():
        rows.add_row("*" if name == current else "", name, one.url, one.email or "an API key")
    run.out.answer({"object": "list", "data": data}, rows)


@profiles.command("use")
def use_profile(
    context: typer.Context, name: Annotated[str, typer.Argument(help="laptop, cloud, ...")], json: Json = False
) -> None:
    """Switch to this profile."""
    run = begin(context, json)
    book = Credentials()
    if name != LAPTOP and book.get(name) is None:
        raise Failure(Exit.NOT_FOUND, "NO_PROFILE", f"No profile {name}.", "See rushes profiles list")
    book.use(name)
    run.out.answer({"object": "profile", "profile": name}, f"Switched to {name}.")


def whoami(context: typer.Context, json: Json = False) -> None:
    """Show the server and user in use."""
    run = begin(context, json)
    connection = run.connection
    account = run.api().get("/v1/account")
    said = {
        "object": "connection",
        "url": connection.url,
        "profile": connection.profile,
        "source": connection.source,
        "account": account["id"],
        "email": account["email"],
        "role": account["role"],
    }
    run.out.answer(said, facts([(name, value) for name, value in said.items() if name != "object"]))


def add_to(app: typer.Typer) -> None:
    for command in (login, logout, whoami, verify_email, reset_password):
        app.command(command.__name__.replace("_", "-"), rich_help_panel=PANEL)(command)
    app.add_typer(profiles, name="profiles", rich_help_panel=PANEL)
