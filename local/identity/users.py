"""The users of the identity server: one JSON file, whole after every change."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from local.files import read_json, write_json

# 16 MiB and some 40 ms a password: what RFC 7914 names for interactive sign-in.
SCRYPT: Final = {"n": 2**14, "r": 8, "p": 1}
LOCAL_ID_CHARS: Final = 28


@dataclass(frozen=True)
class User:
    """One user of one tenant ("" is the project itself). Times are milliseconds since the epoch.

    `google_id` is the user's subject at Google; without it, and without a password hash, that way in is closed.
    """

    local_id: str
    email: str
    salt: str = ""
    password_hash: str = ""
    tenant: str = ""
    display_name: str = ""
    email_verified: bool = False
    disabled: bool = False
    google_id: str = ""
    valid_since_s: int = 0
    credentials: int = 0
    created_at_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    last_login_at_ms: int = 0

    def with_password(self, password: str) -> User:
        """The user with another password; sign-ins from before are void."""
        salt = secrets.token_hex(16)
        return replace(self, salt=salt, password_hash=_hash(password, salt)).signed_out()

    def signed_out(self) -> User:
        """The user after a change that ends all sign-ins: their refresh tokens are void."""
        return replace(self, valid_since_s=int(time.time()), credentials=self.credentials + 1)

    def signed_in_now(self) -> User:
        return replace(self, last_login_at_ms=int(time.time() * 1000))

    def taken_over_by_google(self, google_id: str) -> User:
        """The user once Google vouches for the address.

        If the address was not verified, the password is a stranger's, and is removed. Its refresh tokens stay
        valid on Firebase's emulator; the real service doesn't document it, so the API may not rely on their end.
        """
        user = self if self.email_verified else replace(self, salt="", password_hash="")
        return replace(user, google_id=google_id, email_verified=True)

    def has_password(self, password: str) -> bool:
        return bool(self.password_hash) and hmac.compare_digest(self.password_hash, _hash(password, self.salt))

    @property
    def identities(self) -> dict[str, list[str]]:
        """As an ID token's `firebase.identities` lists them."""
        return ({"google.com": [self.google_id]} if self.google_id else {}) | {"email": [self.email]}


class Users:
    """All users, by id, by (tenant, email) and by (tenant, subject at Google)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        stored: list[dict[str, Any]] = read_json(path) or []
        self._by_id = {user.local_id: user for user in (User(**item) for item in stored)}
        self._index()

    def by_id(self, local_id: str) -> User | None:
        return self._by_id.get(local_id)

    def by_email(self, tenant: str, email: str) -> User | None:
        return self._by_id.get(self._by_email.get((tenant, email), ""))

    def by_google(self, tenant: str, google_id: str) -> User | None:
        return self._by_id.get(self._by_google.get((tenant, google_id), ""))

    def of_tenant(self, tenant: str) -> Iterable[User]:
        return [user for user in self._by_id.values() if user.tenant == tenant]

    def save(self, user: User) -> User:
        """Add or replace the user of this id, on disk before it returns."""
        with self._lock:
            self._by_id[user.local_id] = user
            self._index()
            self._write()
        return user

    def delete(self, user: User) -> None:
        with self._lock:
            self._by_id.pop(user.local_id, None)
            self._index()
            self._write()

    def _index(self) -> None:
        users = self._by_id.values()
        self._by_email = {(user.tenant, user.email): user.local_id for user in users}
        self._by_google = {(user.tenant, user.google_id): user.local_id for user in users if user.google_id}

    def _write(self) -> None:
        write_json(self._path, [asdict(user) for user in self._by_id.values()])


def new_local_id() -> str:
    """A random id of the shape that Identity Platform gives."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return "".join(secrets.choice(alphabet) for _ in range(LOCAL_ID_CHARS))


def _hash(password: str, salt: str) -> str:
    return hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), **SCRYPT).hex()
