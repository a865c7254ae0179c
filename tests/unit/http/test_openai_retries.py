"""The official openai package against the submit function in memory, when responses are lost and requests rejected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest

from shared.core.documents import Job
from shared.http import routes
from shared.http.app import application
from tests.unit.conftest import House
from tests.unit.http.test_routes import load

# The package warns that the service it was written for is closed.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
SMALL: dict[str, Any] = {"model": "omni-flash", "seconds": "3", "size": "640x360"}


class LossyTransport(httpx2.ASGITransport):
    """Reaches the function; the first `lost` responses never reach the client."""

    lost = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if self.lost:
            self.lost -= 1
            raise httpx2.ReadError("the response was lost", request=request)
        return response


@pytest.fixture
def transport(house: House) -> LossyTransport:
    return LossyTransport(app=application(routes.of("submit"), load("submit").HANDLERS, lambda: house.services))


@pytest.fixture
async def client(transport: LossyTransport, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[openai.AsyncOpenAI]:
    # The package waits for half a second and more before a retry.
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    http = httpx2.AsyncClient(transport=transport, trust_env=False)
    async with openai.AsyncOpenAI(base_url="http://test/v1", api_key="alice", http_client=http) as made:
        yield made


async def test_create_over_the_limit_is_rejected_without_an_older_video(
    house: House, client: openai.AsyncOpenAI
) -> None:
    await house.sign_up()
    made = {(await client.videos.create(prompt="a fox", **SMALL)).id for _ in range(3)}
    with pytest.raises(openai.RateLimitError) as rejected:
        await client.videos.create(prompt="a fox", **SMALL)
    assert rejected.value.code == "TOO_MANY_ACTIVE_JOBS"
    assert {job.id for job in house.store.documents(Job)} == made
    assert [job.repeats_taken for job in house.store.documents(Job)] == [0, 0, 0]


async def test_lost_response_is_retried_to_the_same_job(
    house: House, client: openai.AsyncOpenAI, transport: LossyTransport
) -> None:
    await house.sign_up()
    transport.lost = 2
    created = await client.videos.create(prompt="a fox", **SMALL)
    (job,) = house.store.documents(Job)
    assert (created.id, job.repeats_taken) == (job.id, 2)
    assert house.amounts(job) == [-30]


async def test_parallel_creates_with_lost_responses_get_a_job_each(
    house: House, client: openai.AsyncOpenAI, transport: LossyTransport
) -> None:
    await house.sign_up()
    house.configure(active_jobs_limit=10)
    transport.lost = 10
    made = await asyncio.gather(*(client.videos.create(prompt="a fox", **SMALL) for _ in range(10)))
    assert len({video.id for video in made}) == 10
    assert [job.repeats_taken for job in house.store.documents(Job)] == [1] * 10
    house.check()
