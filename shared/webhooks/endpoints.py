"""Webhook endpoints of an account, and its signing secrets.

Signatures follow Standard Webhooks (symmetric, v1). Each endpoint has its own secret; messages to a job's own
`webhook_url` are signed with the account's secret. For a day after a rotation, both the new and the old secret sign.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from shared.api.webhooks import (
    ALL_EVENTS,
    EVERY_EVENT,
    NewWebhookEndpoint,
    UpdateWebhookEndpoint,
    WebhookEndpointView,
    WebhookEndpointWithSecret,
    WebhookEvent,
    WebhookSecretView,
)
from shared.core import url_policy
from shared.core.documents import Account, Document
from shared.core.errors import ApiError
from shared.platform import accounts, audit, commits, log
from shared.platform.commits import Batch, Edited
from shared.platform.identity import Caller
from shared.platform.ports import Services
from shared.webhooks import receivers, signing
from shared.webhooks.signing import Secret

MAX_ENDPOINTS = 10
PINGS_A_MINUTE = 5
# An endpoint that failed for this long, with at least one attempt an hour, won't recover by itself.
DISABLED_AFTER = timedelta(days=5)
ENDPOINT_ID = r"^whe_[A-Za-z0-9_-]{22}$"


class WebhookEndpoint(Document):
    """One URL that receives events of an account's jobs.

    `failing_since`, `pauses` and `paused_until` are set from the fifth consecutive failure until a success.
    `pinged_at`: the pings of the last minute.
    """

    collection: ClassVar[str] = "webhook_endpoints"

    tenant: str
    account: str
    url: str
    events: tuple[WebhookEvent, ...]
    description: str | None = None
    disabled: bool = False
    disabled_reason: str | None = None
    failing_since: datetime | None = None
    pauses: int = 0
    paused_until: datetime | None = None
    pinged_at: tuple[datetime, ...] = ()
    secrets: tuple[Secret, ...]
    created_at: datetime
    updated_at: datetime
    change_id: str = ""

    def subscribes_to(self, event: str) -> bool:
        return not self.disabled and (event in self.events or self.events == EVERY_EVENT)


class WebhookSecret(Document):
    """The secrets that sign messages to the `webhook_url` of an account's jobs; its id is the account's."""

    collection: ClassVar[str] = "webhook_secrets"

    tenant: str
    secrets: tuple[Secret, ...]
    created_at: datetime
    change_id: str = ""


# --- bodies ---


# --- endpoints ---


async def make(services: Services, caller: Caller, body: NewWebhookEndpoint) -> WebhookEndpoint:
    """Create an endpoint with a secret.

    Raises ApiError INVALID_REQUEST for its URL; EMAIL_NOT_VERIFIED; LIMIT_REACHED (10 an account).
    """
    check_url(services, "url", body.url)
    now = services.clock()
    endpoint = WebhookEndpoint(
        id=f"whe_{services.ids()}",
        tenant=caller.tenant,
        account=caller.account,
        url=body.url,
        events=_sorted(body.events),
        description=body.description,
        secrets=(signing.new_secret(),),
        created_at=now,
        updated_at=now,
        change_id=services.ids(),
    )

    async def listed(account: Account | None) -> Batch[Account] | None:
        account = _verified(services, caller, account)
        ids = account.webhook_endpoints
        if endpoint.id in ids:
            return None
        if len(ids) >= MAX_ENDPOINTS:
            message = f"An account can have at most {MAX_ENDPOINTS} webhook endpoints."
            raise ApiError("LIMIT_REACHED", message, {"limit": MAX_ENDPOINTS})
        return Batch(account.changed(webhook_endpoints=(*ids, endpoint.id)), [endpoint])

    await commits.edit(services, Account, caller.account, listed)
    audit.record("webhook_endpoint_created", caller, endpoint=endpoint.id)
    return endpoint


async def own(services: Services, caller: Caller) -> list[WebhookEndpoint]:
    """The caller's endpoints, newest first."""
    account = await services.firestore.get(Account, caller.account)
    return await of_account(services, account) if account is not None else []


async def of_account(services: Services, account: Account) -> list[WebhookEndpoint]:
    """The account's endpoints, newest first."""
    found = [await services.firestore.get(WebhookEndpoint, id_) for id_ in reversed(account.webhook_endpoints)]
    return [endpoint for endpoint in found if endpoint is not None]


async def get(services: Services, caller: Caller, endpoint_id: str) -> WebhookEndpoint:
    """The caller's endpoint. Raises ApiError NOT_FOUND, also for another account's."""
    found = None
    if re.fullmatch(ENDPOINT_ID, endpoint_id):
        found = await services.firestore.get(WebhookEndpoint, endpoint_id)
    if found is None or found.account != caller.account or found.tenant != caller.tenant:
        raise _no_such_endpoint(endpoint_id)
    return found


def _no_such_endpoint(endpoint_id: str) -> ApiError:
    return ApiError("NOT_FOUND", "Webhook endpoint not found.", {"webhook_endpoint": endpoint_id[:64]})


