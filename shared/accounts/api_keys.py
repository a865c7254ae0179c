"""API keys: credentials for programs, which authenticate as the account that created them.

A key is shown once, when it is created. Only its SHA-256 hash is stored, as the document's id. (A key has 256 random
bits, so a slow hash would add nothing.)
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import ClassVar

from shared.api.api_keys import ApiKeyView, MadeApiKey, NewApiKey, Scope
from shared.core.credentials import PREFIX
from shared.core.documents import Document
from shared.core.errors import ApiError, Conflict, Unavailable
from shared.platform import accounts, audit, commits, log
from shared.platform.commits import Batch
from shared.platform.identity import Caller
from shared.platform.ports import Services

SECRET_BYTES = 32
SHOWN_CHARS = len(PREFIX) + 8
MAX_KEYS = 20
USE_NOTED_EVERY = timedelta(days=1)


class ApiKey(Document):
    """One key of an account; its id is the hash of the key. `prefix` is the part that may be shown."""

    collection: ClassVar[str] = "api_keys"

    key_id: str
    account: str
    tenant: str
    name: str
    scope: Scope
    prefix: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def refusal(self, now: datetime) -> str | None:
        """Why the key isn't valid; None if it is."""
        if self.revoked_at is not None:
            return "The API key was revoked."
        if self.expires_at is not None and self.expires_at <= now:
            return "The API key has expired."
        return None


def document_id(key: str) -> str:
    """The key's hash, which is its document's id."""
    return hashlib.sha256(key.encode()).hexdigest()


async def make(services: Services, caller: Caller, body: NewApiKey) -> MadeApiKey:
    """Create an API key for the caller. Raises ApiError EMAIL_NOT_VERIFIED, or LIMIT_REACHED at 20 keys."""
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    now = services.clock()
    key = ApiKey(
        id=document_id(secret),
        key_id=f"key_{services.ids()}",
        account=caller.account,
        tenant=caller.tenant,
        name=body.name,
        scope=body.scope,
        prefix=secret[:SHOWN_CHARS],
        created_at=now,
        expires_at=now + timedelta(days=body.expires_in_days) if body.expires_in_days else None,
    )
    key = await _commit_new(services, caller, key)
    audit.record("api_key_made", caller, made=key.key_id, scope=key.scope, expires_at=key.expires_at)
    return MadeApiKey(**view(key).model_dump(), key=secret)


async def _commit_new(services: Services, caller: Caller, key: ApiKey) -> ApiKey:

    async def made() -> Batch[ApiKey]:
        account = await accounts.acting(services, caller)
        accounts.check_verified(account)
        if len(await own(services, key.account)) >= MAX_KEYS:
            raise ApiError("LIMIT_REACHED", f"An account can have at most {MAX_KEYS} keys.", {"limit": MAX_KEYS})
        # Never before verified_at, even if another process's clock is ahead: keys from before it aren't accepted.
        created_at = max(key.created_at, account.verified_at or key.created_at)
        # Commit with the account, so that two concurrent requests can't both create the twentieth key.
        return Batch(key.changed(created_at=created_at), [account])

    async with commits.account_lock(key.account):
        return await commits.create(services, ApiKey, key.id, made)


async def own(services: Services, account: str) -> list[ApiKey]:
    """The account's keys that are not revoked, newest first, including expired ones."""
    return await services.firestore.newest(ApiKey, {"account": account, "revoked_at": None}, None, MAX_KEYS)


async def revoke(services: Services, caller: Caller, key_id: str) -> None:
    """Revoke a key: at once in this process, within a minute in others. Raises ApiError NOT_FOUND."""
    known = next((key for key in await own(services, caller.account) if key.key_id == key_id), None)
    if known is None:
        raise ApiError("NOT_FOUND", "API key not found.", {"api_key": key_id[:64]})

    async def revoked(found: ApiKey | None) -> Batch[ApiKey] | None:
        if found is None or found.revoked_at is not None:
            return None
        return Batch(found.changed(revoked_at=services.clock()), [await accounts.acting(services, caller)])

    if (await commits.edit(services, ApiKey, known.id, revoked, known)).written:
        audit.record("api_key_revoked", caller, revoked=key_id)


async def note_use(services: Services, key: ApiKey) -> None:
    """Record that the key is in use, with at most one write a day. A failed write doesn't fail the request."""
    now = services.clock()
    if key.last_used_at is not None and now - key.last_used_at < USE_NOTED_EVERY:
        return
    try:
        await services.firestore.commit([key.changed(last_used_at=now)])
    except (Conflict, Unavailable) as error:
        log.info("use_of_key_not_noted", api_key=key.key_id, error=str(error))


def view(key: ApiKey) -> ApiKeyView:
    return ApiKeyView(
        id=key.key_id,
        name=key.name,
        scope=key.scope,
        prefix=key.prefix,
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
    )
