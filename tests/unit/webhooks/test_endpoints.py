"""Webhook endpoints and the secrets that sign."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from shared.api.webhooks import (
    ALL_EVENTS,
    NewWebhookEndpoint,
    UpdateWebhookEndpoint,
    WebhookEndpointView,
    WebhookEndpointWithSecret,
)
from shared.core.errors import ApiError, Conflict
from shared.platform.identity import Caller
from shared.webhooks import endpoints, signing
from shared.webhooks.endpoints import MAX_ENDPOINTS, WebhookEndpoint, WebhookSecret
from tests.unit.conftest import House

URL = "https://hooks.example.com/rushes"


async def made(house: House, caller: Caller, **body: Any) -> WebhookEndpoint:
    return await endpoints.make(house.services, caller, NewWebhookEndpoint.model_validate({"url": URL} | body))


def code(caught: pytest.ExceptionInfo[ApiError]) -> str:
    return caught.value.code


async def test_endpoint_has_its_own_secret_and_all_events_by_default(house: House) -> None:
    caller = await house.sign_up()
    one, other = await made(house, caller), await made(house, caller)
    assert one.events == ALL_EVENTS
    assert one.secrets[0].value.startswith("whsec_")
    assert one.secrets[0].value != other.secrets[0].value
    assert (await house.account()).webhook_endpoints == (one.id, other.id)
    assert [found.id for found in await endpoints.own(house.services, caller)] == [other.id, one.id]


def test_only_create_and_rotate_show_a_secret() -> None:
    assert "secret" not in WebhookEndpointView.model_fields
    assert "secret" in WebhookEndpointWithSecret.model_fields


@pytest.mark.parametrize(
    "url", ["http://hooks.example.com/", "https://user:pw@hooks.example.com/", "https://hooks.example.com:22"]
)
async def test_forbidden_url_is_rejected_at_once(house: House, url: str) -> None:
    caller = await house.sign_up()
    with pytest.raises(ApiError) as caught:
        await made(house, caller, url=url)
    assert code(caught) == "INVALID_REQUEST"
    assert caught.value.details["fields"][0]["field"] == "url"
    endpoint = await made(house, caller)
    with pytest.raises(ApiError):
        await endpoints.update(house.services, caller, endpoint.id, UpdateWebhookEndpoint(url=url))


async def test_concurrent_creates_stop_at_ten_endpoints(house: House) -> None:
    caller = await house.sign_up()
    results = await asyncio.gather(*(made(house, caller) for _ in range(MAX_ENDPOINTS + 4)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, ApiError)]
    assert [error.code for error in refused] == ["LIMIT_REACHED"] * 4
    assert len((await house.account()).webhook_endpoints) == MAX_ENDPOINTS


async def test_lost_commit_answer_creates_one_endpoint(house: House) -> None:
    caller = await house.sign_up()
    house.store.lose("commit")
    endpoint = await made(house, caller)
    assert (await house.account()).webhook_endpoints == (endpoint.id,)
    assert [found.id for found in house.store.documents(WebhookEndpoint)] == [endpoint.id]


async def test_update_keeps_omitted_fields(house: House) -> None:
    caller = await house.sign_up()
    endpoint = await made(house, caller, description="mine")
    body = UpdateWebhookEndpoint(events=("video.failed", "video.completed", "video.failed"))
    changed = await endpoints.update(house.services, caller, endpoint.id, body)
    assert (changed.events, changed.url) == (("video.completed", "video.failed"), URL)
    assert (changed.description, changed.secrets) == ("mine", endpoint.secrets)
    cleared = UpdateWebhookEndpoint.model_validate({"description": None, "disabled": True})
    changed = await endpoints.update(house.services, caller, endpoint.id, cleared)
    assert (changed.description, changed.disabled) == (None, True)


async def test_enabling_clears_the_disable_reason(house: House) -> None:
    caller = await house.sign_up()
    endpoint = await made(house, caller)
    await endpoints.disable(house.services, endpoint, "it was gone")
    assert (await endpoints.get(house.services, caller, endpoint.id)).disabled_reason == "it was gone"
    changed = await endpoints.update(house.services, caller, endpoint.id, UpdateWebhookEndpoint(disabled=False))
    assert (changed.disabled, changed.disabled_reason) == (False, None)


async def test_endpoint_with_a_changed_url_is_not_disabled_for_the_old_one(house: House) -> None:
    caller = await house.sign_up()
    endpoint = await made(house, caller)
    await endpoints.update(house.services, caller, endpoint.id, UpdateWebhookEndpoint(url=f"{URL}/new"))
    await endpoints.disable(house.services, endpoint, "it was gone")
    assert not (await endpoints.get(house.services, caller, endpoint.id)).disabled


async def test_endpoint_is_deleted_despite_a_lost_answer(house: House) -> None:
    caller = await house.sign_up()
    endpoint = await made(house, caller, description="mine")
    house.store.lose("commit")
    await endpoints.delete(house.services, caller, endpoint.id)
    assert (await house.account()).webhook_endpoints == ()
    assert await house.store.get(WebhookEndpoint, endpoint.id) is None
    with pytest.raises(ApiError) as caught:
        await endpoints.delete(house.services, caller, endpoint.id)
    assert code(caught) == "NOT_FOUND"


@pytest.mark.parametrize("endpoint_id", ["", "whe_", "__x__", "..", "whe_" + "x" * 22, "video_" + "x" * 22])
async def test_malformed_id_is_not_found(house: House, endpoint_id: str) -> None:
    caller = await house.sign_up()
    with pytest.raises(ApiError) as caught:
        await endpoints.get(house.services, caller, endpoint_id)
    assert code(caught) == "NOT_FOUND"


async def test_another_users_endpoint_is_not_found(house: House) -> None:
    endpoint = await made(house, await house.sign_up())
    bob = await house.sign_up("bob")
    for call in (
        endpoints.get(house.services, bob, endpoint.id),
        endpoints.update(house.services, bob, endpoint.id, UpdateWebhookEndpoint(disabled=True)),
        endpoints.rotate(house.services, bob, endpoint.id),
        endpoints.delete(house.services, bob, endpoint.id),
    ):
        with pytest.raises(ApiError) as caught:
            await call
        assert code(caught) == "NOT_FOUND"
    assert await endpoints.own(house.services, bob) == []


async def test_closed_account_cannot_create_an_endpoint(house: House) -> None:
    caller = await house.sign_up(closed_at=house.clock())
    with pytest.raises(ApiError) as caught:
        await made(house, caller)
    assert code(caught) == "ACCOUNT_CLOSED"


# --- secrets and signatures ---


def headers(secrets: tuple[signing.Secret, ...], body: bytes) -> dict[str, str]:
    return signing.signed(secrets, "msg_1", body, datetime.now(UTC))


async def test_signature_verifies_with_standard_webhooks(house: House) -> None:
    endpoint = await made(house, await house.sign_up())
    body = json.dumps({"type": "video.completed", "data": {"prompt": "ein Schiff \u26f5"}}).encode()
    assert Webhook(endpoint.secrets[0].value).verify(body, headers(endpoint.secrets, body))["type"] == "video.completed"
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint.secrets[0].value).verify(body + b" ", headers(endpoint.secrets, body))


async def test_both_secrets_sign_for_a_day_after_rotation(house: House) -> None:
    caller = await house.sign_up()
    before = await made(house, caller)
    house.store.lose("commit")
    after = await endpoints.rotate(house.services, caller, before.id)
    assert after.secrets[0] != before.secrets[0]
    assert after.secrets[1].expires_at == after.updated_at + timedelta(hours=24)
    body = b"{}"
    now = datetime.now(UTC)
    house_now_secrets = tuple(
        secret.model_copy(update={"expires_at": now + timedelta(hours=24) if secret.expires_at else None})
        for secret in after.secrets
    )
    for secret in (before.secrets[0], after.secrets[0]):
        Webhook(secret.value).verify(body, signing.signed(house_now_secrets, "msg_1", body, now))
    ended = signing.signed(after.secrets, "msg_1", body, house.clock() + timedelta(hours=24))
    assert ended["webhook-signature"].count("v1,") == 1


async def test_second_rotation_drops_the_oldest_secret(house: House) -> None:
    caller = await house.sign_up()
    endpoint = await made(house, caller)
    await endpoints.rotate(house.services, caller, endpoint.id)
    twice = await endpoints.rotate(house.services, caller, endpoint.id)
    assert len(twice.secrets) == 2
    assert endpoint.secrets[0].value not in {secret.value for secret in twice.secrets}


async def test_concurrent_requests_create_one_account_secret(house: House) -> None:
    caller = await house.sign_up()
    found = await asyncio.gather(
        *(endpoints.secret_of(house.services, caller.tenant, caller.account) for _ in range(5))
    )
    assert len({one.secrets for one in found}) == 1
    house.store.lose("commit")
    rotated = await endpoints.rotate_secret(house.services, caller)
    view = endpoints.secret_view(rotated, house.clock())
    assert view.secret != found[0].secrets[0].value
    assert view.previous_expires_at == int((house.clock() + timedelta(hours=24)).timestamp())
    house.clock.advance(24 * 3_600)
    assert endpoints.secret_view(rotated, house.clock()).previous_expires_at is None
    assert len(house.store.documents(WebhookSecret)) == 1


async def test_conflict_is_decided_again_on_current_data(house: House) -> None:
    caller = await house.sign_up()
    house.store.fail("commit", times=2, error=Conflict)
    endpoint = await made(house, caller)
    house.store.fail("commit", times=2, error=Conflict)
    await endpoints.update(house.services, caller, endpoint.id, UpdateWebhookEndpoint(disabled=True))
    assert (await endpoints.get(house.services, caller, endpoint.id)).disabled


# --- the audit log ---


async def test_endpoint_changes_and_secret_views_are_audited(house: House, capsys: Any) -> None:
    caller = await house.sign_up(email="alice@example.com", email_verified=True, verified_at=house.clock())
    capsys.readouterr()
    endpoint = await made(house, caller)
    await endpoints.update(house.services, caller, endpoint.id, UpdateWebhookEndpoint(description="private"))
    await endpoints.update(house.services, caller, endpoint.id, UpdateWebhookEndpoint(description="private"))
    rotated = await endpoints.rotate(house.services, caller, endpoint.id)
    await endpoints.delete(house.services, caller, endpoint.id)
    secret = await endpoints.own_secret(house.services, caller)
    await endpoints.rotate_secret(house.services, caller)
    out = capsys.readouterr().out
    entries = [json.loads(line) for line in out.splitlines()]
    audits = [entry for entry in entries if entry.get("logging.googleapis.com/labels") == {"log": "audit"}]
    assert [(entry["message"], entry.get("endpoint")) for entry in audits] == [
        ("webhook_endpoint_created", endpoint.id),
        ("webhook_endpoint_changed", endpoint.id),
        ("webhook_endpoint_secret_rotated", endpoint.id),
        ("webhook_endpoint_deleted", endpoint.id),
        ("webhook_secret_viewed", None),
        ("webhook_secret_rotated", None),
    ]
    shown = (URL, "private", rotated.secrets[0].value, secret.secrets[0].value)
    assert not [word for word in shown if word in out]


@pytest.mark.parametrize("change", [{"disabled": True}, {"closed_at": datetime(2026, 11, 20, tzinfo=UTC)}])
async def test_account_locked_out_before_the_commit_keeps_its_secrets(house: House, change: dict[str, Any]) -> None:
    caller = await house.sign_up(email="alice@example.com", email_verified=True, verified_at=house.clock())
    endpoint = await made(house, caller)
    await endpoints.secret_of(house.services, caller.tenant, caller.account)
    before = [house.store.documents(kind) for kind in (WebhookEndpoint, WebhookSecret)]

    async def locked_out() -> None:
        house.store.edit("accounts", caller.account, change)

    calls: list[Any] = [
        lambda: endpoints.rotate(house.services, caller, endpoint.id),
        lambda: endpoints.rotate_secret(house.services, caller),
        lambda: endpoints.update(house.services, caller, endpoint.id, UpdateWebhookEndpoint(url=URL + "/other")),
        lambda: endpoints.delete(house.services, caller, endpoint.id),
    ]
    for call in calls:
        house.store.edit("accounts", caller.account, {"disabled": False, "closed_at": None})
        house.store.before("commit", locked_out)
        with pytest.raises(ApiError) as caught:
            await call()
        assert caught.value.entry.status == 403
    assert [house.store.documents(kind) for kind in (WebhookEndpoint, WebhookSecret)] == before
