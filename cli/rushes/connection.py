"""Which installation a command talks to, and as whom.

In this order: what the command line or the environment says; the profile that one last signed in to; the cloud that is
up in the checkout on this machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from rushes import checkout
from rushes.credentials import LAPTOP, Credentials, Profile
from rushes.exit_codes import Exit
from rushes.failure import Failure, usage
from rushes.tokens import Bearer, Fixed, Nobody, Renewing

Role = Literal["admin", "operator"]


@dataclass(frozen=True)
class Given:
    """What was said of it, by option or environment variable."""

    profile: str | None = None
    url: str | None = None
    api_key: str | None = None


@dataclass(frozen=True)
class Connection:
    """An installation and who is signed in there. `source` says where the credentials come from, for people."""

    url: str
    bearer: Bearer
    profile: str | None
    source: str
    session: dict[str, Any] | None = None

    @property
    def fingerprint(self) -> str:
        """Identifies the user and server without revealing them."""
        secret = self.bearer.value if isinstance(self.bearer, Fixed) else ""
        return hashlib.sha256("\n".join((self.url, self.source, secret)).encode()).hexdigest()

    def as_role(self, role: Role) -> Connection:
        """The cloud on this machine has one ready-made user of each role, who stands in for its developer."""
        if self.session is None:
            return self
        bearer = Fixed(self.session[f"{role}_token"])
        return replace(self, bearer=bearer, source=f"the {role} in .local/session.json")


def clean(url: str) -> str:
    """A URL without the slash at its end. Raises Failure for what is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise usage(f"{url} isn't a server URL.", "Use a URL like https://videos.example.com.")
    return url.rstrip("/")


def resolve(given: Given, credentials: Credentials | None = None) -> Connection:
    """The connection that a command uses. Raises Failure."""
    url = clean(given.url) if given.url else None
    if url and given.api_key and not given.profile:
        # Nothing is left that could be read in the user's settings, which programs may not even have.
        return Connection(url, Fixed(given.api_key), None, "RUSHES_API_KEY")
    book = credentials or Credentials()
    found = checkout.find()
    session = found.session() if found else None
    name = _name(given, book, url, session)
    saved = book.get(name) if name else None
    if name and name != LAPTOP and saved is None:
        raise Failure(Exit.AUTH, "NO_PROFILE", f"No profile {name}.", f"rushes --profile {name} login --url URL")
    where = url or _url(given, name, saved, session)
    if given.api_key:
        return Connection(where, Fixed(given.api_key), name, "RUSHES_API_KEY")
    if saved and saved.api_key:
        return Connection(where, Fixed(saved.api_key), name, f"the API key of profile {name}")
    if name and saved and saved.refresh_token:
        return Connection(where, Renewing(book, name, where), name, f"{saved.email}, profile {name}")
    if name == LAPTOP and session:
        return Connection(where, Fixed(session["token"]), name, "the developer in .local/session.json", session)
    return Connection(where, Nobody(where), name, "nobody")


def _name(given: Given, book: Credentials, url: str | None, session: dict[str, Any] | None) -> str | None:
    """The profile that is meant; None for a URL that no profile knows."""
    if given.profile:
        return given.profile
    if url:
        return LAPTOP if session and session["url"] == url else book.of_url(url)
    return book.current or LAPTOP


def _url(given: Given, name: str | None, saved: Profile | None, session: dict[str, Any] | None) -> str:
    # The cloud on this machine may come up at another port each time.
    if name == LAPTOP and session:
        return str(session["url"])
    if saved:
        return saved.url
    if given.profile == LAPTOP:
        raise Failure(
            Exit.UNAVAILABLE, "UNAVAILABLE", "No cloud is running on this machine.", "Start one with rushes up"
        )
    if given.api_key:
        raise usage("There's an API key, but no server.", "Set RUSHES_URL, or pass --url.")
    raise Failure(
        Exit.AUTH,
        "UNAUTHENTICATED",
        "You aren't signed in, and no cloud is running on this machine.",
        "Sign in with rushes login --url URL, or start a cloud with rushes up",
    )
