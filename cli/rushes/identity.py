"""Signing in with email and password, the mail that goes with it, and new ID tokens of a refresh token: Identity
Platform's two services.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urljoin

import httpx2

from rushes import transport
from rushes.credentials import Identity, Profile
from rushes.exit_codes import Exit
from rushes.failure import Failure, usage

TIMEOUT_S: Final = 30.0
# What the service's codes mean to somebody at a terminal; others are shown as they are.
SAYINGS: Final[Mapping[str, str]] = {
    "INVALID_LOGIN_CREDENTIALS": "Wrong email or password.",
    "INVALID_PASSWORD": "Wrong email or password.",
    "EMAIL_NOT_FOUND": "Wrong email or password.",
    "EMAIL_EXISTS": "There's already an account with this email.",
    "INVALID_EMAIL": "Enter a valid email address.",
    "USER_DISABLED": "This account is disabled.",
    "ADMIN_ONLY_OPERATION": "Only an administrator can create accounts here.",
    "OPERATION_NOT_ALLOWED": "This installation doesn't offer signing in with a password.",
    "TOO_MANY_ATTEMPTS_TRY_LATER": "Too many attempts; try again later.",
    "RESET_PASSWORD_EXCEED_LIMIT": "Too many attempts; try again later.",
    "QUOTA_EXCEEDED": "Too many people are signing up right now; try again later.",
}
# A user of Google's has no password here.
WITH_GOOGLE: Final = "If you sign in with Google, create an API key in the studio and run rushes --api-key KEY login"
ACTIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("INVALID_LOGIN_CREDENTIALS", "INVALID_PASSWORD", "EMAIL_NOT_FOUND"), WITH_GOOGLE),
    "EMAIL_EXISTS": "Leave out --sign-up, or reset the password: rushes reset-password",
}
ENDED: Final = frozenset({"TOKEN_EXPIRED", "INVALID_REFRESH_TOKEN", "USER_NOT_FOUND", "USER_DISABLED"})


def configuration(url: str) -> Identity:
    """Where the installation's identity service is. Raises Failure."""
    said = _answer(_send("GET", urljoin(f"{url}/", "config.json")))
    try:
        return Identity(said["identity_url"], said["token_url"], said["api_key"], said.get("tenant"))
    except KeyError as error:
        raise _unavailable(f"{url} has no sign-in configuration ({error} is missing)") from None


def sign_in(url: str, identity: Identity, email: str, password: str, *, new: bool = False) -> Profile:
    """The profile of a user who signs in, or of a new one who signs up. Raises Failure."""
    body = {"email": email, "password": password, "returnSecureToken": True, **_tenant(identity)}
    said = _call(url, identity, "signUp" if new else "signInWithPassword", body)
    return Profile(
        url,
        email=said.get("email", email),
        refresh_token=said["refreshToken"],
        id_token=said["idToken"],
        expires_at=time.time() + float(said["expiresIn"]),
        identity=identity,
    )


def send_verification(url: str, identity: Identity, id_token: str) -> None:
    """Mail the user a link that verifies the address. Raises Failure."""
    _call(url, identity, "sendOobCode", {"requestType": "VERIFY_EMAIL", "idToken": id_token})


def send_reset(url: str, identity: Identity, email: str) -> None:
    """Mail a link that resets the password, if the user exists, without revealing whether. Raises Failure."""
    try:
        _call(url, identity, "sendOobCode", {"requestType": "PASSWORD_RESET", "email": email, **_tenant(identity)})
    except Failure as failure:
        if failure.code != "EMAIL_NOT_FOUND":
            raise


def _call(url: str, identity: Identity, name: str, body: dict[str, Any]) -> dict[str, Any]:
    address = urljoin(f"{url}/", f"{identity.identity_url}/accounts:{name}")
    return _answer(_send("POST", address, params={"key": identity.web_key}, json=body))


def _tenant(identity: Identity) -> dict[str, str]:
    return {"tenantId": identity.tenant} if identity.tenant else {}


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
        raise usage(f"{url} isn't a URL.") from None
    except httpx2.TransportError as error:
        raise _unavailable(f"Can't reach {url.partition('?')[0]}: {error or type(error).__name__}") from None


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
    # "WEAK_PASSWORD : Password should be at least 6 characters" begins with its code; a blocked key is a sentence.
    message = str(said["error"].get("message", ""))
    code, _, sentence = message.partition(" : ")
    code = code if re.fullmatch(r"[A-Z0-9_]+", code) else ""
    if code in ENDED and "token" in response.url.path:
        raise Failure(Exit.AUTH, code, "Your sign-in has expired.", "Sign in again: rushes login")
    told = SAYINGS.get(code) or sentence or f"{where}: {message}"
    raise Failure(Exit.AUTH, code or "UNAUTHENTICATED", told, ACTIONS.get(code, ""))


def _unavailable(message: str) -> Failure:
    return Failure(Exit.UNAVAILABLE, "UNAVAILABLE", message, "Check the URL, and that the server is up.", True)
