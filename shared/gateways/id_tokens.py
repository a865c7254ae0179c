"""Verifies users' ID tokens: signature, issuer, audience and expiry.

A separate module because its library is slow to import, and functions that only machines call don't need it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from shared.core import credentials, storable
from shared.core.documents import TENANT_NAME
from shared.core.errors import Unavailable
from shared.platform.caching import Cache
from shared.platform.identity import DEFAULT_TENANT, Identity, unauthenticated
from shared.platform.settings import Settings

KEYS_KEPT_FOR = timedelta(hours=1)
# An unknown key id may mean that keys were rotated. The limit keeps forged tokens from making us fetch keys each time.
KEYS_ASKED_EVERY = timedelta(seconds=30)
KEYS_TIMEOUT_S = 5.0
LEEWAY_S = 5
# RFC 5321: 64 for the local part, 255 for the domain.
LONGEST_EMAIL_CHARS = 320
# Verifying a token is the slowest part of a status request, and callers usually call again.
TOKEN_KEPT_FOR = timedelta(seconds=60)
TOKENS_KEPT = 10_000


class JwksVerifier:
    """Verifies RS256 tokens of one OpenID Connect issuer, as Identity Platform's documentation prescribes."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked_at: datetime | None = None
        self._lock = asyncio.Lock()
        self._verified: Cache[bytes, Identity] = Cache(TOKENS_KEPT)

    async def verify(self, token: str) -> Identity:
        digest = hashlib.sha256(token.encode()).digest()
        now = self._clock()
        known = self._verified.get(digest, now)
        if known is not None:
            return known
        if mistake := credentials.mistake(token):
            raise unauthenticated(mistake)
        claims = await self._claims(token)
        identity = self._identity(claims)
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        self._verified.put(digest, identity, min(now + TOKEN_KEPT_FOR, expires_at))
        return identity

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = await self._key(key_id) if isinstance(key_id, str) else None
            if key is None:
                raise unauthenticated("The token isn't signed with one of the issuer's keys.")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                issuer=self._settings.issuer,
                audience=self._settings.audience,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "sub", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise unauthenticated("The token has expired.") from None
        except jwt.PyJWTError as error:
            raise unauthenticated(f"Invalid token: {error}.") from None
        return claims

    def _identity(self, claims: dict[str, Any]) -> Identity:
        sub = claims["sub"]
        # auth_time is optional for issuers other than Identity Platform; a token is issued no earlier than the sign-in.
        auth_time = claims.get("auth_time", int(claims["iat"]))
        if not isinstance(sub, str) or not 1 <= len(sub) <= 128 or storable.text(sub) != sub:
            raise unauthenticated("The token has no user.")
        if (
            isinstance(auth_time, bool)
            or not isinstance(auth_time, int | float)
            or not 0 <= auth_time <= self._clock().timestamp() + LEEWAY_S
        ):
            raise unauthenticated("The token's sign-in time is in the future.")
        firebase = claims.get("firebase")
        firebase = firebase if isinstance(firebase, dict) else {}
        tenant, provider = firebase.get("tenant") or DEFAULT_TENANT, firebase.get("sign_in_provider")
        # The tenant is part of object names.
        if not isinstance(tenant, str) or not re.fullmatch(TENANT_NAME, tenant):
            raise unauthenticated("The token's tenant name is invalid.")
        identities = firebase.get("identities")
        email = _email(claims.get("email"))
        return Identity(
            issuer=claims["iss"],
            sub=sub,
            tenant=tenant,
            email=email,
            email_verified=claims.get("email_verified") is True and email is not None,
            provider=provider if isinstance(provider, str) else None,
            federated=isinstance(identities, dict) and bool(identities.keys() - {"email", "phone"}),
            signed_in_at=datetime.fromtimestamp(auth_time, UTC),
            issued_at=datetime.fromtimestamp(int(claims["iat"]), UTC),
        )

    async def _key(self, key_id: str) -> jwt.PyJWK | None:
        if self._fresh(key_id):
            return self._keys.get(key_id)
        async with self._lock:
            if not self._fresh(key_id):
                await self._refresh(key_id)
            return self._keys.get(key_id)

    def _fresh(self, key_id: str) -> bool:
        """Whether the cached state of this key is recent enough to use."""
        if self._asked_at is None or not self._keys:
            return False
        age = self._clock() - self._asked_at
        return age < (KEYS_KEPT_FOR if key_id in self._keys else KEYS_ASKED_EVERY)

    async def _refresh(self, key_id: str) -> None:
        try:
            self._keys = await asyncio.to_thread(self._fetch)
            # Drop tokens that were verified with a key the issuer has withdrawn.
            self._verified.clear()
        except (OSError, ValueError, jwt.PyJWTError) as error:
            # During an outage of the issuer, keep using the known keys.
            if key_id not in self._keys:
                raise Unavailable(f"the issuer's keys: {error}") from error
        finally:
            self._asked_at = self._clock()

    def _fetch(self) -> dict[str, jwt.PyJWK]:
        # The URL comes from the operator's settings, never from a caller.
        with urllib.request.urlopen(self._settings.jwks_url, timeout=KEYS_TIMEOUT_S) as answer:  # noqa: S310
            keys = jwt.PyJWKSet.from_dict(json.load(answer)).keys
        return {key.key_id: key for key in keys if key.key_id}


def _email(claimed: Any) -> str | None:
    """Return the email address, or None if the claim isn't a valid one."""
    if not isinstance(claimed, str) or not 0 < len(claimed) <= LONGEST_EMAIL_CHARS or storable.text(claimed) != claimed:
        return None
    return claimed
