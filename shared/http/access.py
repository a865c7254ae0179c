"""Access checks: what every request passes before it reaches its handler.

In this order: who is calling (401, or 403 if the account is disabled), how often (429), may they use this operation
(403), and did they sign in recently enough for it (401). Handlers check who owns what; another account's items are
always 404.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from starlette.requests import Request

from shared.accounts.auth import ACCOUNT_KEPT_FOR, Accounts
from shared.api.routing import PEOPLE, Route
from shared.core.errors import ApiError
from shared.core.plans import plan_of
from shared.http.rate_limits import TokenBuckets
from shared.platform import audit
from shared.platform.identity import Caller
from shared.platform.ports import Services

# Key in a request's scope: headers to add to its response, whether the handler or the error boundary sends it.
ANSWER_HEADERS = "rushes.answer_headers"
READING = ("GET", "HEAD")
# Maximum age of the sign-in for operations that can't be undone: enough time to fill in a form.
RECENT_SIGN_IN = timedelta(minutes=5)
_NOW = timedelta(0)


class Access:
    """The accounts that this process has cached, and their rate limits."""

    def __init__(self) -> None:
        self.accounts = Accounts()
        self._buckets = TokenBuckets()

    async def check(self, services: Services, route: Route, request: Request) -> Caller | None:
        """Return the caller of a user's, administrator's or operator's operation; None for a machine's.

        Raises ApiError.
        """
        if route.caller not in PEOPLE:
            return None
        authorization = request.headers.get("authorization")
        caller = await self.accounts.caller(services, authorization)
        terms = plan_of(await services.live_settings.get(), caller.plan)
        allowance = self._buckets.take(caller.account, terms.requests_per_minute, services.clock())
        request.scope[ANSWER_HEADERS].update(allowance.headers)
        allowance.check()
        if route.fresh_account or route.writes:
            # After the rate limit, so that rejected requests cost no read.
            account_age = _NOW if route.fresh_account else ACCOUNT_KEPT_FOR
            caller = await self.accounts.caller(services, authorization, account_age=account_age, key_age=_NOW)
        try:
            authorize(route, caller, request.method)
        except ApiError as error:
            note_denial(route, caller, error)
            raise
        check_sign_in(route, caller, services.clock())
        return caller


def authorize(route: Route, caller: Caller, method: str) -> None:
    """Raises ApiError FORBIDDEN if the caller's role or API key doesn't allow the operation."""
    if caller.key is not None and not route.keys:
        raise ApiError("FORBIDDEN", "API keys can't do this. Sign in.")
    if caller.read_only and method not in READING:
        raise ApiError("FORBIDDEN", "This API key is read-only.")
    keyed = " API keys never have a role." if caller.key is not None else ""
    if route.caller == "operator" and caller.role != "operator":
        raise ApiError("FORBIDDEN", f"Only operators can do this.{keyed}")
    if route.caller == "admin" and not caller.administers:
        raise ApiError("FORBIDDEN", f"Only administrators can do this.{keyed}")


def check_sign_in(route: Route, caller: Caller, now: datetime) -> None:
    """Raises ApiError REAUTHENTICATION_REQUIRED, with the challenge from RFC 9470."""
    if not route.recent_sign_in or (caller.signed_in_at is not None and now - caller.signed_in_at <= RECENT_SIGN_IN):
        return
    max_age_s = int(RECENT_SIGN_IN.total_seconds())
    challenge = f'Bearer error="insufficient_user_authentication", max_age="{max_age_s}"'
    raise ApiError(
        "REAUTHENTICATION_REQUIRED", details={"max_age_s": max_age_s}, headers={"WWW-Authenticate": challenge}
    )


def note_denial(route: Route, caller: Caller, error: ApiError) -> None:
    """Record in the audit log that a signed-in caller was denied an administrator's or operator's operation."""
    if error.code == "FORBIDDEN" and route.caller in ("admin", "operator"):
        audit.record("admin_action_denied", caller, route=route.name, reason=error.message)
