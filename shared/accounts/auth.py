"""Authentication: callers and their accounts.

A token proves only issuer, subject, email, tenant and when its user signed in. Role, plan and whether an account is
disabled come from the account document and are cached for at most a minute; requests that write, or that need a role,
read them again. A user's first request creates the account; verification.py defines how its email address follows the
tokens, and when sign-up credits are granted.

An API key also proves its account but never has a role: keys end up in scripts, and administration requires a user who
has signed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from shared.accounts import api_keys, verification
from shared.accounts.api_keys import ApiKey
from shared.accounts.verification import SignupMarker
from shared.core import credentials, ledger
from shared.core.credentials import PREFIX
from shared.core.documents import Account, Document, Transaction
from shared.platform import accounts, commits, log
from shared.platform.caching import Cache
from shared.platform.commits import Batch
from shared.platform.identity import Caller, Identity, unauthenticated
from shared.platform.ports import Services

D = TypeVar("D", bound=Document)
ACCOUNT_KEPT_FOR = timedelta(seconds=60)
ACCOUNTS_KEPT = 10_000
KEYS_KNOWN = 10_000


@dataclass(frozen=True)
class _Read(Generic[D]):
    """A document, and when it was read."""

    document: D
    at: datetime


class Accounts:
    """Caches recent callers' accounts and keys, and creates accounts for new users."""

    def __init__(self) -> None:
        self._known: Cache[str, _Read[Account]] = Cache(ACCOUNTS_KEPT)
        self._keys: Cache[str, _Read[ApiKey]] = Cache(KEYS_KNOWN)

    def forget(self, account: str) -> None:
        """Drop an account and its keys from the cache, because this process changed one of them."""
        self._known.drop(account)
        self._keys.drop_where(lambda key: key.document.account == account)

    async def caller(
        self,
        services: Services,
        authorization: str | None,
        *,
        account_age: timedelta = ACCOUNT_KEPT_FOR,
        key_age: timedelta = ACCOUNT_KEPT_FOR,
    ) -> Caller:
        """Authenticate the Authorization header, with an account and a key read less than the given ages ago.

        Raises ApiError UNAUTHENTICATED, ACCOUNT_DISABLED or ACCOUNT_CLOSED.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise unauthenticated("The Authorization header has no Bearer token.")
        if token.strip().startswith(PREFIX):
            return await self._caller_of_key(services, token.strip(), account_age, key_age)
        identity = await services.verifier.verify(token.strip())
        account = await self._signed_in(services, identity, account_age)
        who = (account.id, account.tenant, account.role, account.plan, account.email)
        return Caller(*who, signed_in_at=identity.signed_in_at, idle=_is_idle(account))

    async def _caller_of_key(
        self, services: Services, secret: str, account_age: timedelta, key_age: timedelta
    ) -> Caller:
        if mistake := credentials.mistake(secret):
            raise unauthenticated(mistake)
        key = await self._key(services, secret, key_age)
        refusal = key.refusal(services.clock()) if key is not None else "API key not found."
        account = None
        if key is not None and refusal is None:
            account = await self._account(services, key.account, account_age)
        if key is None or account is None:
            raise unauthenticated(refusal or "There is no account of this API key any more.")
        accounts.check_open(account)
        if account.verified_at is None or key.created_at < account.verified_at:
            raise unauthenticated("The API key was created before the account's email address was verified.")
        read_only = key.scope == "read"
        return Caller(
            account.id,
            account.tenant,
            "user",
            account.plan,
            account.email,
            key.key_id,
            read_only,
            idle=_is_idle(account),
        )

    async def _key(self, services: Services, secret: str, age: timedelta) -> ApiKey | None:
        now, id_ = services.clock(), api_keys.document_id(secret)
        known = self._keys.get(id_, now)
        if known is not None and now - known.at < age:
            return known.document
        key = await services.firestore.get(ApiKey, id_)
        if key is None:
            return None
        if key.refusal(now) is None:
            await api_keys.note_use(services, key)
        self._keys.put(id_, _Read(key, now), now + ACCOUNT_KEPT_FOR)
        return key

    async def _signed_in(self, services: Services, identity: Identity, age: timedelta) -> Account:
        """Return the account of an ID token, created for a new user; its email address follows the token."""
        account = await self._account(services, identity.account_id, age)
        if account is None or not verification.agrees(account, identity):
            account = await _follow(services, identity)
            self._keep(services, account)
        accounts.check_open(account)
        if refusal := verification.refusal(account, identity):
            raise unauthenticated(refusal)
        return account

    async def _account(self, services: Services, id_: str, age: timedelta) -> Account | None:
        """Return the account, read less than `age` ago, or None."""
        now = services.clock()
        known = self._known.get(id_, now)
        if known is not None and now - known.at < age:
            return known.document
        account = await services.firestore.get(Account, id_)
        if account is not None:
            self._keep(services, account)
        return account

    def _keep(self, services: Services, account: Account) -> None:
        now = services.clock()
        self._known.put(account.id, _Read(account, now), now + ACCOUNT_KEPT_FOR)


async def _follow(services: Services, identity: Identity) -> Account:
    """Update or create the account from the token; grants sign-up credits with the first verified email address.

    Raises ApiError UNAUTHENTICATED, ACCOUNT_DISABLED or ACCOUNT_CLOSED; Unavailable.
    """
    proven = granted = False

    async def followed(account: Account | None) -> Batch[Account] | None:
        nonlocal proven, granted
        if account is not None:
            accounts.check_open(account)
        if refusal := verification.refusal(account, identity):
            raise unauthenticated(refusal)
        if account is not None and verification.agrees(account, identity):
            # A concurrent request was faster.
            return None
        now = services.clock()
        after = verification.follow(account or _new_account(services, identity, now), identity, now)
        batch = await _batch(services, after, identity, now)
        proven, granted = after.proven, bool(batch.others)
        return batch

    edited = await commits.edit(services, Account, identity.account_id, followed)
    if edited.written and proven:
        log.info("email_verified", account=identity.account_id, granted=granted)
    return edited.document


def _new_account(services: Services, identity: Identity, now: datetime) -> Account:
    return Account(
        id=identity.account_id, issuer=identity.issuer, sub=identity.sub, tenant=identity.tenant, created_at=now
    )


async def _batch(
    services: Services, followed: verification.Followed, identity: Identity, now: datetime
) -> Batch[Account]:
    """What to commit: the account, and with its first verified address the sign-up credits and their marker."""
    account = followed.account
    marker = verification.marker(identity, now) if followed.proven else None
    if marker is None or await services.firestore.get(SignupMarker, marker.id) is not None:
        return Batch(account)
    if await services.firestore.get(Transaction, ledger.signup_id(account.id)) is not None:
        return Batch(account)
    credits_ = (await services.live_settings.get()).signup_credits
    granted, *entries = ledger.sign_up(account, credits_, now)
    return Batch(granted, [*entries, marker]) if entries else Batch(account)


def _is_idle(account: Account) -> bool:
    return account.balance == 0 and not account.active_jobs
