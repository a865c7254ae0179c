"""A row of a route table: one operation, and who may call it.

Each package lists its own rows in its routes.py; shared/http/routes.py collects them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from shared.api import body_limits
from shared.api.body_limits import BodyLimits

Function = Literal["submit", "poll", "deliver", "stream", "history", "cleanup"]
Caller = Literal["user", "admin", "operator", "queue", "scheduler", "provider", "bucket"]
# Callers who sign in.
PEOPLE: tuple[Caller, ...] = ("user", "admin", "operator")
FUNCTIONS: tuple[Function, ...] = ("submit", "poll", "deliver", "stream", "history", "cleanup")


@dataclass(frozen=True)
class Route:
    """One operation.

    `caller` is who may call: a signed-in user, an administrator of the user's tenant, an operator of the installation,
    a machine whose identity Cloud Run checks before the request arrives ("queue", "scheduler", "bucket"), or a provider
    that signs its body ("provider"). `form`: the body may be multipart/form-data instead of JSON. `keys`: a user may
    call with an API key; an administrator never may. `reads_account`: the caller's account and key are read from the
    database for this request, so that a role, an account or a key that was just revoked gives no access; by default,
    for all operations that write or need a role. `recent_sign_in`: the user must have signed in within the last
    minutes. `errors` are codes of the catalog that this operation may return in addition to those of all operations of
    its kind. `limits` are those of its body.
    """

    name: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    function: Function
    summary: str
    caller: Caller = "user"
    keys: bool = True
    reads_account: bool | None = None
    recent_sign_in: bool = False
    body: type[BaseModel] | None = None
    form: bool = False
    query: type[BaseModel] | None = None
    response: type[BaseModel] | None = None
    status: int = 200
    errors: tuple[str, ...] = ()
    media_type: Literal["application/json", "text/event-stream"] = "application/json"
    limits: BodyLimits = body_limits.SMALL

    @property
    def has_body(self) -> bool:
        """Whether the operation reads a body: of its model, or signed by a provider."""
        return self.body is not None or self.caller == "provider"

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    @property
    def fresh_account(self) -> bool:
        """Whether the caller's account is read from the database for each request."""
        by_itself = self.writes or self.caller in ("admin", "operator")
        return by_itself if self.reads_account is None else self.reads_account


def pattern(path: str) -> str:
    """The path in Starlette's syntax: an Idempotency-Key matches the rest, including slashes; an id one segment."""
    return path.replace("{key}", "{key:path}")


def of(function: Function, *tables: Sequence[Route]) -> tuple[Route, ...]:
    """The rows of the tables that the function serves, in order."""
    return tuple(route for table in tables for route in table if route.function == function)
