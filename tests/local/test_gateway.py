"""The gateway is a load balancer that a request passes unchanged, and a guard in front of the private functions."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from local.gateway.admission import SIGNATURE_REMOVED, Admission
from local.gateway.proxy import Proxy
from local.gateway.server import Gateway, RoutingTable
from local.identity.keys import ensure_key
from local.identity.oidc import Minter
from shared.api.routing import FUNCTIONS
from shared.http.routes import ROUTES

AUDIENCE = "http://gateway"
QUEUE = "tasks@rushes-local.iam.gserviceaccount.com"
FILM_MIB = 33


@asynccontextmanager
async def serving(*apps: ASGIApp) -> AsyncIterator[list[str]]:
    """The apps, each on a real socket; their URLs."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in apps]
    servers = [
        uvicorn.Server(
            uvicorn.Config(app, log_level="error", lifespan="off", proxy_headers=False, timeout_graceful_shutdown=1)
        )
        for app in apps
    ]
    tasks = [
        asyncio.create_task(server.serve(sockets=[listener]))
        for server, listener in zip(servers, listeners, strict=True)
    ]
    try:
        yield [f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    finally:
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks)
        for listener in listeners:
            listener.close()


async def eventually(condition: asyncio.Event) -> None:
    await asyncio.wait_for(condition.wait(), 20)


