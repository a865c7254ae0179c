"""Signing in again, before something that the server does only soon after a sign-in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rushes import identity
from rushes.api import REAUTHENTICATION_REQUIRED, Api
from rushes.credentials import Credentials
from rushes.failure import Failure, Json
from rushes.passwords import password_of
from rushes.run import Run
from rushes.tokens import Fixed


def recently_signed_in(run: Run, call: Callable[[Api], Json], *, password_stdin: bool) -> Json:
    """The answer of `call`, which is made again after the password was given, where the server wants that.

    The cloud on this machine has its users' passwords in its session file; others are asked for. Raises Failure.
    """
    api = run.api()
    try:
        return call(api)
    except Failure as failure:
        if failure.code != REAUTHENTICATION_REQUIRED:
            raise
    return call(_signed_in_again(run, api, password_stdin))


def _signed_in_again(run: Run, api: Api, password_stdin: bool) -> Api:
    connection = api.connection
    email = str(api.get("/v1/account")["email"])
    known = (connection.session or {}).get("passwords", {}).get(email)
    run.out.say(f"This requires a sign-in within the last five minutes. Signing in again as {email}.")
    password = known or password_of(from_stdin=password_stdin)
    profile = identity.sign_in(connection.url, identity.configuration(connection.url), email, password)
    if connection.session is None and connection.profile is not None:
        Credentials().save(connection.profile, profile)
    again = replace(connection, bearer=Fixed(str(profile.id_token)))
    return run.closing.enter_context(Api(again, run.retry_for_s))
