"""What a token proves about an email address, and what the first proof of an address earns and voids. Pure.

Identity Platform lets anyone sign up with any address; only `email_verified` says that the mailbox is theirs. So:

- An account's address follows its newest token. A token that says something else and is no newer is refused: the client
  refreshes it and tries again.
- Credits for signing up are granted with the first token that says verified, once per account and, by a SignupMarker,
  once per address of a tenant.
- Whoever signed up with an address that isn't theirs loses access once the owner proves it. If a provider such as
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
# Google delivers these alike, whatever dots are in the name.
GMAIL = frozenset({"gmail.com", "googlemail.com"})


class SignupMarker(Document):
    """An address of a tenant has had its credits for signing up.

    It outlives the account that got them, so that deleting an account and signing up again grants nothing. It names
    neither the account nor the address: the id is a hash, by which an address can be recognized and not read.
    """

    collection: ClassVar[str] = "signup_markers"

    tenant: str
    created_at: datetime


def normalized(email: str) -> str:
    """The mailbox behind an address: case, a +tag, and for Gmail dots, don't make another one."""
    name, _, domain = unicodedata.normalize("NFKC", email).strip().casefold().rpartition("@")
    name = name.partition("+")[0] or name
    if domain in GMAIL:
        return f"{name.replace('.', '')}@gmail.com"
    return f"{name}@{domain}"


def marker_id(tenant: str, email: str) -> str:
    """The id of the address's SignupMarker."""
    return ids.derived("signup_", tenant, normalized(email))


def agrees(account: Account, identity: Identity) -> bool:
    """Whether the account's address, and whether it is verified, are what the token says."""
    return (account.email, account.email_verified) == (identity.email, identity.email_verified)


def refusal(account: Account | None, identity: Identity) -> str | None:
    """Why the token doesn't let its bearer in, whatever the account may do; None if it does."""
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
    """Whether the sign-in is older than the one that voided all earlier ones; by password, within its second too."""
    if valid_since is None or identity.signed_in_at > valid_since:
        return False
    return identity.signed_in_at < valid_since or identity.provider == PASSWORD


def _newer(account: Account, identity: Identity) -> bool:
    """Whether the token knows more of the address than what is stored. Tokens count whole seconds."""
    return account.email_as_of is None or identity.issued_at > account.email_as_of


@dataclass(frozen=True)
class Followed:
    """The account after a token was followed; `proven` is whether this is the first proof of an address."""

    account: Account
    proven: bool


def follow(account: Account, identity: Identity, now: datetime) -> Followed:
    """Take over what the token says about the address; the token is one that `refusal` has nothing against."""
    proven = identity.email_verified and account.verified_at is None
    account = account.changed(
        email=identity.email, email_verified=identity.email_verified, email_as_of=identity.issued_at
    )
    if proven:
        vouched = identity.provider not in (None, PASSWORD)
        account = account.changed(verified_at=now, valid_since=identity.signed_in_at if vouched else None)
    return Followed(account, proven)


def marker(identity: Identity, now: datetime) -> SignupMarker | None:
    """Marks the token's address as granted; None without an address."""
    if not identity.email:
        return None
    return SignupMarker(id=marker_id(identity.tenant, identity.email), tenant=identity.tenant, created_at=now)
