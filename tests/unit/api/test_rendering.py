"""JSON answers on their way: tags, what the client has already, compression, and links to the next page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from starlette.datastructures import Headers

from shared.api import rendering
from shared.api.routing import Route
from shared.http import routes
from shared.http.app import application
from shared.platform.identity import Caller
from tests.unit.conftest import House
from tests.unit.http.test_app import ALICE, client_of
from tests.unit.http.test_routes import load

PLAIN = ALICE | {"Accept-Encoding": "identity"}


@pytest.fixture
async def history(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(application(routes.of("history"), load("history").HANDLERS, lambda: house.services)) as client:
        yield client


async def made(house: House, history: httpx2.AsyncClient, count: int = 1) -> list[str]:
    """Alice's videos, oldest first."""
    house.configure(active_jobs_limit=100, signup_credits=100_000)
    account = (await history.get("/v1/account", headers=ALICE)).json()["id"]
    caller = Caller(account, "default", "user", "default", None)
    ids = []
    for _ in range(count):
        ids.append((await house.submit(caller)).id)
        house.clock.advance(1)
    return ids


@pytest.mark.parametrize(
    "path", ["/v1/videos", "/v1/videos/{}", "/v1/account", "/v1/models", "/v1/account/transactions"]
)
async def test_unchanged_response_is_304(house: House, history: httpx2.AsyncClient, path: str) -> None:
    (video,) = await made(house, history)
    path = path.format(video)
    first = await history.get(path, headers=ALICE)
    etag = first.headers["etag"]
    assert re.fullmatch(r'W/"[0-9a-f]{32}"', etag)
    for condition in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        again = await history.get(path, headers=ALICE | {"If-None-Match": condition})
        assert (again.status_code, again.content) == (304, b""), condition
        assert again.headers["etag"] == etag
        assert {"content-type", "content-length", "content-encoding"}.isdisjoint(again.headers)
        assert "Accept-Encoding" in again.headers["vary"]
        assert "ratelimit-remaining" in again.headers
    assert (await history.get(path, headers=ALICE | {"If-None-Match": '"other"'})).status_code == 200
    assert (await history.head(path, headers=ALICE | {"If-None-Match": etag})).status_code == 304


async def test_change_gives_job_and_list_a_new_etag(house: House, history: httpx2.AsyncClient) -> None:
    (video,) = await made(house, history)
    paths = ("/v1/videos", f"/v1/videos/{video}")
    before = {path: (await history.get(path, headers=ALICE)).headers["etag"] for path in paths}
    await house.run(await house.job(video))
    for path in paths:
        assert (await history.get(path, headers=ALICE | {"If-None-Match": before[path]})).status_code == 200


async def test_settings_keep_their_strong_etag(house: House, history: httpx2.AsyncClient) -> None:
    """It is sent back as If-Match, which takes no weak one: so what it names is not compressed."""
    account = (await history.get("/v1/account", headers=ALICE)).json()["id"]
    house.store.edit("accounts", account, {"role": "admin"})
    first = await history.get("/v1/admin/config", headers=ALICE | {"Accept-Encoding": "gzip"})
    assert (first.status_code, first.headers["etag"]) == (200, first.json()["etag"])
    assert len(first.content) >= rendering.COMPRESSED_FROM_BYTES
    assert "content-encoding" not in first.headers
    again = await history.get("/v1/admin/config", headers=ALICE | {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_errors_and_writes_have_no_etag(house: House, history: httpx2.AsyncClient) -> None:
    missing = await history.get("/v1/videos/video_none", headers=ALICE | {"If-None-Match": "*"})
    changed = await history.patch("/v1/account", headers=ALICE | {"If-None-Match": "*"}, json={"locale": "de"})
    assert (missing.status_code, changed.status_code) == (404, 200)
    assert "etag" not in missing.headers
    assert "etag" not in changed.headers


async def test_long_json_is_compressed_if_accepted(house: House, history: httpx2.AsyncClient) -> None:
    await made(house, history, 5)
    plain = await history.get("/v1/videos", headers=PLAIN)
    packed = await history.get("/v1/videos", headers=ALICE | {"Accept-Encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) < len(plain.content) / 3
    assert plain.headers["etag"] == packed.headers["etag"]
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.headers["vary"]
        assert "Origin" in answer.headers["vary"]
    short = await history.get("/v1/account", headers=ALICE | {"Accept-Encoding": "gzip"})
    assert len(short.content) < rendering.COMPRESSED_FROM_BYTES
    assert "content-encoding" not in short.headers


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("GZIP;q=0.5", True),
        ("*", True),
        ("x-gzip", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("br", False),
        ("identity", False),
        ("", False),
    ],
)
def test_gzip_follows_accept_encoding(header: str, accepted: bool) -> None:
    assert rendering.accepts_gzip(Headers({"accept-encoding": header})) is accepted


async def test_next_link_pages_through_everything_with_the_same_filters(
    house: House, history: httpx2.AsyncClient
) -> None:
    ids = await made(house, history, 5)
    path: str | None = "/v1/videos?limit=2&order=asc"
    seen: list[Any] = []
    while path:
        answer = await history.get(path, headers=ALICE)
        seen += [video["id"] for video in answer.json()["data"]]
        link = answer.headers.get("link")
        assert (link is not None) == answer.json()["has_more"]
        found = re.fullmatch(r'<(/v1/videos\?\S+)>; rel="next"', link or "")
        path = found[1] if found else None
    assert seen == ids


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/admin/videos"])
async def test_second_filter_is_rejected_by_name(house: House, history: httpx2.AsyncClient, path: str) -> None:
    account = (await history.get("/v1/account", headers=ALICE)).json()["id"]
    house.store.edit("accounts", account, {"role": "admin"})
    answer = await history.get(f"{path}?status=completed&model=veo-3.1", headers=ALICE)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert [each["field"] for each in error["details"]["fields"]] == ["status", "model"]
    assert (error["param"], error["message"]) == ("status", "Filter by one of status and model.")


READS = [row for row in routes.of("history") if row.method == "GET" and row.caller == "user"]


@pytest.mark.parametrize("row", READS, ids=lambda row: row.name)
async def test_every_operation_rejects_unknown_query_parameters(history: httpx2.AsyncClient, row: Route) -> None:
    path = re.sub(r"\{\w+\}", "x", row.path)
    for query, field in (("lenght=1", "lenght"), ("_=1", "_"), ("limit=1&limit=2", "limit")):
        answer = await history.get(f"{path}?{query}", headers=ALICE)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["details"]["fields"][0]["field"] == field


async def test_write_with_unknown_parameter_does_nothing(house: House, history: httpx2.AsyncClient) -> None:
    (video,) = await made(house, history)
    answer = await history.delete(f"/v1/videos/{video}?force=true", headers=ALICE)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "force: unknown field")


async def test_parameters_added_by_queues_are_allowed(house: House) -> None:
    async with client_of(application(routes.of("poll"), load("poll").HANDLERS, lambda: house.services)) as poll:
        answer = await poll.post("/tasks/step?attempt=2", json={"job": "video_none", "step": 0})
    assert answer.status_code == 204


async def test_trailing_slash_is_explained(history: httpx2.AsyncClient) -> None:
    answer = await history.get("/v1/videos/", headers=ALICE)
    assert (answer.status_code, "slash" in answer.json()["error"]["message"]) == (404, True)
