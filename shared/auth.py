"""Who is calling: callers and their accounts.

A token proves only issuer, subject, e-mail and tenant. Role, plan and whether an account is disabled are the account
document's, and are kept for at most a minute. The first request of a user makes the account.

An API key proves its account too, and never carries the role admin: keys lie about in scripts, and what an
administrator can do needs somebody who has signed in.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

from shared import api_keys, ledger
from shared.api_keys import ApiKey
from shared.caching import Cache
from shared.errors import ApiError, Conflict, Unavailable
from shared.models import Account

if TYPE_CHECKING:
    from shared.services import Services

ACCOUNT_KEPT_FOR = timedelta(seconds=60)
ACCOUNTS_KEPT = 10_000
KEYS_KNOWN = 10_000
DEFAULT_TENANT = "default"


@dataclass(frozen=True)
class Identity:
    """What a verified token proves."""

    issuer: str
    sub: str
    tenant: str
    email: str | None
    email_verified: bool

    @property
    def account_id(self) -> str:
        digest = hashlib.sha256("\n".join((self.issuer, self.tenant, self.sub)).encode()).digest()
        return base64.urlsafe_b64encode(digest).decode()[:22]


@dataclass(frozen=True)
class Caller:
    """The signed-in user: the account's id, and what it may do. `key` is the id of the API key in use, if any."""

    account: str
    tenant: str
    role: Literal["user", "admin"]
    plan: str
    email: str | None
    key: str | None = None
    read_only: bool = False


class Verifier(Protocol):
    """Turns a bearer token into an identity."""

    async def verify(self, token: str) -> Identity:
        """Raises ApiError UNAUTHENTICATED, or Unavailable when the issuer's keys cannot be had."""


class Accounts:
    """The accounts that lately called, and the making of new ones."""

    def __init__(self) -> None:
        self._known: Cache[str, Account] = Cache(ACCOUNTS_KEPT)
        self._keys: Cache[str, ApiKey] = Cache(KEYS_KNOWN)

    def forget(self, account: str) -> None:
        """Read that account and its keys afresh at their next request: something of them was changed here."""
        self._known.drop(account)
        self._keys.drop_where(lambda key: key.account == account)

    async def caller(self, services: Services, authorization: str | None) -> Caller:
        """The user that the Authorization header proves.

        Raises ApiError UNAUTHENTICATED, ACCOUNT_DISABLED or ACCOUNT_CLOSED.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise unauthenticated("There is no Bearer token in the Authorization header.")
        if token.strip().startswith(api_keys.PREFIX):
            return await self._caller_of_key(services, token.strip())
        identity = await services.verifier.verify(token.strip())
        account = await self._account(services, identity.account_id, identity)
        if account is None:
            raise Unavailable(f"account {identity.account_id} could not be opened")
        _check_open(account)
        return Caller(account.id, account.tenant, account.role, account.plan, account.email)

    async def _caller_of_key(self, services: Services, secret: str) -> Caller:
        key = await self._key(services, secret)
        refusal = key.refusal(services.clock()) if key is not None else "There is no such API key."
        account = await self._account(services, key.account) if key is not None and refusal is None else None
        if key is None or account is None:
            raise unauthenticated(refusal or "There is no account of this API key any more.")
        _check_open(account)
        read_only = key.scope == "read"
        return Caller(account.id, account.tenant, "user", account.plan, account.email, key.key_id, read_only)

    async def _key(self, services: Services, secret: str) -> ApiKey | None:
        if not api_keys.KEY.fullmatch(secret):
            return None
        now, id_ = services.clock(), api_keys.document_id(secret)
        known = self._keys.get(id_, now)
        if known is not None:
            return known
        key = await services.store.get(ApiKey, id_)
        if key is None:
            return None
        if key.refusal(now) is None:
            await api_keys.note_use(services, key)
        self._keys.put(id_, key, now + ACCOUNT_KEPT_FOR)
        return key

    async def _account(self, services: Services, id_: str, identity: Identity | None = None) -> Account | None:
        """The account, as it was at most a minute ago; made for an identity that has none."""
        now = services.clock()
        known = self._known.get(id_, now)
        if known is not None:
            return known
        account = await services.store.get(Account, id_)
        if account is None and identity is not None:
            account = await _open(services, identity, now)
        if account is None:
            return None
        self._known.put(account.id, account, now + ACCOUNT_KEPT_FOR)
        return account


async def _open(services: Services, identity: Identity, now: datetime) -> Account:
    account = Account(
        id=identity.account_id,
        issuer=identity.issuer,
        sub=identity.sub,
        email=identity.email,
        tenant=identity.tenant,
        created_at=now,
        change_id=services.ids(),
    )
    documents = ledger.open_account(account, identity.email_verified, await services.config.get(), now)
    try:
        await services.store.commit(documents)
    except Conflict:
        # A parallel first request made it, or our own commit whose answer was lost.
        found = await services.store.get(Account, account.id)
        if found is None:
            raise Unavailable(f"account {account.id} was refused and is not there") from None
        return found
    opened = documents[0]
    assert isinstance(opened, Account)
    return opened


def _check_open(account: Account) -> None:
    if account.closed_at is not None:
        raise ApiError("ACCOUNT_CLOSED")
    if account.disabled:
        raise ApiError("ACCOUNT_DISABLED")


def unauthenticated(message: str) -> ApiError:
    return ApiError("UNAUTHENTICATED", message, headers={"WWW-Authenticate": "Bearer"})