class Function:
    """A function that echoes its request, and does what tests of a proxy need."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.go_on = asyncio.Event()
        self.left = asyncio.Event()
        self.received = 0
        self.app = Starlette(
            routes=[
                Route("/v1/events", self.events),
                Route("/v1/upload", self.upload, methods=["POST"]),
                Route("/v1/deaf", self.deaf, methods=["POST"]),
                Route("/v1/slow", self.slow, methods=["POST"]),
                Route("/v1/packed", self.packed),
                Route("/v1/film", self.film),
                Route("/{path:path}", self.echo, methods=["GET", "POST", "DELETE", "PATCH", "OPTIONS", "PUT"]),
            ]
        )

    async def echo(self, request: Request) -> Response:
        said = {
            "function": self.name,
            "method": request.method,
            "target": request.scope["raw_path"].decode() + "?" + request.url.query,
            "headers": [[name.decode(), value.decode()] for name, value in request.scope["headers"]],
            "body": (await request.body()).decode(),
        }
        response = JSONResponse(said, 418, {"Connection": "x-private", "X-Private": "1", "X-Public": "1"})
        response.raw_headers += [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
        return response

    async def events(self, _request: Request) -> Response:
        async def lines() -> AsyncIterator[bytes]:
            try:
                yield b"data: one\n\n"
                await self.go_on.wait()
                yield b"data: two\n\n"
                await asyncio.Event().wait()
            finally:
                self.left.set()

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def upload(self, request: Request) -> Response:
        try:
            async for chunk in request.stream():
                self.received += len(chunk)
                self.go_on.set()
        finally:
            self.left.set()
        return JSONResponse({"received": self.received})

    async def deaf(self, _request: Request) -> Response:
        return JSONResponse({"error": "too large"}, 413, {"Connection": "close"})

    async def slow(self, request: Request) -> Response:
        """It gives up as soon as the first piece of the body is there."""
        await anext(request.stream())
        return JSONResponse({"error": "too slow"}, 408, {"Connection": "close"})

    async def packed(self, _request: Request) -> Response:
        return Response(gzip.compress(b"packed"), headers={"Content-Encoding": "gzip", "ETag": '"1"'})

    async def film(self, request: Request) -> Response:
        async def blocks() -> AsyncIterator[bytes]:
            for _ in range(FILM_MIB):
                yield bytes(1024 * 1024)

        stated = {"Content-Length": str(FILM_MIB * 1024 * 1024)} if "stated" in request.query_params else {}
        return StreamingResponse(blocks(), headers=stated)


class World:
    """All functions behind a gateway, each on its own socket."""

    def __init__(self, url: str, functions: dict[str, Function], minter: Minter) -> None:
        self.url = url
        self.functions = functions
        self.minter = minter
        self.http = httpx2.AsyncClient(base_url=url, timeout=30)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    web = tmp_path / "web"
    web.mkdir()
    (web / "index.html").write_text("<!doctype html><title>Rushes</title>")
    (web / "app.js").write_text("export {}")
    (tmp_path / "secret").write_text("not for pages")
    ensure_key(tmp_path / "oidc.pem")
    functions = {name: Function(name) for name in FUNCTIONS}
    async with serving(*(function.app for function in functions.values()), Function("identity").app) as urls:
        proxies = {name: Proxy(name, url) for name, url in zip((*functions, "identity"), urls, strict=True)}
        gateway = Gateway(
            {name: proxies[name] for name in FUNCTIONS},
            proxies["identity"],
            web,
            admission=Admission(tmp_path / "oidc.pem", AUDIENCE, [QUEUE]),
            media_origins="http://storage:1",
        )
        async with serving(gateway) as (url,):
            world = World(url, functions, Minter.from_file(tmp_path / "oidc.pem"))
            yield world
            await world.http.aclose()
        for proxy in proxies.values():
            await proxy.aclose()


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: row.name)
def test_route_goes_to_its_function(row: Any) -> None:
    """The table of all routes is what the gateway routes by."""
    path = row.path.replace("{id}", "video_0123456789abcdefghijkl")
    assert RoutingTable().function(row.method, path) == row.function


@pytest.mark.parametrize(
    ("method", "path", "function"),
    [
        ("HEAD", "/v1/videos", "history"),
        ("HEAD", "/v1/videos/video_1/content", "stream"),
        ("POST", "/v1/videos/estimate", "submit"),
        ("DELETE", "/v1/videos/video_1", "history"),
        ("PUT", "/v1/videos/video_1/content", "stream"),
        ("GET", "/v1/nothing/of/the/kind", "history"),
        ("GET", "/v1", "history"),
        ("POST", "/hooks/unknown", "submit"),
        ("POST", "/tasks/webhook", "deliver"),
        ("POST", "/tasks/unknown", "poll"),
        ("GET", "/v1videos", None),
        ("GET", "/", None),
    ],
)
def test_other_requests_go_where_they_are_handled(method: str, path: str, function: str | None) -> None:
    """HEAD follows GET; a wrong method goes to an owner of the path (405), an unknown path to a function (404)."""
    assert RoutingTable().function(method, path) == function


def test_preflight_goes_where_the_request_will() -> None:
    """One path may belong to two functions."""
    table = RoutingTable()
    assert table.function("OPTIONS", "/v1/videos", "POST") == "submit"
    assert table.function("OPTIONS", "/v1/videos", "GET") == "history"


async def test_request_passes_unchanged(world: World) -> None:
    """Method, path with its escapes, query, body, headers and the host it was sent to."""
    answer = await world.http.request(
        "PATCH",
        "/v1/account/a%2Fb%20c?x=1&x=%C3%A9",
        content=b"body",
        headers=[("X-Twice", "1"), ("X-Twice", "2"), ("Connection", "x-hop"), ("X-Hop", "1"), ("TE", "trailers")],
    )
    said = answer.json()
    headers = [(name, value) for name, value in said["headers"]]
    assert answer.status_code == 418
    assert (said["method"], said["target"], said["body"]) == ("PATCH", "/v1/account/a%2Fb%20c?x=1&x=%C3%A9", "body")
    assert [value for name, value in headers if name == "x-twice"] == ["1", "2"]
    assert dict(headers)["host"] == world.url.removeprefix("http://")
    assert {"x-hop", "te", "connection"} & {name for name, value in headers if value != "keep-alive"} == set()


async def test_function_learns_caller_and_protocol(world: World) -> None:
    """As the load balancer does; an address already given stays in front."""
    answer = await world.http.get("/v1/account", headers={"X-Forwarded-For": "192.0.2.1"})
    headers = dict(answer.json()["headers"])
    assert headers["x-forwarded-for"] == "192.0.2.1, 127.0.0.1"
    assert (headers["x-forwarded-proto"], headers["x-forwarded-host"]) == ("http", headers["host"])
    assert headers["x-cloud-trace-context"].endswith(";o=1")


async def test_response_passes_unchanged(world: World) -> None:
    """Repeated headers stay repeated, encoded bodies encoded, and only the connection's own headers go."""
    answer = await world.http.get("/v1/account")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert "x-private" not in answer.headers
    assert answer.headers["x-public"] == "1"
    assert len(answer.headers.get_list("date")) == 1
    packed = await world.http.get("/v1/packed")
    assert (packed.headers["content-encoding"], packed.headers["etag"], packed.text) == ("gzip", '"1"', "packed")
    head = await world.http.head("/v1/packed")
    assert (head.content, head.headers["content-length"]) == (b"", packed.headers["content-length"])


