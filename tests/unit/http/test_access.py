"""Access: who is admitted, how often, and to what; with real requests to the real functions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from shared.accounts.api_keys import ApiKey
from shared.api.routing import PEOPLE, Route
from shared.core.documents import Plan
from shared.core.errors import ApiError
from shared.http import access, rate_limits, routes
from shared.http.app import application
from shared.http.routes import ROUTES
from shared.platform.identity import Caller
from tests.unit.conftest import NOW, House
from tests.unit.http.test_app import ALICE, ORIGIN, client_of, shape
from tests.unit.http.test_routes import load

USER = Caller("a", "default", "user", "default", None)
ADMIN = Caller("a", "default", "admin", "default", None)
OPERATOR = Caller("a", "default", "operator", "default", None)
READ_KEY = Caller("a", "default", "user", "default", None, "key_1", True)
WRITE_KEY = Caller("a", "default", "user", "default", None, "key_1")
BOB = {"Authorization": "Bearer bob"}
BY_NAME = {route.name: route for route in ROUTES}


@pytest.fixture
async def history(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(application(routes.of("history"), load("history").HANDLERS, lambda: house.services)) as client:
        yield client


async def admin(house: House, history: httpx2.AsyncClient, role: str = "admin") -> str:
    """Alice's account, which has that role from now on."""
    account: str = (await history.get("/v1/account", headers=ALICE)).json()["id"]
    house.store.edit("accounts", account, {"role": role})
    return account


def audits(capsys: Any) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [entry for entry in entries if entry.get("logging.googleapis.com/labels") == {"log": "audit"}]


def passes(route: Route, caller: Caller, method: str | None = None) -> bool:
    try:
        access.authorize(route, caller, method or route.method)
    except ApiError as error:
        assert error.code == "FORBIDDEN"
        return False
    return True


# --- how far ---


@pytest.mark.parametrize("route", [route for route in ROUTES if route.caller in PEOPLE], ids=lambda r: r.name)
def test_operation_permissions(route: Route) -> None:
    assert passes(route, OPERATOR)
    assert passes(route, ADMIN) == (route.caller != "operator")
    assert passes(route, USER) == (route.caller == "user")
    assert passes(route, WRITE_KEY) == (route.caller == "user" and route.keys)
    assert passes(route, READ_KEY) == (route.caller == "user" and route.keys and route.method == "GET")


def test_read_only_key_may_send_head() -> None:
    assert passes(BY_NAME["get_video"], READ_KEY, "HEAD")


async def test_key_cannot_create_a_key(house: House, history: httpx2.AsyncClient) -> None:
    made = await history.post("/v1/api-keys", headers=ALICE, json={"name": "ci", "scope": "write"})
    assert made.status_code == 201
    with_key = {"Authorization": f"Bearer {made.json()['key']}"}
    assert (await history.get("/v1/api-keys", headers=with_key)).status_code == 200
    again = await history.post("/v1/api-keys", headers=with_key, json={"name": "ci", "scope": "write"})
    assert (again.status_code, shape(again)["code"]) == (403, "FORBIDDEN")


async def test_locally_revoked_key_is_rejected_at_once(history: httpx2.AsyncClient) -> None:
    made = (await history.post("/v1/api-keys", headers=ALICE, json={"name": "ci", "scope": "read"})).json()
    with_key = {"Authorization": f"Bearer {made['key']}"}
    assert (await history.get("/v1/account", headers=with_key)).status_code == 200
    assert (await history.delete(f"/v1/api-keys/{made['id']}", headers=ALICE)).json()["revoked"]
    assert (await history.get("/v1/account", headers=with_key)).status_code == 401


async def test_locally_disabled_user_is_rejected_at_once(house: House, history: httpx2.AsyncClient) -> None:
    bob = {"Authorization": "Bearer bob"}
    alice_id = (await history.get("/v1/account", headers=ALICE)).json()["id"]
    bob_id = (await history.get("/v1/account", headers=bob)).json()["id"]
    house.store.edit("accounts", alice_id, {"role": "admin"})
    house.clock.advance(60)
    changed = await history.patch(f"/v1/admin/users/{bob_id}", headers=ALICE, json={"disabled": True})
    assert changed.json()["disabled"]
    refused = await history.get("/v1/account", headers=bob)
    assert (refused.status_code, shape(refused)["code"]) == (403, "ACCOUNT_DISABLED")


async def test_permission_is_checked_before_the_body(history: httpx2.AsyncClient) -> None:
    refused = await history.put("/v1/admin/config", headers=ALICE, content=b"{")
    assert (refused.status_code, shape(refused)["code"]) == (403, "FORBIDDEN")


