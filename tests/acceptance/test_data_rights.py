"""A user gets a copy of everything, and can have everything deleted."""

from __future__ import annotations

import time
from typing import Any

import pytest

from shared.core.documents import LiveSettings
from testing import invariants
from testing.cloud import Cloud, User

WAIT_S = 90.0
SMALL = {"model": "omni-flash", "seconds": 3, "resolution": "360p"}


@pytest.fixture
def user(cloud: Cloud) -> User:
    return cloud.user()


def exported(user: User) -> dict[str, Any]:
    """A new export, completed."""
    answer = user.call("POST", "/v1/account/export")
    assert answer.status_code == 202, answer.text
    where = answer.headers["location"]
    deadline = time.monotonic() + WAIT_S
    while True:
        export: dict[str, Any] = user.call("GET", where).json()
        if export["status"] == "completed":
            return export
        assert time.monotonic() < deadline, export
        time.sleep(0.1)


def test_export_is_json_files_behind_signed_urls(user: User) -> None:
    job = user.finish("a paper boat", labels={"team": "blue"}, **SMALL)
    user.call("POST", "/v1/api-keys", json={"name": "laptop", "scope": "read"})
    export = exported(user)
    data: dict[str, list[dict[str, Any]]] = {}
    for file in export["files"]:
        answer = user.cloud.http.get(file["url"])
        assert answer.status_code == 200
        assert len(answer.content) == file["size_bytes"]
        data.setdefault(answer.json()["object"], []).extend(answer.json()["data"])
    (video,) = data["export.videos"]
    assert (video["id"], video["prompt"], video["labels"]) == (job["id"], "a paper boat", {"team": "blue"})
    assert user.call("GET", video["content"][0]).status_code == 302
    assert [entry["amount"] for entry in data["export.transactions"]] == [-job["cost"], 500]
    assert [key["name"] for key in data["export.api_keys"]] == ["laptop"]
    assert data["export.account"][0]["id"] == user.account["id"]
    assert export["expires_at"] - export["completed_at"] == 7 * 86_400


def test_another_users_export_is_not_found(user: User) -> None:
    export = exported(user)
    assert user.cloud.user().call("GET", f"/v1/account/exports/{export['id']}").status_code == 404


def test_deleted_account_is_closed_at_once_and_keeps_only_its_ledger(user: User) -> None:
    done = user.finish("a sandcastle", **SMALL)
    endless = user.create("an endless road [never finishes]", seconds=4)
    user.wait(endless["id"], lambda seen: seen["stage"] == "generating")
    user.call("POST", "/v1/webhook-endpoints", json={"url": "https://example.com/hook"})
    key = user.call("POST", "/v1/api-keys", json={"name": "laptop", "scope": "write"}).json()["key"]
    account = user.account["id"]
    answer = user.call("DELETE", "/v1/account")
    assert (answer.status_code, answer.json()["object"]) == (202, "account.deletion")
    refused = user.call("POST", "/v1/videos", json={"prompt": "one more", "seconds": 4})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "ACCOUNT_CLOSED")
    refused = User(user.cloud, key).call("POST", "/v1/videos", json={"prompt": "one more", "seconds": 4})
    assert refused.status_code in (401, 403)
    records = erased(user.cloud, account)
    jobs = [job for job in records.jobs if job.account == account]
    assert len(jobs) == 2
    assert all(job.deleted_at is not None and not job.request.prompt and not job.fingerprint for job in jobs)
    entries = sorted((one for one in records.transactions if one.account == account), key=lambda one: one.sequence)
    # Veo bills what it has begun, so nothing is returned for that.
    assert [entry.amount for entry in entries] == [500, -done["cost"], -40]
    invariants.check(records, LiveSettings())


def erased(cloud: Cloud, account_id: str) -> invariants.Records:
    """The store once every video of the account is being erased; the deletion's last phase comes in a quarter of an
    hour."""
    deadline = time.monotonic() + WAIT_S
    while True:
        records = cloud.inside.records()
        (account,) = [one for one in records.accounts if one.id == account_id]
        assert account.closed_at is not None
        if all(job.erasure is not None for job in records.jobs if job.account == account_id):
            assert (account.email, account.webhook_endpoints) == (None, ())
            assert account.sub.startswith("sha256:")
            return records
        assert time.monotonic() < deadline, account
        time.sleep(0.2)
