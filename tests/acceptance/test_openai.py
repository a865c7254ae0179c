"""The official openai package for Python, unmodified: only its base_url and its key are ours."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from PIL import Image

from testing.cloud import Cloud, User

# The package warns that the service it was written for is closed.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
SMALL: dict[str, Any] = {"model": "omni-flash", "seconds": "3", "size": "640x360"}


class Wire:
    """What really went over the wire, and answers that are taken away from the client."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self.responses: list[httpx2.Response] = []
        self.losses: list[Exception | int] = []

    def sent(self, request: httpx2.Request) -> None:
        self.requests.append(request)

    def received(self, response: httpx2.Response) -> None:
        self.responses.append(response)
        if self.losses:
            loss = self.losses.pop(0)
            if isinstance(loss, Exception):
                raise loss
            response.status_code = loss
            response.headers.pop("x-should-retry", None)


@pytest.fixture
def user(cloud: Cloud) -> User:
    return cloud.user()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def client(user: User, wire: Wire) -> Iterator[openai.OpenAI]:
    hooks = {"request": [wire.sent], "response": [wire.received]}
    http = openai.DefaultHttpxClient(event_hooks=hooks, trust_env=False)
    with openai.OpenAI(base_url=f"{user.cloud.url}/v1", api_key=user.token, http_client=http) as made:
        yield made


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "first.png"
    Image.new("RGB", (640, 360), "red").save(path)
    return path