async def test_events_arrive_as_they_are_sent(world: World) -> None:
    """Nothing is held back: the first event is here before the function has sent the second."""
    function = world.functions["stream"]
    async with world.http.stream("GET", "/v1/events") as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"data: one\n\n"
        function.go_on.set()
        assert await anext(chunks) == b"data: two\n\n"


async def test_function_notices_a_disconnect(world: World) -> None:
    """While an answer is streamed."""
    function = world.functions["stream"]
    async with world.http.stream("GET", "/v1/events") as response:
        assert await anext(response.aiter_raw()) == b"data: one\n\n"
        assert not function.left.is_set()
    await eventually(function.left)


async def test_request_body_is_streamed(world: World) -> None:
    """The function has the first part while the client still holds the second; and it notices a client that leaves."""
    function = world.functions["history"]

    async def parts() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        await eventually(function.go_on)
        yield b"y" * 1000

    answer = await world.http.post("/v1/upload", content=parts())
    assert answer.json() == {"received": 2000}

    function.go_on.clear()
    function.left.clear()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    sending = asyncio.create_task(world.http.post("/v1/upload", content=endless()))
    await eventually(function.go_on)
    sending.cancel()
    await eventually(function.left)


async def test_long_response_passes_only_without_a_stated_length(world: World) -> None:
    """Cloud Run drops it otherwise: the client gets 500 without a body, though the function answered 200."""
    dropped = await world.http.get("/v1/film?stated")
    assert (dropped.status_code, dropped.content) == (500, b"")
    assert (await world.http.head("/v1/film?stated")).status_code == 200
    streamed = await world.http.get("/v1/film")
    assert (streamed.status_code, len(streamed.content)) == (200, FILM_MIB * 1024 * 1024)


async def test_request_over_cloud_runs_limit_never_reaches_the_function(world: World) -> None:
    answer = await world.http.post("/v1/deaf", content=bytes(FILM_MIB * 1024 * 1024))
    assert (answer.status_code, answer.content) == (413, b"")


