"""The studio where history serves it from its own archive."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest

from shared.http import routes
from shared.http.app import SECURITY_HEADERS, application
from shared.http.site import CACHED, DOCUMENT_HEADERS, WEB, with_page
from tests.unit.conftest import House
from tests.unit.http.test_app import client_of
from tests.unit.http.test_routes import load

CONFIG = json.dumps({"api_key": "k"})


async def served(house: House, config: str) -> AsyncIterator[httpx2.AsyncClient]:
    settings = house.services.settings.model_copy(update={"studio_config": config})
    services = replace(house.services, settings=settings)
    app = with_page(application(routes.of("history"), load("history").HANDLERS, lambda: services), lambda: services)
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def page(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async for client in served(house, CONFIG):
        yield client


@pytest.fixture
async def no_page(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async for client in served(house, ""):
        yield client


async def test_files_are_served_unchanged(page: httpx2.AsyncClient) -> None:
    for path in (path for path in WEB.rglob("*") if path.is_file()):
        answer = await page.get(f"/{path.relative_to(WEB).as_posix()}")
        assert (answer.status_code, answer.content) == (200, path.read_bytes()), path


@pytest.mark.parametrize(("path", "file"), [("/", "index.html"), ("/docs/", "docs/index.html")])
async def test_folder_serves_its_index(page: httpx2.AsyncClient, path: str, file: str) -> None:
    answer = await page.get(path)
    assert answer.content == (WEB / file).read_bytes()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


async def test_page_has_page_headers_and_no_api_headers(page: httpx2.AsyncClient) -> None:
    headers = (await page.get("/")).headers
    assert "script-src" not in headers["content-security-policy"]
    assert headers["content-security-policy"].startswith("default-src 'self'; connect-src 'self' https://identity")
    assert DOCUMENT_HEADERS.items() <= {name: headers[name] for name in DOCUMENT_HEADERS}.items()
    assert (headers["cache-control"], headers["x-content-type-options"]) == (CACHED, "nosniff")
    api = (await page.get("/v1/videos")).headers
    assert api["content-security-policy"] == SECURITY_HEADERS["Content-Security-Policy"]


async def test_config_and_api_description_are_served(page: httpx2.AsyncClient) -> None:
    assert (await page.get("/config.json")).json() == {"api_key": "k"}
    assert (await page.get("/openapi.json")).json()["openapi"].startswith("3.")


async def test_known_file_is_304(page: httpx2.AsyncClient) -> None:
    first = await page.get("/")
    strong = first.headers["etag"].removeprefix("W/")
    for known in (first.headers["etag"], strong, f'"other",{first.headers["etag"]}', f'"other", {strong}', "*"):
        again = await page.get("/", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert (await page.get("/", headers={"If-None-Match": '"other"'})).status_code == 200


async def test_text_is_compressed_if_accepted(page: httpx2.AsyncClient) -> None:
    async with page.stream("GET", "/", headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == (WEB / "index.html").read_bytes()
    plain = await page.get("/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert "Accept-Encoding" in plain.headers["vary"]


async def test_head_matches_get(page: httpx2.AsyncClient) -> None:
    head = await page.head("/", headers={"Accept-Encoding": "identity"})
    assert (head.content, int(head.headers["content-length"])) == (b"", (WEB / "index.html").stat().st_size)


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/v1/nothing", "/tasks/step", "/../main.py", "/%2e%2e/main.py", "/main.py", "/shared/http/site.py"],
)
async def test_nothing_else_in_the_archive_is_served(page: httpx2.AsyncClient, path: str) -> None:
    answer = await page.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


async def test_pages_are_read_only(page: httpx2.AsyncClient) -> None:
    answer = await page.post("/", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_folder_without_slash_redirects_within_our_origin(page: httpx2.AsyncClient) -> None:
    answer = await page.get("/docs", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.headers["location"]) == (308, "/docs/")
    # Two slashes would be another host.
    assert (await page.get("http://api//docs")).headers.get("location") in (None, "/docs/")


async def test_without_the_setting_there_are_no_pages(no_page: httpx2.AsyncClient) -> None:
    for path in ("/", "/index.html", "/config.json", "/openapi.json"):
        assert (await no_page.get(path)).status_code == 404
