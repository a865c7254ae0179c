"""Signing in with e-mail and password, and new ID tokens of a refresh token: Identity Platform's two services."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urljoin

import httpx2

from rushes import transport
from rushes.credentials import Identity, Profile
from rushes.exits import Exit
from rushes.failure import Failure, usage

TIMEOUT_S: Final = 30.0
# What the service's codes mean to somebody at a terminal; others are shown as they are.
SAYINGS: Final[Mapping[str, str]] = {
    "INVALID_LOGIN_CREDENTIALS": "The address or the password is wrong.",
    "INVALID_PASSWORD": "The address or the password is wrong.",
    "EMAIL_NOT_FOUND": "The address or the password is wrong.",
    "EMAIL_EXISTS": "There is a user of that address already.",
    "INVALID_EMAIL": "That is not an e-mail address.",
    "WEAK_PASSWORD": "The password is too short: 6 characters are the least.",
    "USER_DISABLED": "That user is disabled.",
    "TOO_MANY_ATTEMPTS_TRY_LATER": "Too many attempts; try again later.",
}
ENDED: Final = frozenset({"TOKEN_EXPIRED", "INVALID_REFRESH_TOKEN", "USER_NOT_FOUND", "USER_DISABLED"})


def configuration(url: str) -> Identity:
    """Where the installation's identity service is. Raises Failure."""
    said = _answer(_send("GET", urljoin(f"{url}/", "config.json")))
    try:
        return Identity(said["identity_url"], said["token_url"], said["api_key"], said.get("tenant"))
    except KeyError as error:
        raise _unavailable(f"{url} says nothing of how to sign in ({error} is missing)") from None


def sign_in(url: str, identity: Identity, email: str, password: str, *, new: bool = False) -> Profile:
    """The profile of a user who signs in, or of a new one who signs up. Raises Failure."""
    body: dict[str, Any] = {"email": email, "password": password, "returnSecureToken": True}
    if identity.tenant:
        body["tenantId"] = identity.tenant
    call = "signUp" if new else "signInWithPassword"
    address = urljoin(f"{url}/", f"{identity.identity_url}/accounts:{call}")
    said = _answer(_send("POST", address, params={"key": identity.web_key}, json=body))
    return Profile(
        url,
        email=said.get("email", email),
        refresh_token=said["refreshToken"],
        id_token=said["idToken"],
        expires_at=time.time() + float(said["expiresIn"]),
        identity=identity,
    )


def renewed(profile: Profile, url: str) -> Profile:
    """The profile with a fresh ID token. Raises Failure, with AUTH when the refresh token is good no more."""
    assert profile.identity is not None
    address = urljoin(f"{url}/", f"{profile.identity.token_url}/token")
    form = {"grant_type": "refresh_token", "refresh_token": profile.refresh_token}
    said = _answer(_send("POST", address, params={"key": profile.identity.web_key}, data=form))
    return replace(
        profile,
        refresh_token=said["refresh_token"],
        id_token=said["id_token"],
        expires_at=time.time() + float(said["expires_in"]),
    )


def _send(method: str, url: str, **options: Any) -> httpx2.Response:
    try:
        with transport.client(url, TIMEOUT_S) as client:
            return client.request(method, url, **options)
    except httpx2.InvalidURL:
        raise usage(f"{url} is not a URL.") from None
    except httpx2.TransportError as error:
        raise _unavailable(f"{url.partition('?')[0]} cannot be reached: {error or type(error).__name__}") from None


def _answer(response: httpx2.Response) -> dict[str, Any]:
    try:
        said = response.json()
    except ValueError:
        said = None
    if response.is_success and isinstance(said, dict):
        return said
    where = f"{response.url.copy_with(query=None)} answered {response.status_code}"
    if response.status_code >= 500 or not isinstance(said, dict) or not isinstance(said.get("error"), dict):
        raise _unavailable(f"{where}.")
    # "WEAK_PASSWORD : Password should be at least 6 characters" bears its code in front.
    message = str(said["error"].get("message", ""))
    code = message.split(" ")[0]
    if code in ENDED and "token" in response.url.path:
        raise Failure(Exit.AUTH, code, "The sign-in has ended.", "Sign in again: rushes login")
    raise Failure(Exit.AUTH, code or "UNAUTHENTICATED", SAYINGS.get(code, f"{where}: {message}"))


def _unavailable(message: str) -> Failure:
    return Failure(Exit.UNAVAILABLE, "UNAVAILABLE", message, "Check the URL, and that the server is up.", True)
