"""Who one is signed in as, by profile: one file in the user's settings, readable by nobody else.

A profile is one installation of Rushes under a name: its URL with an API key, or with a refresh token of Identity
Platform and the ID token that was last made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from rushes import files

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
    """The profiles, and which of them is used when none is named."""

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
        return {name: _profile(value) for name, value in self._read().get("profiles", {}).items()}

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
        """From now on this is the profile of whoever names none."""
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
        with FileLock(self._path.with_suffix(".lock"), timeout=LOCK_TIMEOUT_S, is_singleton=True):
            yield

    def _read(self) -> dict[str, Any]:
        content = files.read_json(self._path)
        return content if isinstance(content, dict) else {}


def _profile(value: dict[str, Any]) -> Profile:
    identity = value.get("identity")
    return Profile(**{**value, "identity": Identity(**identity) if identity else None})
