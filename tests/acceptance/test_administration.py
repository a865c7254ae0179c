"""Keys, administrators and limits, as their users meet them on a running cloud."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testing.cloud import Cloud, User


@pytest.fixture
def user(cloud: Cloud) -> User:
    return cloud.user()


@pytest.fixture
def admin(cloud: Cloud) -> User:
    return User(cloud, cloud.session["admin_token"])


def ok(answer: Any, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


def audits(cloud: Cloud, function: str = "history") -> list[dict[str, Any]]:
    """The audit log so far."""
    name = "embedded" if cloud.embedded else function
    lines = (cloud.directory / "logs" / f"{name}.log").read_text(errors="replace").splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
    return [entry for entry in entries if entry.get("logging.googleapis.com/labels") == {"log": "audit"}]


def test_key_is_shown_once_and_honors_its_scope_until_revoked(user: User) -> None:
    read = ok(user.call("POST", "/v1/api-keys", json={"name": "reader", "scope": "read", "expires_in_days": 1}), 201)
    write = ok(user.call("POST", "/v1/api-keys", json={"name": "writer", "scope": "write"}), 201)
    listed = ok(user.call("GET", "/v1/api-keys"))["data"]
    assert [key["name"] for key in listed] == ["writer", "reader"]
    assert not any("key" in key for key in listed)
    reader, writer = User(user.cloud, read["key"]), User(user.cloud, write["key"])
    assert reader.account["id"] == writer.account["id"] == user.account["id"]
    refused(reader.call("POST", "/v1/videos/estimate", json={"prompt": "a key"}), 403, "FORBIDDEN")
    ok(writer.call("POST", "/v1/videos/estimate", json={"prompt": "a key"}))
    refused(writer.call("POST", "/v1/api-keys", json={"name": "more", "scope": "read"}), 403, "FORBIDDEN")
    ok(user.call("DELETE", f"/v1/api-keys/{write['id']}"))
    # The function that revoked it knows at once.
    refused(writer.call("GET", "/v1/account"), 401, "UNAUTHENTICATED")
    assert [key["name"] for key in ok(user.call("GET", "/v1/api-keys"))["data"]] == ["reader"]


def test_administrator_finds_credits_and_disables_a_user(admin: User, user: User) -> None:
    account = user.account
    found = ok(admin.call("GET", "/v1/admin/users", params={"email": account["email"]}))
    assert [one["id"] for one in found["data"]] == [account["id"]]
    grants, body = f"/v1/admin/users/{account['id']}/grants", {"amount": 70, "description": "For the festival"}
    refused(admin.call("POST", grants, json=body), 400, "INVALID_REQUEST")
    key = {"Idempotency-Key": secrets.token_hex(8)}
    first = ok(admin.call("POST", grants, json=body, headers=key), 201)
    assert ok(admin.call("POST", grants, json=body, headers=key)) == first
    refused(admin.call("POST", grants, json={**body, "amount": 7}, headers=key), 422, "IDEMPOTENCY_KEY_REUSED")
    assert user.ledger == [500, 70]
    ok(admin.call("PATCH", f"/v1/admin/users/{account['id']}", json={"disabled": True}))
    refused(user.call("GET", "/v1/account"), 403, "ACCOUNT_DISABLED")
    ok(admin.call("PATCH", f"/v1/admin/users/{account['id']}", json={"disabled": False}))
    assert user.account["balance"] == 570


def test_tenant_budget_bounds_grants_and_self_grants_are_refused(admin: User, user: User) -> None:
    operator = User(admin.cloud, admin.cloud.session["operator_token"])
    before = ok(admin.call("GET", "/v1/admin/budget"))
    path, key = "/v1/operator/tenants/default", {"Idempotency-Key": secrets.token_hex(8)}
    body = {"amount": 70, "description": "For the festival"}
    refused(admin.call("POST", f"{path}/grants", json=body, headers=key), 403, "FORBIDDEN")
    granted = ok(operator.call("POST", f"{path}/grants", json=body, headers=key), 201)
    assert ok(operator.call("POST", f"{path}/grants", json=body, headers=key)) == granted
    budget = ok(operator.call("GET", path))
    assert budget == ok(admin.call("GET", "/v1/admin/budget"))
    assert (budget["granted"], budget["left"]) == (before["granted"] + 70, before["left"] + 70)
    too_much = {"amount": budget["left"] + 1, "description": "All of it"}
    grants = f"/v1/admin/users/{user.account['id']}/grants"
    other = {"Idempotency-Key": secrets.token_hex(8)}
    error = refused(admin.call("POST", grants, json=too_much, headers=other), 402, "TENANT_BUDGET_EXCEEDED")
    assert error["details"] == {"required": budget["left"] + 1, "available": budget["left"], "deficit": 1}
    ok(admin.call("POST", grants, json=body, headers=other), 201)
    assert ok(admin.call("GET", "/v1/admin/budget"))["given"] == before["given"] + 70
    for somebody in (admin, operator):
        own = f"/v1/admin/users/{somebody.account['id']}/grants"
        refused(somebody.call("POST", own, json=body, headers=key), 403, "FORBIDDEN")


def test_administrator_cannot_lock_themselves_out(admin: User) -> None:
    me = f"/v1/admin/users/{admin.account['id']}"
    for change in ({"disabled": True}, {"role": "user"}):
        refused(admin.call("PATCH", me, json=change), 403, "FORBIDDEN")
    assert ok(admin.call("GET", me))["role"] == "admin"


def test_tenant_videos_are_visible_to_administrators_and_audited(admin: User, user: User) -> None:
    job = user.create("a private garden [never finishes]", seconds=4)["id"]
    user.call("POST", f"/v1/videos/{job}/cancel")
    listed = ok(admin.call("GET", "/v1/admin/videos", params={"user": user.account["id"]}))
    assert [one["id"] for one in listed["data"]] == [job]
    answer = admin.call("GET", f"/v1/admin/videos/{job}")
    assert ok(answer)["user"] == user.account["id"]
    entry = next(one for one in audits(user.cloud) if one["request_id"] == answer.headers["x-request-id"])
    assert (entry["message"], entry["video"], entry["user"]) == ("video_viewed_as_admin", job, admin.account["id"])
    generated = next(one for one in audits(user.cloud, "submit") if one.get("video") == job)
    assert (generated["message"], generated["user"]) == ("video_generated", user.account["id"])
    assert generated["prompt_sha256"] == entry["prompt_sha256"]
    assert "private garden" not in json.dumps([entry, generated])


def test_profile_can_be_updated_and_read(user: User) -> None:
    ok(user.call("PATCH", "/v1/account", json={"display_name": "Ann", "locale": "de-AT"}))
    ok(user.call("PATCH", "/v1/account", json={"locale": None}))
    assert (user.account["display_name"], user.account["locale"]) == ("Ann", None)


def test_live_settings_can_be_read_and_replaced(admin: User) -> None:
    before = ok(admin.call("GET", "/v1/admin/config"))
    refused(admin.call("PUT", "/v1/admin/config", json={"retention_days": 0}), 400, "INVALID_REQUEST")
    refused(admin.call("PUT", "/v1/admin/config", json={}), 428, "PRECONDITION_REQUIRED")
    try:
        wanted = {**before["stored"], "retention_days": 300}
        seen = {"If-Match": before["etag"]}
        assert ok(admin.call("PUT", "/v1/admin/config", json=wanted, headers=seen))["values"]["retention_days"] == 300
        read = admin.call("GET", "/v1/admin/config")
        assert (ok(read)["stored"], read.headers["etag"]) == (wanted, ok(read)["etag"])
        late = admin.call("PUT", "/v1/admin/config", json={}, headers=seen)
        assert refused(late, 412, "PRECONDITION_FAILED")["details"] == {"etag": read.headers["etag"]}
    finally:
        anyway = {"If-Match": "*"}
        restored = ok(admin.call("PUT", "/v1/admin/config", json=before["stored"], headers=anyway))
    assert restored["stored"] == before["stored"]
    assert any(one["message"] == "config_changed" for one in audits(admin.cloud))


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud for one test, with small limits that it may use up, and projects of its own."""
    directory = tmp_path / "strict"
    directory.mkdir()
    with Cloud.started(directory, embedded=True, REQUESTS_PER_MINUTE="12", REQUESTS_PER_MINUTE_PER_IP="90") as running:
        yield running


