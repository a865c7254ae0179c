"""The official openai package against the functions in memory: its errors, extensions, edits, remixes and variants."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from shared.core.documents import Job, Transaction
from shared.http import routes
from shared.http.app import application
from shared.platform.identity import Caller
from tests.unit.conftest import House
from tests.unit.http.test_routes import load

ROOT = Path(__file__).parents[3]
OMITTED: Any = openai.omit
# The package warns that the service it was written for is closed.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


class ByPath(httpx2.AsyncBaseTransport):
    """Leads a request to the function that answers it."""

    def __init__(self, house: House) -> None:
        self._functions = {
            name: httpx2.ASGITransport(app=application(routes.of(name), load(name).HANDLERS, lambda: house.services))
            for name in ("submit", "stream", "history")
        }

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        name = (
            "stream" if request.url.path.endswith("/content") else "submit" if request.method == "POST" else "history"
        )
        return await self._functions[name].handle_async_request(request)


@pytest.fixture
async def client(house: House) -> AsyncIterator[openai.AsyncOpenAI]:
    http = httpx2.AsyncClient(transport=ByPath(house), trust_env=False)
    async with openai.AsyncOpenAI(base_url="http://test/v1", api_key="alice", http_client=http, max_retries=0) as made:
        yield made


@pytest.fixture
async def film(house: House, client: openai.AsyncOpenAI) -> Job:
    """A finished video of the client's."""
    account = (await client.get("/account", cast_to=dict[str, Any]))["id"]
    return await house.run(await house.submit_veo(Caller(account, "default", "user", "default", None)))


def named(video: str) -> dict[str, Any]:
    """The source of an extension or edit: the package fails to send an id as `video`, though its types allow it."""
    return {"video": {"id": video}}


async def test_errors_have_the_type_and_param_that_the_package_shows(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        await client.videos.create(prompt="a kite", model="veo-3.1", seconds="5")  # type: ignore[arg-type]
    assert (wrong.value.type, wrong.value.param) == ("invalid_request_error", "seconds")
    assert wrong.value.code == "UNSUPPORTED_BY_MODEL"
    with pytest.raises(openai.BadRequestError) as unknown:
        await client.videos.create(prompt="a kite", extra_body={"lenght": 4})
    assert (unknown.value.code, unknown.value.param) == ("INVALID_REQUEST", "lenght")
    with pytest.raises(openai.NotFoundError) as missing:
        await client.videos.retrieve("video_" + "x" * 22)
    assert (missing.value.type, missing.value.param) == ("invalid_request_error", None)


async def test_extend_is_a_create_that_continues_the_video(house: House, client: openai.AsyncOpenAI, film: Job) -> None:
    extended = await client.videos.extend(
        prompt="and the moon rises",
        seconds="7",  # type: ignore[arg-type]
        video=OMITTED,
        extra_headers={"Idempotency-Key": "k"},
        extra_body={"labels": {"team": "blue"}, **named(film.id)},
    )
    job = await house.job(extended.id)
    assert job.request.extends is not None
    assert (job.request.extends.job, job.request.seconds, job.labels) == (film.id, 7, {"team": "blue"})
    body = {"prompt": "and the moon rises", "seconds": "7", "extends": film.id, "labels": {"team": "blue"}}
    same = await client.post(
        "/videos", body=body, cast_to=dict[str, Any], options={"headers": {"Idempotency-Key": "k"}}
    )
    assert same["id"] == extended.id
    with pytest.raises(openai.BadRequestError) as short:
        await client.videos.extend(prompt="p", seconds="4", video=OMITTED, extra_body=named(film.id))
    assert (short.value.code, short.value.param) == ("UNSUPPORTED_BY_MODEL", "seconds")


async def test_extend_names_one_of_our_videos(client: openai.AsyncOpenAI, film: Job) -> None:
    with pytest.raises(openai.BadRequestError) as uploaded:
        await client.videos.extend(prompt="p", seconds="8", video=b"a film")
    assert uploaded.value.param == "video"
    assert "uploaded videos are not supported" in uploaded.value.message
    with pytest.raises(openai.BadRequestError, match="once"):
        await client.videos.extend(
            prompt="p", seconds="8", video=OMITTED, extra_body=named(film.id) | {"extends": film.id}
        )
    by_id = await client.post("/videos/extensions", body={"prompt": "p", "video": film.id}, cast_to=dict[str, Any])
    assert by_id["extends"] == film.id


async def test_edit_and_remix_are_unsupported_and_free(house: House, client: openai.AsyncOpenAI, film: Job) -> None:
    before = len(house.store.documents(Transaction))
    refusals: tuple[Callable[[], Awaitable[Any]], ...] = (
        lambda: client.videos.edit(prompt="at night", video=OMITTED, extra_body=named(film.id)),
        lambda: client.videos.remix(film.id, prompt="at night"),
    )
    for refused in refusals:
        with pytest.raises(openai.BadRequestError) as error:
            await refused()
        assert (error.value.code, error.value.param) == ("UNSUPPORTED_BY_MODEL", "video")
        assert "/v1/videos/extensions" in error.value.message
    foreign = "video_" + "x" * 22
    misses: tuple[Callable[[], Awaitable[Any]], ...] = (
        lambda: client.videos.edit(prompt="at night", video=OMITTED, extra_body=named(foreign)),
        lambda: client.videos.remix(foreign, prompt="at night"),
        lambda: client.videos.extend(prompt="p", seconds="8", video=OMITTED, extra_body=named(foreign)),
    )
    for missing in misses:
        with pytest.raises(openai.NotFoundError):
            await missing()
    assert len(house.store.documents(Transaction)) == before


async def test_unknown_variant_error_names_the_known_ones(client: openai.AsyncOpenAI, film: Job) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        await client.videos.download_content(film.id, variant="spritesheet")
    assert error.value.param == "variant"
    assert "'video'" in error.value.message
    assert "'thumbnail'" in error.value.message


def test_documented_package_versions_are_the_tested_ones() -> None:
    node = json.loads((ROOT / "tests" / "acceptance" / "node" / "package.json").read_text())["dependencies"]["openai"]
    page = (ROOT / "docs" / "api.md").read_text()
    assert f"`openai` {openai.__version__} for Python and {node} for Node" in page
