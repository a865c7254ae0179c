"""The caller: what a verified token proves, and the signed-in user that a handler acts for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from shared.core.documents import Role
from shared.core.errors import ApiError
from shared.platform import ids

DEFAULT_TENANT = "default"
UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Identity:
    """What a verified token proves.

    `provider` is how the user signed in (Identity Platform's name, such as password or google.com); `federated`: the
    user has a provider other than the password. Refreshing a token changes `issued_at`, not `signed_in_at`.
    """

    issuer: str
    sub: str
    tenant: str
    email: str | None
    email_verified: bool
    provider: str | None = None
    federated: bool = False
    signed_in_at: datetime = UNKNOWN_TIME
    issued_at: datetime = UNKNOWN_TIME

    @property
    def account_id(self) -> str:
        return ids.derived("", self.issuer, self.tenant, self.sub)


@dataclass(frozen=True)
class Caller:
    """The signed-in user: the account's id and what it may do. `key` is the id of the API key in use, if any.

    `signed_in_at` is when the user last signed in; None with a key. `idle`: the account has no credits or active jobs.
    """

    account: str
    tenant: str
    role: Role
    plan: str
    email: str | None
    key: str | None = None
    read_only: bool = False
    signed_in_at: datetime | None = None
    idle: bool = False

    @property
    def administers(self) -> bool:
        """Whether the user may do what an administrator of the tenant may."""
        return self.role in ("admin", "operator")


class Verifier(Protocol):
    """Turns a bearer token into an identity."""

    async def verify(self, token: str) -> Identity:
        """Raises ApiError UNAUTHENTICATED, or Unavailable if the issuer's keys can't be loaded."""


def unauthenticated(message: str) -> ApiError:
    return ApiError("UNAUTHENTICATED", message, headers={"WWW-Authenticate": "Bearer"})