async def test_early_rejection_of_a_large_body_arrives(world: World) -> None:
    """A function that answers before it has read the body is heard."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * 65_536

    answer = await world.http.post("/v1/deaf", content=body())
    assert answer.status_code == 413


async def test_function_giving_up_on_a_slow_body_is_forwarded_at_once(world: World) -> None:
    """While the client still sends: the load balancer holds no answer back. Then the connection is closed."""
    port = int(world.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    answer = await asyncio.wait_for(reader.read(), 20)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer.lower()
    writer.close()


async def test_answered_client_with_an_endless_body_is_dropped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.gateway.proxy.LINGER_S", 0.05)
    port = int(world.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/deaf HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    answer = await asyncio.wait_for(reader.read(), 20)
    assert answer.startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_function_that_is_down_is_a_retryable_error(tmp_path: Path) -> None:
    """503 in the API's shape, with Retry-After; other functions go on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        absent = Proxy("submit", nobody)
        functions: dict[Any, ASGIApp] = dict.fromkeys(FUNCTIONS, absent) | {"stream": Function("stream").app}
        gateway = Gateway(functions, Function("identity").app, tmp_path)
        async with serving(gateway) as (url,), httpx2.AsyncClient(base_url=url) as http:
            answer = await http.post("/v1/videos", json={"prompt": "a"})
            other = await http.get("/v1/videos/video_1/content")
        await absent.aclose()
    error = answer.json()["error"]
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (error["code"], error["retryable"]) == ("UNAVAILABLE", True)
    assert error["request_id"]
    assert other.json()["function"] == "stream"


async def test_api_is_rate_limited_per_address_and_machines_are_not(tmp_path: Path) -> None:
    """As Cloud Armor counts in the cloud: everybody behind an address together, signed in or not."""
    functions: dict[Any, ASGIApp] = {name: Function(name).app for name in FUNCTIONS}
    gateway = Gateway(functions, Function("identity").app, tmp_path, requests_per_minute=5)
    async with serving(gateway) as (url,), httpx2.AsyncClient(base_url=url) as http:
        headers = [{"Authorization": f"Bearer {number}", "X-Forwarded-For": f"10.0.0.{number}"} for number in range(6)]
        answers = [await http.get("/v1/videos", headers=one) for one in headers]
        machines = [await http.post("/hooks/gemini") for _ in range(10)]
        page = await http.get("/healthz")
    assert [answer.status_code for answer in answers] == [418] * 5 + [429]
    assert answers[5].json()["error"]["code"] == "RATE_LIMITED"
    assert 1 <= int(answers[5].headers["retry-after"]) <= 12
    assert {answer.status_code for answer in machines} == {418}
    assert page.status_code == 200


