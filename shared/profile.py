"""What users may change of their own account."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from shared import accounts
from shared.errors import ApiError
from shared.identity import Caller
from shared.models import ONE_LINE, Account, Body
from shared.ports import Services

LOCALE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$"


class UpdateAccount(Body):
    """PATCH /v1/account: what is left out stays, null removes."""

    null_removes: ClassVar[frozenset[str]] = frozenset({"display_name", "locale"})

    display_name: Annotated[str | None, Field(min_length=1, max_length=100, pattern=ONE_LINE)] = None
    locale: Annotated[str | None, Field(pattern=LOCALE, max_length=35, description="A BCP 47 tag, like de-AT.")] = None


async def update(services: Services, caller: Caller, body: UpdateAccount) -> Account:
    """The account with what the body sets. Raises ApiError UNAUTHENTICATED when it is gone."""
    changes = body.model_dump(exclude_unset=True)
    try:
        return await accounts.edit(services, caller.account, lambda account: _changed(account, changes))
    except KeyError:
        raise ApiError("UNAUTHENTICATED", "This user's account no longer exists.") from None


def _changed(account: Account, changes: dict[str, Any]) -> Account:
    if account.closed_at is not None:
        raise ApiError("ACCOUNT_CLOSED")
    return account.changed(**changes)
