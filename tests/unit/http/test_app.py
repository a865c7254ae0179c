"""The glue between HTTP and the handlers: every answer has our shape."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from pydantic import ValidationError
from starlette.responses import Response, StreamingResponse

from shared.api.bodies import Body
from shared.api.body_limits import IMAGES, SMALL, BodyLimits
from shared.api.videos import CreateVideo
from shared.api.webhooks import NewWebhookEndpoint
from shared.core.documents import Account, Job
from shared.core.errors import ApiError, NotStorable, Unavailable
from shared.http import app, routes
from shared.http.app import RequestContext, Result, application
from tests.unit.conftest import House
from tests.unit.http.test_routes import load

ALICE = {"Authorization": "Bearer alice"}
ORIGIN = {"Origin": "https://studio.example"}
Ask = Callable[..., Any]


def client_of(app: Any) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://test")


@pytest.fixture
async def history(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """The real history function on the house's services."""
    async with client_of(application(routes.of("history"), load("history").HANDLERS, lambda: house.services)) as client:
        yield client


@pytest.fixture
async def submit(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """The real submit function on the house's services."""
    async with client_of(application(routes.of("submit"), load("submit").HANDLERS, lambda: house.services)) as client:
        yield client


@pytest.fixture
async def poll(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """The real poll function on the house's services."""
    async with client_of(application(routes.of("poll"), load("poll").HANDLERS, lambda: house.services)) as client:
        yield client


def raising(error: BaseException) -> Any:
    async def handler(call: RequestContext) -> Result:
        raise error

    return handler


def client_raising(house: House, error: BaseException) -> httpx2.AsyncClient:
    """The cleanup function, all of whose handlers fail."""
    names = ("sweep", "retain", "reconcile", "digest")
    return client_of(application(routes.of("cleanup"), dict.fromkeys(names, raising(error)), lambda: house.services))


def shape(response: httpx2.Response) -> dict[str, Any]:
    """The error of an answer, in the one shape that errors have."""
    (error,) = response.json().values()
    assert list(error) == ["code", "type", "message", "param", "retryable", "suggested_action", "details", "request_id"]
    assert error["request_id"] == response.headers["x-request-id"]
    return dict(error)


# --- what every answer has ---


async def test_every_response_has_security_headers_and_a_request_id(history: httpx2.AsyncClient) -> None:
    for path in ("/v1/models", "/v1/nothing"):
        headers = (await history.get(path, headers=ALICE)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["strict-transport-security"].startswith("max-age=")
        assert headers["x-request-id"].startswith("req_")
        assert headers["cache-control"] == "no-store"


async def test_request_ids_are_unique(history: httpx2.AsyncClient) -> None:
    ids = {(await history.get("/v1/models", headers=ALICE)).headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


async def test_logs_carry_request_id_and_trace(house: House, capsys: Any) -> None:
    async with client_raising(house, RuntimeError("boom")) as client:
        response = await client.post("/tasks/sweep", headers={"X-Cloud-Trace-Context": "abc123/456;o=1"})
    entry = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert entry["request_id"] == response.headers["x-request-id"]
    assert entry["logging.googleapis.com/trace"] == "projects/rushes-test/traces/abc123"
    assert entry["logging.googleapis.com/spanId"] == "456"


# --- errors ---


async def test_unknown_path_is_our_404(history: httpx2.AsyncClient) -> None:
    response = await history.get("/v1/nothing")
    assert response.status_code == 404
    assert shape(response)["code"] == "NOT_FOUND"


async def test_wrong_method_error_names_the_allowed_ones(history: httpx2.AsyncClient) -> None:
    response = await history.put("/v1/videos", headers=ALICE)
    assert response.status_code == 405
    assert shape(response)["code"] == "METHOD_NOT_ALLOWED"
    assert {method.strip() for method in response.headers["allow"].split(",")} == {"GET", "HEAD"}


async def test_unexpected_error_is_internal_without_a_stack_trace(house: House, capsys: Any) -> None:
    async with client_raising(house, RuntimeError("the secret cause")) as client:
        response = await client.post("/tasks/sweep")
    assert response.status_code == 500
    assert shape(response)["code"] == "INTERNAL"
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert "the secret cause" in capsys.readouterr().out


async def test_unresponsive_dependency_is_unavailable_with_retry_after(house: House) -> None:
    async with client_raising(house, Unavailable("Firestore: details")) as client:
        response = await client.post("/tasks/sweep")
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert shape(response)["code"] == "UNAVAILABLE"
    assert "Firestore" not in response.text


async def test_unstorable_input_is_a_client_error_and_not_retried(house: House) -> None:
    async with client_raising(house, NotStorable("labels.__a__", "the name is reserved")) as client:
        response = await client.post("/tasks/sweep")
    assert (response.status_code, shape(response)["code"]) == (400, "INVALID_REQUEST")
    assert shape(response)["details"] == {"fields": [{"field": "labels.__a__", "message": "the name is reserved"}]}


@pytest.mark.parametrize("labels", [{"__a__": "b"}, {"": "b"}, {"x" * 64: "b"}, {"a": "x" * 256}])
async def test_unstorable_label_is_named(submit: httpx2.AsyncClient, labels: dict[str, str]) -> None:
    response = await submit.post("/v1/videos", headers=ALICE, json={"prompt": "p", "labels": labels})
    assert (response.status_code, shape(response)["code"]) == (400, "INVALID_REQUEST")
    assert shape(response)["details"]["fields"][0]["field"].startswith("labels")


@pytest.mark.parametrize(
    ("code", "should"),
    [
        ("TOO_MANY_ACTIVE_JOBS", "true"),
        ("UNAVAILABLE", "true"),
        ("GENERATION_DISABLED", "true"),
        ("JOB_NOT_FINISHED", "false"),
        ("INTERNAL", "false"),
        ("INSUFFICIENT_CREDITS", "false"),
        ("IDEMPOTENCY_KEY_REUSED", "false"),
        ("NOT_FOUND", "false"),
    ],
)
async def test_x_should_retry_is_set_for_retrying_clients(house: House, code: str, should: str) -> None:
    async with client_raising(house, ApiError(code)) as client:
        response = await client.post("/tasks/sweep", headers={"Idempotency-Key": "k"})
    assert response.headers["x-should-retry"] == should


async def test_rejected_post_without_a_key_says_do_not_retry(submit: httpx2.AsyncClient, house: House) -> None:
    """Such a repeat would look like the repeat of an accepted request, and would get that request's video."""
    await house.sign_up()
    house.configure(active_jobs_limit=0)
    said = {}
    for key in (None, "k"):
        headers = ALICE | ({"Idempotency-Key": key} if key else {})
        response = await submit.post("/v1/videos", json={"prompt": "a kite"}, headers=headers)
        said[key] = (shape(response)["code"], response.headers["x-should-retry"])
    assert said == {None: ("TOO_MANY_ACTIVE_JOBS", "false"), "k": ("TOO_MANY_ACTIVE_JOBS", "true")}


async def test_error_keeps_its_own_headers_and_details(house: House) -> None:
    error = ApiError("RATE_LIMITED", "Slower.", {"limit": 5}, retry_after_s=9, headers={"X-Own": "1"})
    async with client_raising(house, error) as client:
        response = await client.post("/tasks/sweep")
    assert (response.headers["retry-after"], response.headers["x-own"]) == ("9", "1")
    assert (shape(response)["message"], shape(response)["details"]) == ("Slower.", {"limit": 5})


async def test_broken_response_is_not_followed_by_another(house: House) -> None:
    async def broken(call: RequestContext) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("boom")

        return StreamingResponse(pieces())

    started: list[int] = []
    app = application(
        routes.of("cleanup"), dict.fromkeys(("sweep", "retain", "reconcile", "digest"), broken), lambda: house.services
    )

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            started.extend([1] if message["type"] == "http.response.start" else [])
            await send(message)

        await app(scope, receive, sent)

    async with client_of(counted) as client:
        await client.post("/tasks/sweep")
    assert len(started) == 1


async def test_client_leaving_mid_body_is_no_error(house: House, capsys: Any) -> None:
    app = application(routes.of("poll"), load("poll").HANDLERS, lambda: house.services)
    received = iter(({"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}))
    sent: list[Any] = []

    async def receive() -> Any:
        return next(received)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/tasks/step", "query_string": b"", "headers": []}
    await app(scope, receive, send)
    logged = capsys.readouterr().out
    assert sent == []
    assert '"client_left"' in logged
    assert '"ERROR"' not in logged


# --- bodies that are slow, or break off ---


def scope_of(path: str, **headers: str) -> dict[str, Any]:
    listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": listed}


async def exchanged(house: House, scope: dict[str, Any], messages: list[Any]) -> tuple[int, dict[str, str], Any]:
    """The answer to a request whose body comes in these messages, after which nothing comes any more."""
    app = application(routes.of("poll"), load("poll").HANDLERS, lambda: house.services)
    sent: list[Any] = []

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        return await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:
        sent.append(message)

    await asyncio.wait_for(app(scope, receive, send), 30)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, json.loads(sent[1]["body"])["error"]


async def test_stalled_body_times_out_and_closes_the_connection(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    (step,) = (row for row in routes.ROUTES if row.name == "step")
    hurried = replace(step, limits=BodyLimits(max_s=0.05))
    monkeypatch.setattr(routes, "ROUTES", tuple(hurried if row is step else row for row in routes.ROUTES))
    begun = {"type": "http.request", "body": b"{", "more_body": True}
    status, headers, error = await exchanged(house, scope_of("/tasks/step"), [begun])
    assert (status, error["code"], error["retryable"]) == (408, "BODY_TIMEOUT", True)
    assert headers["connection"] == "close"


@pytest.mark.parametrize(
    ("received_bytes", "allowed_s"), [(0, 15.0), (8 * 1024, 16.0), (8 * 1024 * 20, 35.0), (30 * 1024 * 1024, 90.0)]
)
def test_body_must_keep_arriving_to_get_more_time(received_bytes: int, allowed_s: float) -> None:
    assert IMAGES.allowed_s(received_bytes) == allowed_s
    assert SMALL.allowed_s(received_bytes) == 15.0


async def test_body_shorter_than_its_length_is_rejected(house: House) -> None:
    whole = {"type": "http.request", "body": b'{"job": "video_none", "step": 0}', "more_body": False}
    status, _, error = await exchanged(house, scope_of("/tasks/step", content_length="33"), [whole])
    assert (status, error["code"]) == (400, "INVALID_REQUEST")


async def test_endless_body_is_not_drained(house: House) -> None:
    piece = {"type": "http.request", "body": b" " * SMALL.max_bytes, "more_body": True}
    messages = [piece] * 1_000
    status, headers, error = await exchanged(house, scope_of("/tasks/step"), messages)
    assert (status, error["code"], headers["connection"]) == (413, "BODY_TOO_LARGE", "close")
    assert len(messages) > 900


# --- callers ---


async def test_missing_credentials_reveal_nothing(history: httpx2.AsyncClient) -> None:
    response = await history.get("/v1/videos")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert shape(response)["code"] == "UNAUTHENTICATED"


async def test_disabled_account_is_forbidden(house: House, history: httpx2.AsyncClient) -> None:
    first = await history.get("/v1/account", headers=ALICE)
    house.store.edit("accounts", first.json()["id"], {"disabled": True})
    house.clock.advance(60)
    response = await history.get("/v1/account", headers=ALICE)
    assert (response.status_code, shape(response)["code"]) == (403, "ACCOUNT_DISABLED")


async def test_machines_need_no_account(house: House, poll: httpx2.AsyncClient) -> None:
    response = await poll.post("/tasks/step", json={"job": "video_none", "step": 0})
    assert (response.status_code, response.content) == (204, b"")
    assert house.store.documents(Account) == []


# --- CORS ---


async def test_allowed_origin_may_read_the_response(history: httpx2.AsyncClient) -> None:
    headers = (await history.get("/v1/models", headers={**ALICE, **ORIGIN})).headers
    assert headers["access-control-allow-origin"] == "https://studio.example"
    assert "Retry-After" in headers["access-control-expose-headers"]
    assert "Origin" in headers["vary"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://studio.example.evil.example", "http://studio.example", "null", ""]
)
async def test_other_origin_may_not(history: httpx2.AsyncClient, origin: str) -> None:
    headers = (await history.get("/v1/models", headers={**ALICE, "Origin": origin})).headers
    assert "access-control-allow-origin" not in headers
    assert "Origin" in headers["vary"]


async def test_allowed_origin_may_read_errors_too(history: httpx2.AsyncClient) -> None:
    response = await history.get("/v1/nothing", headers=ORIGIN)
    assert response.headers["access-control-allow-origin"] == "https://studio.example"


async def test_preflight_is_answered_first(history: httpx2.AsyncClient) -> None:
    asked = {**ORIGIN, "Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}
    response = await history.options("/v1/videos/video_x", headers=asked)
    assert (response.status_code, response.content) == (204, b"")
    assert "DELETE" in response.headers["access-control-allow-methods"]
    assert {"Authorization", "Idempotency-Key"} <= {
        name.strip() for name in response.headers["access-control-allow-headers"].split(",")
    }


async def test_preflight_of_another_origin_is_rejected(history: httpx2.AsyncClient) -> None:
    response = await history.options("/v1/videos", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in response.headers


# --- bodies ---


async def test_declared_oversize_body_is_rejected(submit: httpx2.AsyncClient, house: House) -> None:
    response = await submit.post("/v1/videos", headers=ALICE, content=b"x" * (IMAGES.max_bytes + 1))
    assert response.status_code == 413
    assert shape(response)["details"] == {"max_bytes": IMAGES.max_bytes}
    assert house.store.documents(Account) == []


async def test_undeclared_oversize_body_is_rejected(submit: httpx2.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(31):
            yield b" " * 1024 * 1024

    response = await submit.post("/v1/videos", headers=ALICE, content=pieces())
    assert (response.status_code, shape(response)["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "INVALID_JSON"),
        (b"{", 400, "INVALID_JSON"),
        (b"\xff\xfe", 400, "INVALID_JSON"),
        (b'{"prompt": "\\ud800"}', 400, "INVALID_JSON"),
        (b"[]", 400, "INVALID_REQUEST"),
        (b"null", 400, "INVALID_REQUEST"),
        (b"{}", 400, "INVALID_REQUEST"),
        (b'{"prompt": "p", "seconds": 7.5}', 400, "INVALID_REQUEST"),
        (b"[" * 900, 400, "INVALID_JSON"),
        (b"[" * 100_000, 400, "INVALID_REQUEST"),
    ],
)
async def test_unreadable_body_is_rejected(submit: httpx2.AsyncClient, content: bytes, status: int, code: str) -> None:
    response = await submit.post("/v1/videos", headers={**ALICE, "Content-Type": "application/json"}, content=content)
    assert (response.status_code, shape(response)["code"]) == (status, code)


async def test_unknown_field_is_named(submit: httpx2.AsyncClient) -> None:
    response = await submit.post("/v1/videos", headers=ALICE, json={"prompt": "p", "lenght": 8})
    assert shape(response)["details"] == {"fields": [{"field": "lenght", "message": "unknown field"}]}


async def test_input_is_not_echoed(submit: httpx2.AsyncClient) -> None:
    response = await submit.post("/v1/videos", headers=ALICE, json={"prompt": 7, "seed": "<script>"})
    assert response.status_code == 400
    assert "<script>" not in response.text


async def test_small_json_may_not_expand(history: httpx2.AsyncClient, house: House) -> None:
    """The attack: 3 MiB of wrong values to an operation whose bodies have some hundred bytes."""
    body = b'{"url": "https://a.example", "events": [' + b'"x",' * 780_000 + b'"x"]}'
    response = await history.post("/v1/webhook-endpoints", headers=ALICE, content=body)
    assert (response.status_code, shape(response)["details"]) == (413, {"max_bytes": SMALL.max_bytes})
    assert house.store.documents(Account) == []


WRONG_VALUES = {
    "events": {"url": "https://a.example", "events": ["x"] * 16_000},
    "unknown fields": {"url": "https://a.example", **{str(number): 0 for number in range(7_000)}},
    "nested": {"url": "https://a.example", "events": [[[]]] * 10_000},
}


@pytest.mark.parametrize("wrong", WRONG_VALUES.values(), ids=WRONG_VALUES)
async def test_many_wrong_values_do_not_build_an_error_each(
    history: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    """A validator builds all errors before reporting any, so that many values never reach it."""
    built = []
    monkeypatch.setattr(app, "_invalid", lambda error: built.append(error.error_count()) or ApiError("INTERNAL"))
    body = json.dumps(wrong, separators=(",", ":")).encode()
    assert len(body) <= SMALL.max_bytes
    response = await history.post("/v1/webhook-endpoints", headers=ALICE, content=body)
    assert (response.status_code, shape(response)["code"]) == (400, "INVALID_REQUEST")
    assert built == []


@pytest.mark.parametrize("field", ["events", "reference_images", "labels"])
def test_list_or_map_is_read_up_to_its_first_error(field: str) -> None:
    model = NewWebhookEndpoint if field == "events" else CreateVideo
    wrong = {str(number): number for number in range(300)} if field == "labels" else ["x"] * 900
    raw = json.dumps({"url": "https://a.example", "prompt": "p", field: wrong}).encode()
    with pytest.raises(ValidationError) as error:
        model.model_validate_json(raw)
    # One for the first value, and perhaps one for the list that it leaves too short.
    assert 1 <= sum(problem["loc"][0] == field for problem in error.value.errors()) <= 2


async def test_query_is_bounded(history: httpx2.AsyncClient) -> None:
    response = await history.get("/v1/videos?" + "&".join(f"{n}=" for n in range(2_000)), headers=ALICE)
    assert (response.status_code, shape(response)["code"]) == (400, "INVALID_REQUEST")


async def test_compressed_body_is_rejected(submit: httpx2.AsyncClient) -> None:
    response = await submit.post(
        "/v1/videos", headers={**ALICE, "Content-Encoding": "gzip", "Content-Type": "application/json"}, content=b"{}"
    )
    assert (response.status_code, shape(response)["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert "Content-Encoding" in shape(response)["message"]
    assert response.headers["accept-encoding"] == "identity"


async def test_byte_order_mark_is_skipped(submit: httpx2.AsyncClient, house: House) -> None:
    await house.sign_up()
    headers = {**ALICE, "Content-Type": "application/json"}
    for mark, status in ((b"\xef\xbb\xbf", 202), (b"\xef\xbb\xbf" * 2, 400), (b"\xff\xfe", 400)):
        response = await submit.post("/v1/videos", headers=headers, content=mark + b'{"prompt": "p"}')
        assert response.status_code == status, response.text


BODIES = sorted(
    {row.body for row in routes.ROUTES if row.body and issubclass(row.body, Body)}, key=lambda body: body.__name__
)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_null_means_omitted(body: type[Body]) -> None:
    """Typed clients send all of their fields. Where null means something of its own, the model says so."""
    nulls = {
        name: None
        for name, field in body.model_fields.items()
        if not field.is_required() and name not in body.null_removes
    }
    least = {name: example(body, name) for name, field in body.model_fields.items() if field.is_required()}
    read = body.model_validate_json(json.dumps(least | nulls))
    assert read == body.model_validate(least)
    assert read.model_fields_set == set(least)
    with pytest.raises(ValidationError, match="lenght"):
        body.model_validate(least | {"lenght": None})


def example(body: type[Body], name: str) -> Any:
    samples = {
        "job": "video_x",
        "step": 0,
        "scope": "read",
        "amount": 1,
        "url": "https://a.example",
        "video": "video_" + "x" * 22,
    }
    return samples.get(name, "x")


async def test_null_does_not_change_the_idempotency_fingerprint(submit: httpx2.AsyncClient, house: House) -> None:
    await house.sign_up()
    headers = ALICE | {"Idempotency-Key": "k"}
    nulls = {"count": None, "labels": None, "seconds": None, "reference_images": None, "input_reference": None}
    made = await submit.post("/v1/videos", headers=headers, json={"prompt": "p", **nulls})
    again = await submit.post("/v1/videos", headers=headers, json={"prompt": "p"})
    assert (made.status_code, again.status_code) == (202, 200), made.text
    assert made.json()["id"] == again.json()["id"]


async def test_only_the_first_ten_errors_are_named(submit: httpx2.AsyncClient) -> None:
    response = await submit.post("/v1/videos", headers=ALICE, json={f"field{number}": 1 for number in range(500)})
    assert len(shape(response)["details"]["fields"]) == app.MAX_DETAIL_FIELDS


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
async def test_unsupported_content_type_is_rejected(submit: httpx2.AsyncClient, media_type: str) -> None:
    response = await submit.post(
        "/v1/videos", headers={**ALICE, "Content-Type": media_type}, content=b'{"prompt": "p"}'
    )
    assert (response.status_code, shape(response)["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_unknown_query_parameter_is_named(history: httpx2.AsyncClient) -> None:
    response = await history.get("/v1/videos?limti=5", headers=ALICE)
    assert shape(response)["details"]["fields"][0]["field"] == "limti"


# --- the handlers are skins ---


async def test_video_is_created_read_listed_and_deleted(
    house: House, submit: httpx2.AsyncClient, history: httpx2.AsyncClient
) -> None:
    body = {"prompt": "p", "model": "omni-flash", "seconds": 3, "resolution": "360p"}
    created = await submit.post("/v1/videos", headers={**ALICE, "Idempotency-Key": "k"}, json=body)
    assert created.status_code == 202
    video_id = created.json()["id"]
    assert created.headers["location"] == f"/v1/videos/{video_id}"
    again = await submit.post("/v1/videos", headers={**ALICE, "Idempotency-Key": "k"}, json=body)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert (await history.get(f"/v1/videos/{video_id}", headers=ALICE)).json()["id"] == video_id
    assert [video["id"] for video in (await history.get("/v1/videos", headers=ALICE)).json()["data"]] == [video_id]
    unfinished = await history.delete(f"/v1/videos/{video_id}", headers=ALICE)
    assert (unfinished.status_code, shape(unfinished)["code"]) == (409, "JOB_NOT_FINISHED")
    canceled = await submit.post(f"/v1/videos/{video_id}/cancel", headers=ALICE)
    assert (canceled.json()["refunded"], canceled.json()["kept"]) == (30, 0)
    assert (await history.delete(f"/v1/videos/{video_id}", headers=ALICE)).json()["deleted"] is True
    assert (await history.get(f"/v1/videos/{video_id}", headers=ALICE)).status_code == 404
    types = [entry["type"] for entry in (await history.get("/v1/account/transactions", headers=ALICE)).json()["data"]]
    assert types == ["refund", "charge", "signup"]


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"x" * 256,
        "é".encode() * 256,
        b"caf\xe9",
        b"\xed\xa0\xbd",
        b"a\x01",
        b"a\x7f",
        b"\xc2\x85",
        b"..",
        b"a/./b",
    ],
)
async def test_idempotency_key_without_possible_receipt_is_rejected(
    house: House, submit: httpx2.AsyncClient, key: bytes
) -> None:
    headers = [*((name.encode(), value.encode()) for name, value in ALICE.items()), (b"idempotency-key", key)]
    response = await submit.post("/v1/videos", headers=headers, json={"prompt": "p"})
    assert (response.status_code, shape(response)["code"]) == (400, "INVALID_REQUEST")
    assert shape(response)["details"]["fields"][0]["field"] == "Idempotency-Key"
    assert house.store.documents(Job) == []


@pytest.mark.parametrize(
    "key",
    [
        "order/2024/1",
        "/",
        "//a//",
        "100%",
        "%2F",
        "%",
        "a?b#c&d=e",
        "Ünïcödé 日本",
        "a b",
        '"quoted"',
        "...",
        "😀" * 255,
    ],
)
async def test_every_accepted_idempotency_key_has_a_receipt(
    submit: httpx2.AsyncClient, history: httpx2.AsyncClient, key: str
) -> None:
    headers = [*((name.encode(), value.encode()) for name, value in ALICE.items()), (b"idempotency-key", key.encode())]
    created = await submit.post("/v1/videos", headers=headers, json={"prompt": "p"})
    assert created.status_code == 202, created.text
    receipt = await history.get(f"/v1/idempotency-keys/{quote(key, safe='')}", headers=ALICE)
    assert receipt.status_code == 200, receipt.text
    assert (receipt.json()["video"], receipt.json()["key"]) == (created.json()["id"], key)


async def test_unfinished_submission_is_unavailable_with_the_job_id(house: House, submit: httpx2.AsyncClient) -> None:
    await submit.post("/v1/videos/estimate", headers=ALICE, json={"prompt": "p"})
    house.store.fail("get_all", times=10_000)
    response = await submit.post("/v1/videos", headers=ALICE, json={"prompt": "p"})
    assert response.status_code == 503
    assert shape(response)["details"]["video"].startswith("video_")


async def test_step_reports_its_result_to_the_queue(house: House, poll: httpx2.AsyncClient) -> None:
    job = await house.submit(await house.sign_up())
    first = await poll.post("/tasks/step", json={"job": job.id, "step": 0})
    assert (first.status_code, first.content) == (204, b"")
    assert house.creates == 1


async def test_step_under_a_lease_is_retried_and_not_logged_as_an_error(house: House, poll: httpx2.AsyncClient) -> None:
    from shared.core import events
    from shared.jobs.transitions import apply

    job = await house.submit(await house.sign_up())
    await apply(house.services, job.id, events.LeaseRequested(0, "other"))
    assert (await poll.post("/tasks/step", json={"job": job.id, "step": 0})).status_code == 500


async def test_another_users_video_is_not_found(
    house: House, submit: httpx2.AsyncClient, history: httpx2.AsyncClient
) -> None:
    created = await submit.post("/v1/videos", headers=ALICE, json={"prompt": "p"})
    video_id = created.json()["id"]
    bob = {"Authorization": "Bearer bob"}
    assert (await history.get(f"/v1/videos/{video_id}", headers=bob)).status_code == 404
    assert (await history.delete(f"/v1/videos/{video_id}", headers=bob)).status_code == 404
    assert (await submit.post(f"/v1/videos/{video_id}/cancel", headers=bob)).status_code == 404
    assert (await history.get("/v1/videos", headers=bob)).json()["data"] == []


@pytest.mark.parametrize("path", ["/v1/videos/", "/v1/videos//", "/v1/videos/..%2F", "//v1/videos"])
async def test_trailing_slash_is_not_found(history: httpx2.AsyncClient, path: str) -> None:
    response = await history.get(path, headers={**ALICE, "Host": "evil.example"})
    assert (response.status_code, shape(response)["code"]) == (404, "NOT_FOUND")


async def test_head_is_get_without_its_body(history: httpx2.AsyncClient) -> None:
    response = await history.head("/v1/models", headers=ALICE)
    assert (response.status_code, response.content) == (200, b"")


async def test_estimated_price_is_the_charged_price(submit: httpx2.AsyncClient) -> None:
    body = {"prompt": "p", "model": "veo-3.1-fast", "seconds": 6}
    estimate = await submit.post("/v1/videos/estimate", headers=ALICE, json=body)
    created = await submit.post("/v1/videos", headers=ALICE, json=body)
    assert estimate.json()["cost"] == created.json()["cost"] == 60
