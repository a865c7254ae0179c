"""Pages of other origins: what a browser asks before a request, and what it lets a page read of the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import httpx2
import openai
import pytest

from shared.http import routes
from shared.http.app import application
from tests.unit.conftest import House
from tests.unit.http.test_routes import load

PAGE = "https://studio.example"
# Of the Fetch standard: these need no permission.
SAFELISTED_SENT = {"accept", "accept-language", "content-language", "range"}
# What a browser, or the network, adds or forbids: no page sets them.
OF_THE_BROWSER = {"host", "connection", "user-agent", "content-length", "accept-encoding"}
SAFELISTED_READ = {
    "cache-control",
    "content-language",
    "content-length",
    "content-type",
    "expires",
    "last-modified",
    "pragma",
}


@pytest.fixture
async def submit(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    app = application(routes.of("submit"), load("submit").HANDLERS, lambda: house.services)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test") as client:
        yield client


async def blocked(client: httpx2.AsyncClient, method: str, names: Iterable[str], origin: str = PAGE) -> set[str]:
    """The headers for which a browser would not send a page's request, after the preflight that it sends."""
    unsafe = sorted({name.lower() for name in names} - SAFELISTED_SENT - OF_THE_BROWSER)
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    answer = await client.options("/v1/videos", headers=asked | {"Access-Control-Request-Headers": ",".join(unsafe)})
    assert (answer.status_code, answer.content) == (204, b"")
    assert {"Origin", "Access-Control-Request-Headers"} <= listed(answer, "vary")
    if answer.headers.get("access-control-allow-origin") != origin:
        return {"origin"}
    assert method in listed(answer, "access-control-allow-methods")
    return set(unsafe) - {name.lower() for name in listed(answer, "access-control-allow-headers")}


def listed(answer: httpx2.Response, name: str) -> set[str]:
    return {one.strip() for one in answer.headers.get(name, "").split(",")}


async def test_openai_sdk_headers_are_allowed(submit: httpx2.AsyncClient) -> None:
    sent: list[httpx2.Request] = []

    def answered(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(400, json={})

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answered))
    client = openai.AsyncOpenAI(base_url="http://test/v1", api_key="k", http_client=http, organization="o", project="p")
    with pytest.raises(openai.BadRequestError), pytest.warns(DeprecationWarning):
        await client.videos.create(prompt="a kite", timeout=9, extra_headers={"OpenAI-Beta": "videos=v1"})
    assert any(name.startswith("x-stainless-") for name in sent[0].headers)
    assert await blocked(submit, "POST", sent[0].headers) == set()


@pytest.mark.parametrize(
    "names",
    [
        ("traceparent", "tracestate", "baggage"),
        ("sentry-trace", "baggage"),
        ("x-b3-traceid", "x-b3-spanid", "b3", "x-datadog-trace-id"),
        ("x-stainless-os", "x-stainless-helper-method", "x-stainless-custom-poll-interval", "x-client-request-id"),
        ("if-match", "if-none-match", "if-modified-since", "if-range", "last-event-id", "idempotency-key"),
    ],
)
async def test_tracing_and_client_headers_are_allowed(submit: httpx2.AsyncClient, names: tuple[str, ...]) -> None:
    assert await blocked(submit, "POST", names) == set()


@pytest.mark.parametrize(
    "name", ["x-anything", "cookie", "x-stainless-", "x-stainless-\N{KELVIN SIGN}", "x-stainless-a b", "stainless-os"]
)
async def test_unused_headers_are_not_allowed(submit: httpx2.AsyncClient, name: str) -> None:
    asked = [(b"Origin", PAGE.encode()), (b"Access-Control-Request-Headers", f"authorization,{name}".encode())]
    answer = await submit.options("/v1/videos", headers=asked)
    allowed = {one.lower() for one in listed(answer, "access-control-allow-headers")}
    assert "authorization" in allowed
    assert name not in allowed
    assert len(allowed) == 23


async def test_preflight_is_bounded_and_per_origin(submit: httpx2.AsyncClient) -> None:
    assert await blocked(submit, "POST", ["authorization"], origin="https://evil.example") == {"origin"}
    many = [f"x-stainless-{number}" for number in range(500)]
    assert await blocked(submit, "POST", many) == set(many)


async def test_page_can_read_every_header_that_clients_use(submit: httpx2.AsyncClient, house: House) -> None:
    await house.sign_up()
    headers = {"Authorization": "Bearer alice", "Origin": PAGE}
    made = await submit.post("/v1/videos", headers=headers, json={"prompt": "a kite"})
    failed = await submit.post("/v1/videos", headers=headers, json={})
    for answer in (made, failed):
        readable = {one.lower() for one in listed(answer, "access-control-expose-headers")} | SAFELISTED_READ
        for_clients = {name for name in answer.headers if not name.startswith(("access-control-", "x-content-type"))}
        of_browsers = {"vary", "x-frame-options", "referrer-policy", "content-security-policy"}
        assert for_clients - of_browsers - {"strict-transport-security"} <= readable
    assert "openai-poll-after-ms" in made.headers
    assert "x-should-retry" in failed.headers