async def update(services: Services, caller: Caller, endpoint_id: str, body: UpdateWebhookEndpoint) -> WebhookEndpoint:
    """Update the caller's endpoint. Raises ApiError NOT_FOUND, or INVALID_REQUEST for its URL."""
    changes = body.model_dump(exclude_unset=True)
    if body.url is not None:
        check_url(services, "url", body.url)
    if "events" in changes:
        changes["events"] = _sorted(body.events)
    if "disabled" in changes:
        changes["disabled_reason"] = None
    if "url" in changes or "disabled" in changes:
        # Assume the change fixed the endpoint; the next message shows whether it did.
        changes |= _UNPAUSED
    edited = await _edit(services, caller, endpoint_id, lambda found: found.changed(**changes))
    if edited.written:
        # Only the names of the changed fields: URLs don't belong in a log.
        audit.record("webhook_endpoint_changed", caller, endpoint=endpoint_id, changes=sorted(changes))
    return edited.document


async def rotate(services: Services, caller: Caller, endpoint_id: str) -> WebhookEndpoint:
    """Rotate the endpoint's secret; the old one also signs for 24 h. Raises ApiError NOT_FOUND."""
    fresh = signing.new_secret()

    def rotated(found: WebhookEndpoint) -> WebhookEndpoint:
        return found.changed(secrets=signing.rotated(found.secrets, fresh, services.clock()))

    edited = await _edit(services, caller, endpoint_id, rotated)
    audit.record("webhook_endpoint_secret_rotated", caller, endpoint=endpoint_id)
    return edited.document


async def _edit(
    services: Services, caller: Caller, endpoint_id: str, change: Callable[[WebhookEndpoint], WebhookEndpoint]
) -> Edited[WebhookEndpoint]:
    """Apply `change` to the caller's endpoint and commit it with the caller's account. Raises ApiError NOT_FOUND."""
    known = await get(services, caller, endpoint_id)

    async def changed(found: WebhookEndpoint | None) -> Batch[WebhookEndpoint] | None:
        if found is None:
            raise _no_such_endpoint(endpoint_id)
        after = change(found)
        if after == found:
            return None
        return Batch(after.changed(updated_at=services.clock()), [await accounts.acting(services, caller)])

    return await commits.edit(services, WebhookEndpoint, endpoint_id, changed, known)


async def delete(services: Services, caller: Caller, endpoint_id: str) -> None:
    """Delete the endpoint with its URL and secrets. Raises ApiError NOT_FOUND."""
    await get(services, caller, endpoint_id)

    async def unlisted(account: Account | None) -> Batch[Account] | None:
        account = accounts.allowed(services, caller, account)
        endpoint = await services.firestore.get(WebhookEndpoint, endpoint_id)
        if endpoint is None:
            return None
        left = tuple(id_ for id_ in account.webhook_endpoints if id_ != endpoint_id)
        return Batch(account.changed(webhook_endpoints=left), removed=[endpoint])

    if (await commits.edit(services, Account, caller.account, unlisted)).written:
        audit.record("webhook_endpoint_deleted", caller, endpoint=endpoint_id)


def pinged(endpoint: WebhookEndpoint, now: datetime) -> WebhookEndpoint:
    """Add a ping to the endpoint. Raises ApiError RATE_LIMITED after five in a minute."""
    recent = tuple(at for at in endpoint.pinged_at if at > now - timedelta(minutes=1))
    if len(recent) >= PINGS_A_MINUTE:
        wait_s = (recent[0] + timedelta(minutes=1) - now).total_seconds()
        message = f"At most {PINGS_A_MINUTE} pings per minute and endpoint."
        raise ApiError("RATE_LIMITED", message, {"pings_a_minute": PINGS_A_MINUTE}, retry_after_s=math.ceil(wait_s))
    return endpoint.changed(pinged_at=(*recent, now))


async def pause(services: Services, endpoint: WebhookEndpoint, failing_since: datetime) -> None:
    """Pause the endpoint, longer each consecutive time. Raises Unavailable."""

    def paused(found: WebhookEndpoint) -> dict[str, Any] | None:
        now = services.clock()
        if found.paused_until is not None and now < found.paused_until:
            return None
        return {
            "failing_since": found.failing_since or failing_since,
            "pauses": found.pauses + 1,
            "paused_until": now + receivers.pause(found.pauses),
        }

    if await _note(services, endpoint, paused):
        log.info("webhook_endpoint_paused", endpoint=endpoint.id, account=endpoint.account)


async def resume(services: Services, endpoint: WebhookEndpoint) -> None:
    """End the endpoint's pause after a success. Raises Unavailable."""
    if await _note(services, endpoint, lambda found: _UNPAUSED if found.failing_since is not None else None):
        log.info("webhook_endpoint_resumed", endpoint=endpoint.id, account=endpoint.account)


