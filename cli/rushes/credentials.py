"""Credentials by profile: one file in the user's settings, readable only by them.

A profile is one installation of Rushes under a name: its URL with an API key, or with a refresh token of Identity
Platform and the ID token that was last made of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from rushes import files
from rushes.exit_codes import Exit
from rushes.failure import Failure

LAPTOP: Final = "laptop"
LOCK_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True)
class Identity:
    """Where the identity service is, as the page's /config.json says it; URLs may be relative to the page's."""

    identity_url: str
    token_url: str
    web_key: str
    tenant: str | None = None


@dataclass(frozen=True)
class Profile:
    """How one is signed in to one installation. `id_token` is good until `expires_at` (Unix seconds)."""

    url: str
    email: str | None = None
    api_key: str | None = None
    refresh_token: str | None = None
    id_token: str | None = None
    expires_at: float = 0.0
    identity: Identity | None = None

    @property
    def signed_in(self) -> bool:
        return bool(self.api_key or self.refresh_token)


class Credentials:
    """The profiles, and which of them is used when none is named.

    Every method raises Failure when the file can't be read, or is damaged: it is never taken for an empty one, which
    the next sign-in would overwrite.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._path = (directory or files.home()) / "credentials.json"

    @property
    def path(self) -> Path:
        return self._path

    @property
    def current(self) -> str | None:
        name = self._read().get("current")
        return str(name) if name else None

    def profiles(self) -> dict[str, Profile]:
        return _profiles(self._read())

    def get(self, name: str) -> Profile | None:
        return self.profiles().get(name)

    def of_url(self, url: str) -> str | None:
        """The name of a profile of that installation."""
        return next((name for name, profile in self.profiles().items() if profile.url == url), None)

    def save(self, name: str, profile: Profile, *, current: bool = False) -> None:
        with self.locked():
            content = self._read()
            content.setdefault("profiles", {})[name] = asdict(profile)
            if current:
                content["current"] = name
            files.write_private(self._path, content)

    def use(self, name: str) -> None:
        """Make this the default profile."""
        with self.locked():
            files.write_private(self._path, {**self._read(), "current": name})

    def remove(self, name: str) -> bool:
        """Forget a profile; whether there was one."""
        with self.locked():
            content = self._read()
            if content.get("profiles", {}).pop(name, None) is None:
                return False
            if content.get("current") == name:
                content["current"] = None
            files.write_private(self._path, content)
            return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time; entered again by the same process it does not wait for itself."""
        files.private_directory(self._path.parent)
        lock = FileLock(self._path.with_suffix(".lock"), timeout=LOCK_TIMEOUT_S, is_singleton=True)
        try:
            lock.acquire()
        except Timeout:
            message = f"Another command has locked {lock.lock_file} for {LOCK_TIMEOUT_S:.0f} s."
            raise Failure(Exit.UNEXPECTED, "CREDENTIALS_LOCKED", message, "End that command, and try again.") from None
        except OSError as error:
            raise files.not_written(self._path, error) from None
        try:
            yield
        finally:
            lock.release()

    def _read(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self._path.read_bytes())
            _profiles(content)
        except FileNotFoundError:
            return {}
        except OSError as error:
            message = f"Can't read your saved sign-ins in {self._path}: {error.strerror}."
            raise Failure(Exit.AUTH, "CREDENTIALS_UNREADABLE", message, "Change its permissions.") from None
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            message = f"Your saved sign-ins in {self._path} are damaged ({type(error).__name__}: {error})."
            action = "Repair it, or delete it and sign in again: rushes login. Or set RUSHES_URL and RUSHES_API_KEY."
            raise Failure(Exit.AUTH, "CREDENTIALS_DAMAGED", message, action) from None
        return content


def _profiles(content: dict[str, Any]) -> dict[str, Profile]:
    """Raises AttributeError, KeyError, TypeError or ValueError for what is none."""
    return {name: _profile(value) for name, value in content.get("profiles", {}).items()}


def _profile(value: dict[str, Any]) -> Profile:
    """A profile as it was saved, perhaps by a newer release that keeps more."""
    identity = value.get("identity")
    return Profile(
        url=_text(value["url"]),
        email=_optional(value.get("email")),
        api_key=_optional(value.get("api_key")),
        refresh_token=_optional(value.get("refresh_token")),
        id_token=_optional(value.get("id_token")),
        expires_at=float(value.get("expires_at", 0.0)),
        identity=_identity(identity) if identity is not None else None,
    )


def _identity(value: dict[str, Any]) -> Identity:
    urls = _text(value["identity_url"]), _text(value["token_url"])
    return Identity(*urls, _text(value["web_key"]), _optional(value.get("tenant")))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where text should be")
    return value


def _optional(value: Any) -> str | None:
    return None if value is None else _text(value)
