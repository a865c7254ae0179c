"""The row of a route table: one operation, and who may call it.

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
# Who signs in.
PEOPLE: tuple[Caller, ...] = ("user", "admin", "operator")
FUNCTIONS: tuple[Function, ...] = ("submit", "poll", "deliver", "stream", "history", "cleanup")


@dataclass(frozen=True)
class Route:
    """One operation.

    `caller` is who may call: a signed-in user, an administrator of the user's tenant, an operator of the installation,
    a machine whose identity Cloud Run checks before the request arrives ("queue", "scheduler", "bucket"), or a provider
    that signs its body ("provider"). `form`: whether the body may be multipart/form-data instead of JSON. `keys`:
    whether a user may call with an API key; an administrator never may. `reads_account`: whether the caller's account
    and key are read from the database for this request, so that a role, an account or a key that was taken back a
    moment ago opens nothing; left out, all that writes does, and all that needs a role. `recent_sign_in`: whether the
    user must have signed in within the last minutes. `errors` are the codes of the catalog that this operation may
    answer besides those that every operation of its kind may. `limits` are those of its body.
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
        """Whether a body is read: the model's, or what a provider has signed."""
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
    """The path as Starlette matches it: an Idempotency-Key is all the rest, slashes too; an id is one segment."""
    return path.replace("{key}", "{key:path}")


def of(function: Function, *tables: Sequence[Route]) -> tuple[Route, ...]:
    """The rows of the tables that the function serves, in their order."""
    return tuple(route for table in tables for route in table if route.function == function)
