"""The bodies of requests and responses about tenants' budgets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from shared.api.bodies import Body, Response, UnixSeconds
from shared.core.documents import ONE_LINE

MAX_GRANT = 1_000_000_000


class GrantToTenant(Body):
    """POST /v1/operator/tenants/{tenant}/grants."""

    amount: Annotated[
        int, Field(ge=-MAX_GRANT, le=MAX_GRANT, description="Credits; a negative amount takes back what is left.")
    ]
    description: Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE, description="For the records.")]

    @field_validator("amount")
    @classmethod
    def _changes_something(cls, amount: int) -> int:
        if amount == 0:
            raise ValueError("amount must not be 0")
        return amount


class TenantBudgetView(Response):
    """In credits. `left` is what the tenant's administrators can still grant."""

    object: Literal["tenant_budget"] = "tenant_budget"
    tenant: str
    granted: int
    given: int
    left: int


class TenantGrantView(Response):
    """One grant to a tenant; `granted_after` is the sum of all its grants at that time."""

    id: str
    object: Literal["tenant_grant"] = "tenant_grant"
    tenant: str
    amount: int
    granted_after: int
    description: str
    created_at: UnixSeconds