async def disable(services: Services, endpoint: WebhookEndpoint, reason: str) -> None:
    """Disable the endpoint until its owner enables it. Raises Unavailable."""
    changes = {"disabled": True, "disabled_reason": reason, **_UNPAUSED}
    if await _note(services, endpoint, lambda found: {**changes, "updated_at": services.clock()}):
        log.info("webhook_endpoint_disabled", endpoint=endpoint.id, account=endpoint.account, reason=reason)


async def _note(
    services: Services, endpoint: WebhookEndpoint, change: Callable[[WebhookEndpoint], Mapping[str, Any] | None]
) -> bool:
    """Store what an attempt showed, unless the owner changed the endpoint meanwhile; returns whether it was stored."""

    async def noted(found: WebhookEndpoint | None) -> Batch[WebhookEndpoint] | None:
        if found is None or found.disabled or found.url != endpoint.url:
            return None
        changes = change(found)
        return Batch(found.changed(**changes)) if changes is not None else None

    return (await commits.edit(services, WebhookEndpoint, endpoint.id, noted)).written


_UNPAUSED: Mapping[str, Any] = {"failing_since": None, "pauses": 0, "paused_until": None}


# --- the account's secret ---


async def secret_of(services: Services, tenant: str, account: str) -> WebhookSecret:
    """The account's secret for `webhook_url`s, created on first use. Raises Unavailable."""

    async def made(found: WebhookSecret | None) -> Batch[WebhookSecret] | None:
        return Batch(_first_secret(services, tenant, account, signing.new_secret())) if found is None else None

    return (await commits.edit(services, WebhookSecret, account, made)).document


def _first_secret(services: Services, tenant: str, account: str, secret: Secret) -> WebhookSecret:
    return WebhookSecret(id=account, tenant=tenant, secrets=(secret,), created_at=services.clock())


async def own_secret(services: Services, caller: Caller) -> WebhookSecret:
    """The caller's secret, to show it; recorded in the audit log.

    Raises the ApiErrors of accounts.acting, and EMAIL_NOT_VERIFIED: someone who signed up with another person's address
    could otherwise sign messages to the owner.
    """
    await _acting(services, caller)
    secret = await secret_of(services, caller.tenant, caller.account)
    audit.record("webhook_secret_viewed", caller)
    return secret


async def rotate_secret(services: Services, caller: Caller) -> WebhookSecret:
    """Rotate the secret for the `webhook_url` of the caller's jobs; the old one also signs for 24 h.

    Raises ApiError EMAIL_NOT_VERIFIED.
    """
    fresh = signing.new_secret()

    async def rotated(found: WebhookSecret | None) -> Batch[WebhookSecret]:
        actor = await _acting(services, caller)
        if found is None:
            return Batch(_first_secret(services, caller.tenant, caller.account, fresh), [actor])
        return Batch(found.changed(secrets=signing.rotated(found.secrets, fresh, services.clock())), [actor])

    edited = await commits.edit(services, WebhookSecret, caller.account, rotated)
    audit.record("webhook_secret_rotated", caller)
    return edited.document


# --- checks and views ---


def check_url(services: Services, field: str, url: str) -> None:
    """Raises ApiError INVALID_REQUEST for a URL that is never allowed, whatever its host resolves to."""
    try:
        url_policy.parse(url, services.settings.local_outbound)
    except url_policy.NotAllowed as error:
        fields = [{"field": field, "message": str(error)}]
        raise ApiError("INVALID_REQUEST", f"{field}: {error}", {"fields": fields}) from None


async def _acting(services: Services, caller: Caller) -> Account:
    """The caller's account, to commit with the caller's change. Its email address must be verified."""
    return _verified(services, caller, await services.firestore.get(Account, caller.account))


def _verified(services: Services, caller: Caller, account: Account | None) -> Account:
    account = accounts.allowed(services, caller, account)
    accounts.check_verified(account)
    return account


def _sorted(events: Iterable[WebhookEvent]) -> tuple[WebhookEvent, ...]:
    wanted = set(events)
    if "*" in wanted:
        return EVERY_EVENT
    return tuple(event for event in ALL_EVENTS if event in wanted)


def view(endpoint: WebhookEndpoint) -> WebhookEndpointView:
    return WebhookEndpointView(
        id=endpoint.id,
        url=endpoint.url,
        events=list(endpoint.events),
        description=endpoint.description,
        disabled=endpoint.disabled,
        disabled_reason=endpoint.disabled_reason,
        failing_since=endpoint.failing_since,
        paused_until=endpoint.paused_until,
        created_at=endpoint.created_at,
        updated_at=endpoint.updated_at,
    )


def view_with_secret(endpoint: WebhookEndpoint) -> WebhookEndpointWithSecret:
    return WebhookEndpointWithSecret(**view(endpoint).model_dump(), secret=endpoint.secrets[0].value)


def secret_view(secret: WebhookSecret, now: datetime) -> WebhookSecretView:
    ends = [old.expires_at for old in secret.secrets[1:] if old.expires_at is not None and now < old.expires_at]
    return WebhookSecretView(secret=secret.secrets[0].value, previous_expires_at=ends[0] if ends else None)