async def test_repeated_grant_has_the_replay_header(house: House, history: httpx2.AsyncClient) -> None:
    await house.fund()
    await admin(house, history)
    bob = (await history.get("/v1/account", headers=BOB)).json()["id"]
    headers = {**ALICE, "Idempotency-Key": "k"}
    body = {"amount": 5, "description": "thanks"}
    first = await history.post(f"/v1/admin/users/{bob}/grants", headers=headers, json=body)
    again = await history.post(f"/v1/admin/users/{bob}/grants", headers=headers, json=body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers


# --- what was taken back a moment ago ---


@pytest.mark.parametrize("change", [{"role": "user"}, {"disabled": True}])
async def test_administrator_is_locked_out_at_once_everywhere(
    house: House, history: httpx2.AsyncClient, change: dict[str, Any]
) -> None:
    account = await admin(house, history)
    assert (await history.get("/v1/admin/users", headers=ALICE)).status_code == 200
    # Another process takes the role away; this one still remembers it.
    house.store.edit("accounts", account, change)
    calls = [
        history.get("/v1/admin/users", headers=ALICE),
        history.get("/v1/admin/config", headers=ALICE),
        history.patch(f"/v1/admin/users/{account}", headers=ALICE, json={"role": "admin", "disabled": False}),
        history.post("/v1/projects", headers=ALICE, json={"id": "p", "title": "P"}),
    ]
    assert [(await call).status_code for call in calls] == [403] * 4
    kept = await house.account(account)
    assert (kept.role, kept.disabled) == (change.get("role", "admin"), change.get("disabled", False))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/account/webhook-secret", None),
        ("POST", "/v1/account/webhook-secret/rotate", None),
        ("POST", "/v1/api-keys", {"name": "ci", "scope": "read"}),
        ("POST", "/v1/webhook-endpoints", {"url": "https://hooks.example.com/"}),
        ("PATCH", "/v1/account", {"display_name": "Al"}),
    ],
)
async def test_disabled_account_loses_its_secrets_at_once(
    house: House, history: httpx2.AsyncClient, method: str, path: str, body: Any
) -> None:
    account = (await history.get("/v1/account", headers=ALICE)).json()["id"]
    house.store.edit("accounts", account, {"disabled": True})
    refused = await history.request(method, path, headers=ALICE, **({"json": body} if body else {}))
    assert (refused.status_code, shape(refused)["code"]) == (403, "ACCOUNT_DISABLED")


async def test_key_revoked_elsewhere_writes_nothing(house: House, history: httpx2.AsyncClient) -> None:
    made = (await history.post("/v1/api-keys", headers=ALICE, json={"name": "ci", "scope": "write"})).json()
    with_key = {"Authorization": f"Bearer {made['key']}"}
    async with client_of(application(routes.of("submit"), load("submit").HANDLERS, lambda: house.services)) as submit:
        assert (await submit.post("/v1/videos", headers=with_key, json={})).status_code == 400
        assert (await history.get("/v1/account", headers=with_key)).status_code == 200
        (key,) = house.store.documents(ApiKey)
        await house.store.commit([key.changed(revoked_at=house.clock())])
        assert (await submit.post("/v1/videos", headers=with_key, json={"prompt": "a kite"})).status_code == 401
    body = {"url": "https://hooks.example.com/"}
    assert (await history.post("/v1/webhook-endpoints", headers=with_key, json=body)).status_code == 401


async def test_rate_limited_request_reads_nothing(house: House, history: httpx2.AsyncClient) -> None:
    house.configure(requests_per_minute=1)
    await admin(house, history)
    before = house.store.calls["get"]
    assert (await history.get("/v1/admin/config", headers=ALICE)).status_code == 429
    assert house.store.calls["get"] == before


# --- a recent sign-in ---


async def test_creating_a_key_needs_a_recent_sign_in(house: House, history: httpx2.AsyncClient) -> None:
    body = {"name": "ci", "scope": "read"}
    refused = await history.post("/v1/api-keys", headers={"Authorization": "Bearer alice~"}, json=body)
    assert (refused.status_code, shape(refused)["code"]) == (401, "REAUTHENTICATION_REQUIRED")
    assert shape(refused)["details"] == {"max_age_s": 300}
    assert refused.headers["www-authenticate"] == 'Bearer error="insufficient_user_authentication", max_age="300"'
    assert house.store.documents(ApiKey) == []
    assert (await history.post("/v1/api-keys", headers=ALICE, json=body)).status_code == 201


@pytest.mark.parametrize(("age_s", "passes"), [(0, True), (300, True), (301, False), (None, False)])
def test_sign_in_is_recent_for_5_minutes(age_s: int | None, passes: bool) -> None:
    signed_in = None if age_s is None else NOW - timedelta(seconds=age_s)
    caller = replace(USER, signed_in_at=signed_in)
    for name in ("create_api_key", "delete_account"):
        with nullcontext() if passes else pytest.raises(ApiError, match="REAUTHENTICATION_REQUIRED"):
            access.check_sign_in(BY_NAME[name], caller, NOW)
    access.check_sign_in(BY_NAME["list_api_keys"], caller, NOW)


# --- on the record ---


