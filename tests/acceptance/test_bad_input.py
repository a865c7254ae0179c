"""Bad input gets a clear error in the one shape, and loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from testing.cloud import Cloud, User


@pytest.fixture(scope="module")
def user(cloud: Cloud) -> User:
    return cloud.user()


@pytest.fixture(autouse=True)
def nothing_is_charged(user: User) -> Iterator[None]:
    yield
    assert user.ledger == [500]
    assert user.account["active_jobs"] == []


def refused(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The error's details, after checking its shape."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"code", "type", "message", "param", "retryable", "suggested_action", "details", "request_id"}
    assert error["code"] == code
    assert error["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    details: dict[str, Any] = error["details"]
    return details


def post(user: User, raw: bytes, content_type: str = "application/json") -> httpx2.Response:
    return user.call("POST", "/v1/videos", content=raw, headers={"Content-Type": content_type})


@pytest.mark.parametrize("raw", [b"", b"{", b"not json", b'{"prompt": "x"', b"\xff\xfe"])
def test_invalid_json(user: User, raw: bytes) -> None:
    refused(post(user, raw), 400, "INVALID_JSON")


@pytest.mark.parametrize("raw", [b"[]", b'"x"', b"1", b"null"])
def test_json_that_is_not_an_object(user: User, raw: bytes) -> None:
    refused(post(user, raw), 400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n "}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "x", "seconds": "long"}, "seconds"),
        ({"prompt": "x", "seconds": -4}, "seconds"),
        ({"prompt": "x", "size": "big"}, "size"),
        ({"prompt": "x", "aspect_ratio": "4:3"}, "aspect_ratio"),
        ({"prompt": "x", "count": 5}, "count"),
        ({"prompt": "x", "seed": 2**40}, "seed"),
        ({"prompt": "x", "labels": ["a"]}, "labels"),
        ({"prompt": "x", "quality": "best"}, "quality"),
    ],
)
def test_wrong_or_unknown_field_is_named(user: User, body: dict[str, Any], field: str) -> None:
    details = refused(user.call("POST", "/v1/videos", json=body), 400, "INVALID_REQUEST")
    assert details["fields"][0]["field"] == field


def test_prompt_too_long(user: User) -> None:
    details = refused(user.call("POST", "/v1/videos", json={"prompt": "ä" * 2_049}), 400, "PROMPT_TOO_LONG")
    assert details["max_bytes"] == 4_096


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"seconds": 5}, "seconds"),
        ({"seconds": 4, "resolution": "1080p"}, "seconds"),
        ({"model": "veo-3.1-lite", "resolution": "4k"}, "resolution"),
        ({"model": "omni-flash", "negative_prompt": "rain"}, "negative_prompt"),
        ({"model": "omni-flash", "count": 2}, "count"),
        ({"model": "omni-flash", "generate_audio": False}, "generate_audio"),
        ({"size": "123x456"}, "size"),
    ],
)
def test_unsupported_option_names_what_is_supported(user: User, body: dict[str, Any], field: str) -> None:
    answer = user.call("POST", "/v1/videos", json={"prompt": "x", **body})
    details = refused(answer, 400, "UNSUPPORTED_BY_MODEL")
    assert details["field"] == field
    assert "allowed" in details


def test_unknown_model_names_the_known_ones(user: User) -> None:
    answer = user.call("POST", "/v1/videos", json={"prompt": "x", "model": "veo-99"})
    assert "veo-3.1-fast" in refused(answer, 400, "MODEL_NOT_FOUND")["allowed"]


def test_unsupported_content_type(user: User) -> None:
    refused(post(user, b"<prompt/>", "application/xml"), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_body_over_30_mib(user: User) -> None:
    refused(post(user, b" " * (30 * 1024 * 1024 + 1)), 413, "BODY_TOO_LARGE")


def test_small_json_may_not_expand(user: User) -> None:
    body = b'{"url": "https://a.example", "events": [' + b'"x",' * 780_000 + b'"x"]}'
    answer = user.call("POST", "/v1/webhook-endpoints", content=body, headers={"Content-Type": "application/json"})
    assert refused(answer, 413, "BODY_TOO_LARGE") == {"max_bytes": 64 * 1024}


def test_truncated_form(user: User) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    form = part % (b"prompt", b"a kite") + part % (b"seconds", b"4")
    refused(post(user, form, "multipart/form-data; boundary=x"), 400, "INVALID_REQUEST")


@pytest.mark.parametrize("labels", [{"__a__": "b"}, {"": "b"}])
def test_unstorable_label(user: User, labels: dict[str, str]) -> None:
    refused(user.call("POST", "/v1/videos", json={"prompt": "x", "labels": labels}), 400, "INVALID_REQUEST")


def test_idempotency_key_that_no_url_can_carry(user: User) -> None:
    answer = user.call("POST", "/v1/videos", json={"prompt": "x"}, headers={"Idempotency-Key": "../x"})
    refused(answer, 400, "INVALID_REQUEST")


def test_chunked_body_over_30_mib(user: User) -> None:
    pieces = (b" " * 1024 * 1024 for _ in range(31))
    refused(user.call("POST", "/v1/videos", content=pieces), 413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic abc", "Bearer not.a.token", "Bearer x"])
def test_missing_or_invalid_token(cloud: Cloud, user: User, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = cloud.http.get(f"{cloud.url}/v1/videos", headers=headers)
    refused(answer, 401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_token_with_a_tampered_signature(cloud: Cloud, user: User) -> None:
    head, _, signature = user.token.rpartition(".")
    broken = f"{head}.{signature[:-6]}AAAAAA"
    refused(
        cloud.http.get(f"{cloud.url}/v1/account", headers={"Authorization": f"Bearer {broken}"}), 401, "UNAUTHENTICATED"
    )


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/content"), ("POST", "/cancel"), ("DELETE", "")])
def test_another_users_job_is_not_found(cloud: Cloud, user: User, method: str, path: str) -> None:
    other = cloud.user()
    job = other.create("mine [never finishes]", seconds=4)["id"]
    refused(user.call(method, f"/v1/videos/{job}{path}"), 404, "NOT_FOUND")
    assert other.get(job)["status"] in ("queued", "in_progress")
    other.call("POST", f"/v1/videos/{job}/cancel")


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/videos/video_x/nothing", "/v1"])
def test_unknown_path(user: User, path: str) -> None:
    refused(user.call("GET", path), 404, "NOT_FOUND")


def test_wrong_method(user: User) -> None:
    answer = user.call("PATCH", "/v1/videos", json={})
    refused(answer, 405, "METHOD_NOT_ALLOWED")
    assert "GET" in answer.headers["allow"] or "POST" in answer.headers["allow"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "status=done", "color=red", "after=" + "x" * 600])
def test_wrong_or_unknown_query_parameter(user: User, query: str) -> None:
    refused(user.call("GET", f"/v1/videos?{query}"), 400, "INVALID_REQUEST")


def test_machine_routes_reject_users(user: User) -> None:
    answer = user.call("POST", "/tasks/step", json={"job": "video_x", "step": 0})
    assert answer.status_code in (401, 403)


def test_unsigned_event_is_rejected(cloud: Cloud, user: User) -> None:
    answer = cloud.http.post(f"{cloud.url}/hooks/gemini", json={"type": "interaction.completed", "data": {"id": "x"}})
    refused(answer, 401, "UNAUTHENTICATED")
