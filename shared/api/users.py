"""The bodies of requests and responses about a tenant's users."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from shared.api.bodies import Body, Listed, Page, PageQuery, UnixSeconds
from shared.api.tenants import MAX_GRANT
from shared.core.documents import ONE_LINE, PLAN_NAME, Role

USER_ID = r"^[A-Za-z0-9_-]{22}$"
# The roles that the API can assign; operators are set only in the Firestore console.
GivenRole = TypeAliasType("GivenRole", Literal["user", "admin"])


class ListUsersQuery(PageQuery):
    """GET /v1/admin/users."""

    after: Annotated[str | None, Field(pattern=USER_ID, description="The `last_id` of the previous page.")] = None
    email: Annotated[str | None, Field(max_length=320, description="Exact email address.")] = None


class UpdateUser(Body):
    """PATCH /v1/admin/users/{id}: omitted fields are unchanged."""

    disabled: Annotated[bool | None, Field(description="Disabled users are denied everywhere within a minute.")] = None
    role: GivenRole | None = None
    plan: Annotated[str | None, Field(pattern=PLAN_NAME, description="`default`, or one of the live settings.")] = None


class GrantCredits(Body):
    """POST /v1/admin/users/{id}/grants."""

    amount: Annotated[int, Field(ge=1, le=MAX_GRANT)]
    description: Annotated[
        str, Field(min_length=1, max_length=200, pattern=ONE_LINE, description="Shown in the user's ledger.")
    ]


class UserView(Listed):
    """An account as its tenant's administrators see it."""

    id: str
    object: Literal["user"] = "user"
    email: str | None
    email_verified: Annotated[bool, Field(description="Whether the user has proven ownership of the address.")]
    display_name: str | None
    locale: str | None
    tenant: str
    role: Role
    plan: str
    disabled: bool
    closed_at: Annotated[UnixSeconds | None, Field(description="When the user deleted the account.")]
    balance: int
    active_jobs: list[str]
    created_at: UnixSeconds


class UserPage(Page[UserView]):
    pass
