"""Google's sign-in page and its ID tokens, for signing in with Google on a laptop.

The page asks which address to be, and no password. It answers as OpenID Connect's implicit flow does, with an ID token
in the fragment of the redirect.
"""

from __future__ import annotations

import hashlib
import html
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import jwt
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from local.identity import GOOGLE, GOOGLE_CLIENT_ID
from local.identity.errors import IdentityError
from local.identity.keys import Signer, ensure_key

ISSUER: Final = "https://accounts.google.com"
LIFETIME_S: Final = 3600
PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Stand-in for Google</title>
<link rel="icon" href="data:,">
<main><h1>Stand-in for Google's sign-in page</h1>
<form method="get"><label>Email <input name="email" type="email" required autofocus></label> {hidden}
<button>Continue</button></form></main></html>"""


@dataclass(frozen=True)
class GoogleUser:
    """Who Google says has signed in."""

    sub: str
    email: str
    email_verified: bool
    name: str


class Google:
    """Issues and checks the stand-in's ID tokens."""

    def __init__(self, directory: Path) -> None:
        self._signer = Signer(ensure_key(directory / "google.pem"), GOOGLE_CLIENT_ID)

    def id_token(self, email: str, nonce: str = "", **more: Any) -> str:
        """An ID token of Google's for our client; `more` adds claims or replaces them."""
        # A user's subject is theirs whatever the address; here the address is all that there is.
        sub = str(int.from_bytes(hashlib.sha256(email.encode()).digest()[:8], "big"))
        now_s = int(time.time())
        claims = {
            "iat": now_s,
            "exp": now_s + LIFETIME_S,
            "iss": ISSUER,
            "aud": GOOGLE_CLIENT_ID,
            "azp": GOOGLE_CLIENT_ID,
            "sub": sub,
            "email": email,
            "email_verified": True,
            "name": email.partition("@")[0],
        }
        return self._signer.sign(claims | ({"nonce": nonce} if nonce else {}) | more)

    def verify(self, token: str, nonce: str) -> GoogleUser:
        """Whose token it is. Raises IdentityError INVALID_IDP_RESPONSE or MISSING_OR_INVALID_NONCE."""
        try:
            claims = jwt.decode(
                token,
                self._signer.key.public_key(),
                algorithms=["RS256"],
                issuer=ISSUER,
                audience=GOOGLE_CLIENT_ID,
                options={"require": ["exp", "iat", "sub", "email"]},
            )
        except jwt.InvalidAudienceError:
            told = "The audience of the ID Token is not authorized to be used in the project"
            raise IdentityError(f"INVALID_IDP_RESPONSE : {told}") from None
        except jwt.PyJWTError as error:
            raise IdentityError(f"INVALID_IDP_RESPONSE : Unable to parse Google id_token: {error}") from None
        hashed = hashlib.sha256(nonce.encode()).hexdigest()
        if "nonce" in claims and claims["nonce"] not in (nonce, hashed):
            raise IdentityError("MISSING_OR_INVALID_NONCE : Nonce is missing in the request.")
        verified = claims.get("email_verified") is True
        return GoogleUser(claims["sub"], claims["email"].lower(), verified, claims.get("name", ""))

    def routes(self) -> list[Route]:
        return [Route(f"{GOOGLE}/o/oauth2/v2/auth", self._page)]

    async def _page(self, request: Request) -> Response:
        asked = dict(request.query_params)
        if problem := _problem(asked):
            return HTMLResponse(f"<!doctype html><title>Error 400</title><p>{html.escape(problem)}", 400)
        email = asked.pop("email", "").strip().lower()
        if "@" not in email:
            hidden = "".join(
                f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
                for name, value in asked.items()
            )
            return HTMLResponse(PAGE.format(hidden=hidden))
        answer = {"state": asked.get("state", ""), "id_token": self.id_token(email, asked.get("nonce", ""))}
        return RedirectResponse(f"{asked['redirect_uri']}#{urlencode(answer)}", 302)


def _problem(asked: dict[str, str]) -> str | None:
    """Why Google would show an error instead of its page."""
    if asked.get("client_id") != GOOGLE_CLIENT_ID:
        return "invalid_client: The OAuth client was not found."
    # Registered at the client: the page itself, wherever on this machine it is served.
    redirect = urlsplit(asked.get("redirect_uri", ""))
    is_page = (redirect.path, redirect.query, redirect.fragment) == ("/", "", "")
    if redirect.hostname not in ("localhost", "127.0.0.1") or not is_page:
        return "redirect_uri_mismatch"
    if asked.get("response_type") != "id_token" or "openid" not in asked.get("scope", "").split():
        return "invalid_request: response_type or scope"
    if not asked.get("nonce"):
        return "invalid_request: Missing required parameter: nonce"
    return None


def authorization_url(base: str, redirect_uri: str, state: str, nonce: str) -> str:
    """Where to send somebody to sign in with Google."""
    asked = {
        "client_id": GOOGLE_CLIENT_ID,
        "redirect_uri": redirect_uri,
        "response_type": "id_token",
        "scope": "openid email profile",
        "state": state,
        "nonce": nonce,
    }
    return f"{base}{GOOGLE}/o/oauth2/v2/auth?{urlencode(asked)}"


def new_nonce() -> str:
    return secrets.token_urlsafe(24)
