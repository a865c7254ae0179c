"""The bodies of requests and responses about the caller's account and ledger."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.api.bodies import Body, Listed, Page, PageQuery, Response, UnixSeconds
from shared.core.documents import ONE_LINE, Role, TransactionType

TRANSACTION_ID = r"^(grant-[A-Za-z0-9_-]+|[A-Za-z0-9_-]+-(charge|refund|signup))$"


class ListTransactionsQuery(PageQuery):
    """GET /v1/account/transactions."""

    after: Annotated[
        str | None, Field(max_length=128, pattern=TRANSACTION_ID, description="The `last_id` of the previous page.")
    ] = None


class AccountView(Response):
    id: str
    object: Literal["account"] = "account"
    email: str | None
    email_verified: Annotated[bool, Field(description="Required for sign-up credits, API keys and webhooks.")]
    display_name: str | None
    locale: str | None
    tenant: str
    role: Role
    plan: str
    balance: int
    active_jobs: list[str]
    active_jobs_limit: int
    created_at: UnixSeconds


class TransactionView(Listed):
    id: str
    object: Literal["transaction"] = "transaction"
    type: TransactionType
    amount: int
    balance_after: int
    sequence: int
    video: str | None
    description: str
    created_at: UnixSeconds


class TransactionPage(Page[TransactionView]):
    pass


LOCALE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$"


class UpdateAccount(Body):
    """PATCH /v1/account: omitted fields are unchanged, null removes a value."""

    null_removes: ClassVar[frozenset[str]] = frozenset({"display_name", "locale"})

    display_name: Annotated[str | None, Field(min_length=1, max_length=100, pattern=ONE_LINE)] = None
    locale: Annotated[str | None, Field(pattern=LOCALE, max_length=35, description="A BCP 47 tag, like de-AT.")] = None
