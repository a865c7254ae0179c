"""What a request proves itself with: a token that stays as it is, or one that is renewed in time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Protocol

from rushes import identity
from rushes.credentials import Credentials, Profile
from rushes.exit_codes import Exit
from rushes.failure import Failure

RENEW_BEFORE_S: Final = 60.0


class Bearer(Protocol):
    """Gives the value of the Authorization header."""

    def token(self) -> str:
        """A token that is good for at least some seconds. Raises Failure."""
        ...

    def refused(self, token: str) -> bool:
        """The server did not accept the token: whether there is now another one to try with."""
        ...


@dataclass(frozen=True)
class Fixed:
    """An API key, or the token of the cloud on this machine."""

    value: str

    def token(self) -> str:
        return self.value

    def refused(self, token: str) -> bool:
        return False


@dataclass(frozen=True)
class Nobody:
    """Signed out; every request that needs a user fails here."""

    url: str

    def token(self) -> str:
        raise Failure(
            Exit.AUTH,
            "UNAUTHENTICATED",
            f"Nobody is signed in to {self.url}.",
            f"rushes --url {self.url} login, or set RUSHES_API_KEY",
        )

    def refused(self, token: str) -> bool:
        return False


@dataclass(frozen=True)
class Renewing:
    """The ID token of a profile: a new one is made, and kept, when the present one ends."""

    credentials: Credentials
    name: str
    url: str

    def token(self) -> str:
        profile = self._profile()
        if profile.id_token and time.time() < profile.expires_at - RENEW_BEFORE_S:
            return profile.id_token
        return self._renew(profile.id_token)

    def refused(self, token: str) -> bool:
        return self._renew(token) != token

    def _renew(self, old: str | None) -> str:
        with self.credentials.locked():
            profile = self._profile()
            # Another command may have renewed it while this one waited.
            if profile.id_token == old or not profile.id_token:
                profile = identity.renewed(profile, self.url)
                self.credentials.save(self.name, profile)
            assert profile.id_token is not None
            return profile.id_token

    def _profile(self) -> Profile:
        profile = self.credentials.get(self.name)
        if profile is None or not profile.refresh_token:
            raise Failure(Exit.AUTH, "UNAUTHENTICATED", "Your sign-in has expired.", "Sign in again: rushes login")
        return profile