def test_create_retrieve_download_list_and_delete(client: openai.OpenAI, wire: Wire, user: User, picture: Path) -> None:
    created = client.videos.create(
        prompt="a paper boat", input_reference=picture, extra_body={"labels": {"team": "blue"}}, **SMALL
    )
    assert (created.status, created.seconds, created.size) == ("queued", "3", "640x360")
    assert created.to_dict()["labels"] == {"team": "blue"}
    raw = client.videos.with_raw_response.retrieve(created.id)
    assert raw.headers["openai-poll-after-ms"] == "2000"
    user.wait(created.id)
    video = client.videos.retrieve(created.id)
    assert (video.status, video.progress, video.error) == ("completed", 100, None)

    content = client.videos.download_content(created.id).read()
    assert content[4:8] == b"ftyp"
    thumbnail = client.videos.download_content(created.id, variant="thumbnail").read()
    assert thumbnail.startswith(b"\xff\xd8\xff")
    redirected = [request for request in wire.requests if "content" not in request.url.path]
    elsewhere = [request for request in redirected if request.url.netloc != httpx2.URL(user.cloud.url).netloc]
    # Cloud Storage rejects a signed URL with additional credentials.
    assert all("authorization" not in request.headers for request in elsewhere)
    assert user.cloud.embedded or len(elsewhere) == 2

    assert client.videos.delete(created.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(created.id)


def test_image_url_works_as_input_reference(client: openai.OpenAI, user: User, picture: Path) -> None:
    """The package itself takes only files here, so that its way for further fields is the way."""
    url = f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
    created = client.videos.create(prompt="a kite", extra_body={"input_reference": {"image_url": url}}, **SMALL)
    assert user.get(created.id)["inputs"][0]["role"] == "first_frame"
    user.wait(created.id)


def test_json_create_works_like_the_form(client: openai.OpenAI, user: User) -> None:
    body = {"prompt": "a kite", **SMALL}
    created = client.post("/videos", body=body, cast_to=openai.types.Video)
    assert created.seconds == "3"
    user.wait(created.id)


def test_create_and_poll_returns_the_finished_video(client: openai.OpenAI) -> None:
    video = client.videos.create_and_poll(prompt="a swing", **SMALL)
    assert (video.status, video.progress) == ("completed", 100)


def test_create_and_poll_returns_a_failed_video_with_its_error(client: openai.OpenAI) -> None:
    video = client.videos.create_and_poll(prompt="a street [blocked]", poll_interval_ms=200, **SMALL)
    assert video.status == "failed"
    assert video.error is not None
    assert video.error.code == "SAFETY_BLOCKED"
    assert video.error.message


def test_list_follows_its_pages(client: openai.OpenAI, user: User) -> None:
    made = [client.videos.create(prompt=f"number {number}", **SMALL).id for number in range(3)]
    assert [video.id for video in client.videos.list(limit=2)] == made[::-1]
    assert [video.id for video in client.videos.list(limit=2, order="asc")] == made
    for each in made:
        user.wait(each)


def test_request_for_sora_gets_a_video_and_a_warning(client: openai.OpenAI, user: User) -> None:
    created = client.videos.create(prompt="a tram", model="sora-2", seconds="4", size="1280x720")
    assert created.model == "veo-3.1-fast"
    assert [warning["code"] for warning in created.to_dict()["warnings"]] == ["MODEL_REPLACED"]  # type: ignore[attr-defined]
    assert user.wait(created.id)["status"] == "completed"


def test_models_can_be_listed_and_read(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert models["veo-3.1"].owned_by == "google"
    assert client.models.retrieve("sora-2").id == "veo-3.1-fast"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-99")


# --- errors ---


def test_errors_are_the_packages_own_with_code_and_message(client: openai.OpenAI, cloud: Cloud, wire: Wire) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.videos.create(prompt="x", model="veo-3.1", seconds="5")  # type: ignore[arg-type]
    assert refused.value.code == "UNSUPPORTED_BY_MODEL"
    assert "Use 4, 6 or 8" in refused.value.message
    assert refused.value.request_id == wire.responses[-1].headers["x-request-id"]
    with pytest.raises(openai.NotFoundError) as missing:
        client.videos.retrieve("video_" + "x" * 22)
    assert missing.value.code == "NOT_FOUND"
    stranger = openai.OpenAI(base_url=f"{cloud.url}/v1", api_key="nobody", http_client=client._client)
    with pytest.raises(openai.AuthenticationError) as unknown:
        stranger.videos.list()
    assert unknown.value.code == "UNAUTHENTICATED"


def test_insufficient_credits_are_not_retried(client: openai.OpenAI, wire: Wire) -> None:
    with pytest.raises(openai.APIStatusError) as poor:
        client.videos.create(prompt="x", model="veo-3.1", seconds="8", extra_body={"count": 4, "extra": 1})
    assert poor.value.code == "INVALID_REQUEST"
    client.videos.create(prompt="[never finishes]", model="veo-3.1", seconds="8", extra_body={"count": 4})
    before = len(wire.requests)
    with pytest.raises(openai.APIStatusError) as poor:
        client.videos.create(prompt="x", model="veo-3.1", seconds="8", extra_body={"count": 4})
    assert (poor.value.status_code, poor.value.code) == (402, "INSUFFICIENT_CREDITS")
    assert poor.value.body["details"] == {"required": 320, "available": 180, "deficit": 140}  # type: ignore[index]
    assert len(wire.requests) == before + 1
    for video in client.videos.list():
        client.post(f"/videos/{video.id}/cancel", cast_to=object)


# --- its retries ---


@pytest.mark.parametrize("loss", [httpx2.ReadError("lost"), httpx2.ReadTimeout("late"), 500, 503, 409])
def test_package_retries_never_create_a_second_video(
    client: openai.OpenAI, user: User, wire: Wire, picture: Path, loss: Exception | int
) -> None:
    wire.losses = [loss, loss]
    created = client.videos.create(prompt="only once", input_reference=picture, **SMALL)
    creates = [request for request in wire.requests if request.method == "POST"]
    assert [request.headers["x-stainless-retry-count"] for request in creates] == ["0", "1", "2"]
    assert wire.responses[-1].headers["idempotent-replayed"] == "true"
    assert [video.id for video in client.videos.list()] == [created.id]
    assert user.ledger == [500, -30]
    user.wait(created.id)


def test_over_the_limit_the_package_raises_and_creates_nothing(client: openai.OpenAI, user: User) -> None:
    made = [client.videos.create(prompt="a fox [never finishes]", **SMALL).id for _ in range(3)]
    with pytest.raises(openai.RateLimitError) as rejected:
        client.videos.create(prompt="a fox [never finishes]", **SMALL)
    assert rejected.value.code == "TOO_MANY_ACTIVE_JOBS"
    assert sorted(video.id for video in client.videos.list()) == sorted(made)
    for each in made:
        user.call("POST", f"/v1/videos/{each}/cancel")


def test_same_prompt_twice_creates_two_videos(client: openai.OpenAI, user: User) -> None:
    ids = {client.videos.create(prompt="twice", **SMALL).id for _ in range(2)}
    assert len(ids) == 2
    for each in ids:
        user.wait(each)


# --- the asynchronous client ---


async def test_asynchronous_client_works_too(user: User, picture: Path) -> None:
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with openai.AsyncOpenAI(base_url=f"{user.cloud.url}/v1", api_key=user.token, http_client=http) as client:
        file = io.BytesIO(picture.read_bytes())
        video = await client.videos.create_and_poll(
            prompt="a paper boat", input_reference=("first.png", file), poll_interval_ms=200, **SMALL
        )
        assert video.status == "completed"
        content = await client.videos.download_content(video.id)
        assert (await content.aread())[4:8] == b"ftyp"
        assert [each.id async for each in client.videos.list(limit=1)] == [video.id]
        assert (await client.videos.delete(video.id)).deleted
        with pytest.raises(openai.NotFoundError) as gone:
            await client.videos.retrieve(video.id)
        assert gone.value.code == "NOT_FOUND"
