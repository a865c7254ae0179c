"""What a token proves about an email address, and what the first verified token grants and invalidates. Pure.

Identity Platform lets anyone sign up with any address; only `email_verified` says that the mailbox is theirs. So:

- An account's address follows its newest token. A token with another address that isn't newer is rejected: the client
  refreshes it and retries.
- Sign-up credits are granted with the first token whose address is verified, once per account and, through a
  SignupMarker, once per address and tenant.
- Anyone who signed up with an address that isn't theirs loses access once its owner verifies it. If a provider such as
  Google vouches for the address, sign-ins that began earlier end. If it does so and the first verified token comes from
  a password, that password may be a stranger's: it waits until the owner has signed in with the provider.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from shared.core.documents import Account, Document
from shared.platform import ids
from shared.platform.identity import Identity

PASSWORD = "password"  # noqa: S105 - a provider's name
# Both domains deliver to the same mailboxes and ignore dots in the name.
GMAIL = frozenset({"gmail.com", "googlemail.com"})


class SignupMarker(Document):
    """Marks that sign-up credits were granted for an address in a tenant.

    It is kept when the account is deleted, so that deleting an account and signing up again grants nothing. It contains
    neither the account nor the address: the id is a hash that can only be compared.
    """

    collection: ClassVar[str] = "signup_markers"

    tenant: str
    created_at: datetime


def normalized(email: str) -> str:
    """The mailbox behind an address: ignores case, a +tag and, for Gmail, dots."""
    name, _, domain = unicodedata.normalize("NFKC", email).strip().casefold().rpartition("@")
    name = name.partition("+")[0] or name
    if domain in GMAIL:
        return f"{name.replace('.', '')}@gmail.com"
    return f"{name}@{domain}"


def marker_id(tenant: str, email: str) -> str:
    """The id of the address's SignupMarker."""
    return ids.derived("signup_", tenant, normalized(email))


def agrees(account: Account, identity: Identity) -> bool:
    """Whether the token has the account's address and the same verified state."""
    return (account.email, account.email_verified) == (identity.email, identity.email_verified)


def refusal(account: Account | None, identity: Identity) -> str | None:
    """Why the token isn't accepted for the account; None if it is."""
    if account is None or account.verified_at is None:
        if identity.email_verified and identity.provider == PASSWORD and identity.federated:
            return "Another provider confirmed your email address. Sign in with that provider first."
        return None
    if _before(account.valid_since, identity):
        return "Your email address was confirmed after this sign-in. Sign in again."
    if not agrees(account, identity) and not _newer(account, identity):
        return "Your email address has changed or was confirmed since this token was issued. Refresh the token."
    return None


def _before(valid_since: datetime | None, identity: Identity) -> bool:
    """Whether the sign-in is no longer valid: older than `valid_since`, or with a password in the same second."""
    if valid_since is None or identity.signed_in_at > valid_since:
        return False
    return identity.signed_in_at < valid_since or identity.provider == PASSWORD


def _newer(account: Account, identity: Identity) -> bool:
    """Whether the token is newer than the stored address. Tokens have whole seconds."""
    return account.email_as_of is None or identity.issued_at > account.email_as_of


@dataclass(frozen=True)
class Followed:
    """The account after taking over a token's address; `proven`: whether it is the account's first verified address."""

    account: Account
    proven: bool


def follow(account: Account, identity: Identity, now: datetime) -> Followed:
    """Take over the token's address and verified state. The token must have passed `refusal`."""
    proven = identity.email_verified and account.verified_at is None
    account = account.changed(
        email=identity.email, email_verified=identity.email_verified, email_as_of=identity.issued_at
    )
    if proven:
        vouched = identity.provider not in (None, PASSWORD)
        account = account.changed(verified_at=now, valid_since=identity.signed_in_at if vouched else None)
    return Followed(account, proven)


def marker(identity: Identity, now: datetime) -> SignupMarker | None:
    """The SignupMarker for the token's address; None if it has no address."""
    if not identity.email:
        return None
    return SignupMarker(id=marker_id(identity.tenant, identity.email), tenant=identity.tenant, created_at=now)
