"""The credit ledger: a balance changes only together with the entry that explains it. Pure.

balance == the sum of the account's entries, never below zero; `sequence` numbers them from 1 without gaps.
"""

from __future__ import annotations

from datetime import datetime

from shared.core.documents import Account, Document, LiveSettings, Transaction, TransactionType


def post(
    account: Account,
    id_: str,
    type_: TransactionType,
    amount: int,
    description: str,
    now: datetime,
    job: str | None = None,
) -> tuple[Account, Transaction]:
    """The only place where a balance changes: the account and its entry, to be committed together."""
    balance = account.balance + amount
    assert balance >= 0, f"{id_} would leave {account.id} with {balance} credits"
    sequence = account.sequence + 1
    entry = Transaction(
        id=id_,
        account=account.id,
        tenant=account.tenant,
        type=type_,
        amount=amount,
        balance_after=balance,
        sequence=sequence,
        job=job,
        description=description,
        created_at=now,
    )
    return account.changed(balance=balance, sequence=sequence), entry


def open_account(
    account: Account, email_verified: bool, config: LiveSettings, now: datetime
) -> tuple[Account, *tuple[Document, ...]]:
    """A new account, with the sign-up credits if its email address is verified. All documents are new."""
    if not email_verified:
        return (account,)
    proven = account.changed(email_verified=True, verified_at=account.verified_at or now)
    return sign_up(proven, config.signup_credits, now)


def sign_up(account: Account, amount: int, now: datetime) -> tuple[Account, *tuple[Document, ...]]:
    """Add the sign-up credits; the entry's id ensures that an account gets them only once."""
    if amount == 0:
        return (account,)
    return post(account, signup_id(account.id), "signup", amount, "Credits for signing up", now)


def signup_id(account: str) -> str:
    """The id of the ledger entry for the account's sign-up credits."""
    return f"{account}-signup"


def grant(account: Account, id_: str, amount: int, description: str, now: datetime) -> tuple[Account, Transaction]:
    """Add credits granted by an administrator; `id_` comes from the request's key, so they are added only once."""
    return post(account, id_, "grant", amount, description, now)