def test_once_a_project_exists_videos_need_one(strict: Cloud) -> None:
    admin, user = User(strict, strict.session["admin_token"]), strict.user()
    estimate = ("POST", "/v1/videos/estimate")
    ok(user.call(*estimate, json={"prompt": "x", "project": "anything"}))
    ok(admin.call("POST", "/v1/projects", json={"id": "festival", "title": "The festival"}), 201)
    refused(admin.call("POST", "/v1/projects", json={"id": "festival", "title": "Again"}), 409, "ALREADY_EXISTS")
    error = refused(user.call(*estimate, json={"prompt": "x", "project": "anything"}), 400, "INVALID_REQUEST")
    assert error["details"]["fields"][0]["field"] == "project"
    ok(user.call(*estimate, json={"prompt": "x", "project": "festival"}))
    assert [one["id"] for one in ok(user.call("GET", "/v1/projects"))["data"]] == ["festival"]
    ok(admin.call("PATCH", "/v1/projects/festival", json={"archived": True}))
    refused(user.call(*estimate, json={"prompt": "x", "project": "festival"}), 400, "INVALID_REQUEST")


def test_too_many_requests_of_a_user_or_address_are_429(strict: Cloud) -> None:
    user = strict.user()
    answers = [user.call("GET", "/v1/models") for _ in range(20)]
    assert [answer.status_code for answer in answers[:12]] == [200] * 12
    late = answers[-1]
    refused(late, 429, "RATE_LIMITED")
    assert late.headers["ratelimit-limit"] == "12"
    assert late.headers["ratelimit-remaining"] == "0"
    assert late.headers["ratelimit-reset"] == late.headers["retry-after"]
    assert int(late.headers["retry-after"]) >= 1
    # Another user is not held up by this one; the address is, after enough of them.
    ok(strict.user().call("GET", "/v1/models"))
    crowd = [strict.http.get(f"{strict.url}/v1/models") for _ in range(200)]
    assert {answer.status_code for answer in crowd} == {401, 429}
    assert crowd[-1].status_code == 429
    assert strict.http.get(f"{strict.url}/healthz").status_code == 200
    assert strict.http.post(f"{strict.url}/hooks/gemini", json={}).status_code == 401