async def test_refused_admin_operation_is_audited(house: House, history: httpx2.AsyncClient, capsys: Any) -> None:
    account = (await history.get("/v1/account", headers=ALICE)).json()["id"]
    await history.get("/v1/admin/users", headers=ALICE)
    await history.post("/v1/operator/tenants/default/grants", headers=ALICE, json={})
    await admin(house, history)
    # Refused by the handler, not at the door.
    await history.patch(f"/v1/admin/users/{account}", headers=ALICE, json={"role": "user"})
    await history.get("/v1/admin/users/nobody", headers=ALICE)
    denied = [entry for entry in audits(capsys) if entry["message"] == "admin_action_denied"]
    assert [(entry["route"], entry["user"]) for entry in denied] == [
        ("list_users", account),
        ("grant_to_tenant", account),
        ("update_user", account),
    ]


async def test_refused_key_operation_is_not_audited(history: httpx2.AsyncClient, capsys: Any) -> None:
    made = (await history.post("/v1/api-keys", headers=ALICE, json={"name": "ci", "scope": "read"})).json()
    with_key = {"Authorization": f"Bearer {made['key']}"}
    assert (await history.patch("/v1/account", headers=with_key, json={})).status_code == 403
    assert [entry["message"] for entry in audits(capsys)] == ["api_key_made"]


# --- how often ---


def limits_of(response: httpx2.Response) -> tuple[int, int, int]:
    names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
    limit, remaining, reset = (int(response.headers[name]) for name in names)
    return limit, remaining, reset


async def test_every_user_response_has_rate_limit_headers(history: httpx2.AsyncClient) -> None:
    paths = ("/v1/account", "/v1/videos/video_none", "/v1/videos?limit=0", "/v1/admin/users")
    answers = [await history.get(path, headers=ALICE) for path in paths]
    assert [answer.status_code for answer in answers] == [200, 404, 400, 403]
    assert [limits_of(answer)[:2] for answer in answers] == [(100, 99), (100, 98), (100, 97), (100, 96)]


async def test_request_over_the_limit_is_429_with_retry_after(house: House, history: httpx2.AsyncClient) -> None:
    house.configure(requests_per_minute=3)
    for _ in range(3):
        assert (await history.get("/v1/models", headers=ALICE)).status_code == 200
    refused = await history.get("/v1/models", headers=ALICE)
    assert (refused.status_code, shape(refused)["code"]) == (429, "RATE_LIMITED")
    assert limits_of(refused) == (3, 0, 20)
    assert (refused.headers["retry-after"], refused.headers["x-should-retry"]) == ("20", "true")
    assert refused.headers.get_list("ratelimit-limit") == ["3"]
    assert (await history.get("/v1/models", headers={"Authorization": "Bearer bob"})).status_code == 200
    house.clock.advance(20)
    assert (await history.get("/v1/models", headers=ALICE)).status_code == 200


async def test_key_shares_its_accounts_rate_limit(house: House, history: httpx2.AsyncClient) -> None:
    made = (await history.post("/v1/api-keys", headers=ALICE, json={"name": "ci", "scope": "read"})).json()
    answer = await history.get("/v1/models", headers={"Authorization": f"Bearer {made['key']}"})
    assert limits_of(answer)[1] == 98


async def test_plan_can_set_its_own_rate_limit(house: House, history: httpx2.AsyncClient) -> None:
    house.configure(plans={"pro": Plan(requests_per_minute=1_000)})
    account = (await history.get("/v1/account", headers=ALICE)).json()["id"]
    house.store.edit("accounts", account, {"plan": "pro"})
    house.clock.advance(60)
    assert limits_of(await history.get("/v1/models", headers=ALICE))[0] == 1_000


async def test_machines_and_anonymous_callers_are_not_counted(
    house: House, history: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(*_: Any) -> None:
        raise AssertionError("counted")

    monkeypatch.setattr(rate_limits.TokenBuckets, "take", counted)
    assert (await history.get("/v1/models")).status_code == 401
    for function, path in (("poll", "/tasks/step"), ("submit", "/hooks/gemini"), ("cleanup", "/tasks/sweep")):
        async with client_of(
            application(routes.of(function), load(function).HANDLERS, lambda: house.services)
        ) as client:  # type: ignore[arg-type]
            answer = await client.post(path, json={"job": "video_none", "step": 0})
            assert answer.status_code in (200, 204, 401)
            assert "ratelimit-limit" not in answer.headers


async def test_rate_limiting_writes_nothing(house: House, history: httpx2.AsyncClient) -> None:
    await history.get("/v1/models", headers=ALICE)
    before = house.store.calls["commit"]
    for _ in range(150):
        await history.get("/v1/models", headers=ALICE)
    assert house.store.calls["commit"] == before


async def test_pages_may_read_rate_limits_and_put(history: httpx2.AsyncClient) -> None:
    answer = await history.get("/v1/models", headers={**ALICE, **ORIGIN})
    exposed = answer.headers["access-control-expose-headers"]
    for name in ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy", "RateLimit"):
        assert name in answer.headers
        assert name in [one.strip() for one in exposed.split(",")]
    preflight = await history.options("/v1/models", headers=ORIGIN)
    assert "PUT" in preflight.headers["access-control-allow-methods"]
