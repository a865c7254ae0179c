"""Who comes in: what every request passes between its arrival and its handler.

In this order: who is it (401, or 403 when disabled), how often (429), and may he use this operation at all (403). What
belongs to whom is the handlers' to say, and another's is always 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request

from shared.auth import Accounts, Caller
from shared.errors import ApiError
from shared.plans import plan_of
from shared.rate_limits import TokenBuckets
from shared.routes import Route

if TYPE_CHECKING:
    from shared.services import Services

# In a request's scope: headers that its answer will have, whoever writes it.
ANSWER_HEADERS = "rushes.answer_headers"
READING = ("GET", "HEAD")


class Door:
    """The callers that this process knows, and how often they came."""

    def __init__(self) -> None:
        self.accounts = Accounts()
        self._buckets = TokenBuckets()

    async def admit(self, services: Services, route: Route, request: Request) -> Caller | None:
        """The caller of a user's or administrator's operation; None for a machine's. Raises ApiError."""
        if route.caller not in ("user", "admin"):
            return None
        caller = await self.accounts.caller(services, request.headers.get("authorization"))
        terms = plan_of(await services.config.get(), caller.plan)
        allowance = self._buckets.take(caller.account, terms.requests_per_minute, services.clock())
        request.scope[ANSWER_HEADERS].update(allowance.headers)
        allowance.check()
        authorize(route, caller, request.method)
        return caller


def authorize(route: Route, caller: Caller, method: str) -> None:
    """Raises ApiError FORBIDDEN when the caller's role or key does not reach so far."""
    if caller.key is not None and not route.keys:
        raise ApiError("FORBIDDEN", "An API key cannot do this: sign in.")
    if caller.read_only and method not in READING:
        raise ApiError("FORBIDDEN", "This API key may only read.")
    if route.caller == "admin" and caller.role != "admin":
        keyed = " An API key never carries an administrator's role." if caller.key is not None else ""
        raise ApiError("FORBIDDEN", f"Only an administrator may do this.{keyed}")