def authorized(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_queue_may_call_private_functions(world: World) -> None:
    """With its token, of which the function sees the claims but no longer the signature."""
    token = world.minter.token(QUEUE, AUDIENCE)
    said = (await world.http.post("/tasks/step", headers=authorized(token), json={})).json()
    assert said["function"] == "poll"
    seen = dict(said["headers"])["authorization"].removeprefix("Bearer ")
    assert seen.rpartition(".")[2] == SIGNATURE_REMOVED
    assert jwt.decode(seen.rpartition(".")[0] + ".", options={"verify_signature": False})["email"] == QUEUE
    swept = await world.http.post("/tasks/sweep", headers=authorized(token))
    assert swept.json()["function"] == "cleanup"


async def test_others_may_not_call_private_functions(world: World, tmp_path: Path) -> None:
    """No token, a foreign key, another audience, an expired token: 401. Somebody else's account: 403."""
    ensure_key(tmp_path / "foreign.pem")
    claims = jwt.decode(world.minter.token(QUEUE, AUDIENCE), options={"verify_signature": False})
    key = ensure_key(tmp_path / "oidc.pem")
    refused = {
        "nothing": ({}, 401),
        "no bearer": ({"Authorization": "Basic eDp5"}, 401),
        "nonsense": (authorized("x.y.z"), 401),
        "foreign": (authorized(Minter.from_file(tmp_path / "foreign.pem").token(QUEUE, AUDIENCE)), 401),
        "audience": (authorized(world.minter.token(QUEUE, "http://elsewhere")), 401),
        "expired": (authorized(jwt.encode({**claims, "exp": claims["iat"] - 60}, key, algorithm="RS256")), 401),
        "unsigned": (authorized(jwt.encode(claims, None, algorithm="none")), 401),
        "issuer": (authorized(jwt.encode({**claims, "iss": "me"}, key, algorithm="RS256")), 401),
        "stranger": (authorized(world.minter.token("stranger@example.com", AUDIENCE)), 403),
        "unverified": (authorized(jwt.encode({**claims, "email_verified": False}, key, algorithm="RS256")), 403),
    }
    answers = {name: await world.http.post("/tasks/step", headers=given) for name, (given, _) in refused.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == {
        name: status for name, (_, status) in refused.items()
    }
    assert answers["nothing"].json()["error"]["code"] == "UNAUTHENTICATED"
    assert answers["nothing"].headers["www-authenticate"].startswith("Bearer")


async def test_private_functions_have_no_back_door(world: World) -> None:
    """Other spellings of the path reach no private function without a token."""
    for path in ("/tasks", "/tasks/", "/tasks/step/", "/%74asks/step", "//tasks/step", "/v1/../tasks/step"):
        target = httpx2.URL(world.url).copy_with(raw_path=path.encode())
        answer = await world.http.send(httpx2.Request("POST", target))
        reached = answer.json().get("function") if answer.status_code == 418 else None
        assert reached not in ("poll", "deliver", "cleanup"), path


async def test_identity_service_is_on_the_same_port(world: World) -> None:
    """So a page needs no second origin."""
    for path in (
        "/identitytoolkit.googleapis.com/v1/accounts:signUp",
        "/securetoken.googleapis.com/v1/token",
        "/accounts.google.com/o/oauth2/v2/auth",
        "/emulator/mailbox",
    ):
        said = (await world.http.post(f"{path}?key=local")).json()
        assert (said["function"], said["target"]) == ("identity", f"{path}?key=local")


async def test_page_learns_where_to_sign_in(world: World) -> None:
    """config.json names the identity service, Google's page and the mailbox by paths of the same origin."""
    config = (await world.http.get("/config.json")).json()
    assert config == {
        "identity_url": "/identitytoolkit.googleapis.com/v1",
        "token_url": "/securetoken.googleapis.com/v1",
        "api_key": "local",
        "tenant": None,
        "google_client_id": "local.apps.googleusercontent.com",
        "google_url": "/accounts.google.com/o/oauth2/v2/auth",
        "mailbox_url": "/emulator/mailbox",
    }


async def test_page_has_types_and_a_strict_policy(world: World) -> None:
    """Scripts only from files of ours; videos from the bucket; an unchanged file is not sent again."""
    page = await world.http.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert "script-src" not in policy
    assert "unsafe" not in page.headers["content-security-policy"]
    assert policy["connect-src"] == "'self' http://storage:1"
    assert policy["media-src"] == "'self' blob: http://storage:1"
    assert policy["img-src"] == "'self' blob: data: http://storage:1"
    script = await world.http.get("/app.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    again = await world.http.get("/app.js", headers={"If-None-Match": script.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await world.http.get("/healthz")).json() == {"status": "ok"}


async def test_only_page_files_are_served(world: World) -> None:
    """An unknown file is 404 in the API's shape, and no path leads out of the directory."""
    missing = await world.http.get("/missing.js")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "NOT_FOUND")
    for path in ("/../secret", "/%2e%2e/secret", "/..%2fsecret", "//secret"):
        answer = await world.http.send(httpx2.Request("GET", httpx2.URL(world.url).copy_with(raw_path=path.encode())))
        assert "not for pages" not in answer.text
    assert (await world.http.post("/index.html")).json()["error"]["code"] == "METHOD_NOT_ALLOWED"


async def test_page_is_compressed_and_revalidated(world: World, tmp_path: Path) -> None:
    """What a browser fetches is small on the wire, and the second time it is a 304."""
    script = "export const words = [];\n" * 100
    (tmp_path / "web" / "words.js").write_text(script)
    first = await world.http.get("/words.js", headers={"Accept-Encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    assert first.num_bytes_downloaded < len(script) / 5
    assert first.text == script
    again = await world.http.get("/words.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    plain = await world.http.get("/words.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == script
