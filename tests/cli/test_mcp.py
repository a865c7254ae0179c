"""An assistant at the door: the protocol's own client, over standard input and output, in both eras of the protocol."""

from __future__ import annotations

import base64
import io
import json
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import av
import httpx2
import jsonschema
import pytest
from mcp import Client, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError
from PIL import Image

from rushes import mcp_resources
from rushes.api import Api
from rushes.connection import Given
from rushes.failure import Failure
from rushes.mcp_server import Assistant, tools
from rushes.offers import KEPT_FOR_S, MAX_OFFERS, Offers
from rushes.run import Run
from testing.cloud import User
from tests.cli.conftest import RUSHES, Shell

SMALL = {"prompt": "a kite over the bay", "model": "omni-flash", "seconds": 3}
ENDLESS = {"prompt": "a kite [never finishes]", "seconds": 4}
ERAS = ["legacy", "auto"]
Action = Literal["accept", "decline", "cancel"]


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where offers are kept: not in the developer's own settings."""
    monkeypatch.setenv("RUSHES_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "boat.png"
    Image.new("RGB", (640, 360), "orange").save(path)
    return path


class Person:
    """Who is asked by the client: keeps the questions, and answers all of them alike."""

    def __init__(self, action: Action) -> None:
        self.action = action
        self.asked: list[str] = []

    async def __call__(self, _context: Any, params: Any) -> types.ElicitResult:
        self.asked.append(params.message)
        return types.ElicitResult(action=self.action, content={} if self.action == "accept" else None)


@asynccontextmanager
async def assistant(shell: Shell, era: str, person: Person | None = None) -> AsyncIterator[Client]:
    """A client of `rushes mcp`, which runs as a process of its own."""
    command, *arguments = RUSHES
    server = StdioServerParameters(command=command, args=[*arguments, "mcp"], env=shell.environ, cwd=shell.directory)
    async with Client(stdio_client(server), mode=era, elicitation_callback=person) as client:
        yield client


@asynccontextmanager
async def near(user: User, era: str = "auto", person: Person | None = None) -> AsyncIterator[Client]:
    """The same server within this process, which starts it sooner."""
    run = Run(given=Given(url=user.cloud.url, api_key=user.token))
    async with Client(Assistant(run).server(), mode=era, elicitation_callback=person) as client:
        yield client


async def tool(user: User, name: str, arguments: Any, era: str = "auto") -> types.CallToolResult:
    """One call of a server of its own, as LangChain's client makes it. A result is held against the tool's schema."""
    async with near(user, era) as client:
        result = await client.call_tool(name, arguments)
    checked(name, result)
    return result


def checked(name: str, result: types.CallToolResult) -> None:
    """Every result is what the tool's output schema says, and an error is only words."""
    (schema,) = [one.output_schema for one in tools() if one.name == name]
    assert schema is not None
    if result.is_error:
        assert result.structured_content is None
    else:
        jsonschema.validate(result.structured_content, schema)


def text(result: types.CallToolResult) -> str:
    return " ".join(block.text for block in result.content if isinstance(block, types.TextContent))


def made(user: User) -> list[Any]:
    videos: list[Any] = user.call("GET", "/v1/videos").json()["data"]
    return videos


async def test_tools_are_listed_with_their_schemas(user: User) -> None:
    async with near(user) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(listed) == {
        "estimate_video",
        "create_video",
        "video_status",
        "list_videos",
        "cancel_video",
        "delete_video",
        "get_account",
        "list_transactions",
    }
    assert listed["create_video"].input_schema["required"] == ["prompt"]
    assert listed["estimate_video"].annotations is not None
    assert listed["estimate_video"].annotations.read_only_hint
    assert all(one.output_schema and one.output_schema["type"] == "object" for one in listed.values())


@pytest.mark.parametrize("era", ERAS)
async def test_confirmation_creates_the_video(shell: Shell, user: User, era: str) -> None:
    person = Person("accept")
    async with assistant(shell, era, person) as client:
        result = await client.call_tool("create_video", ENDLESS)
    assert not result.is_error
    (video,) = made(user)
    assert result.structured_content["id"] == video["id"]
    (question,) = person.asked
    assert "for 40 credits?" in question
    assert "It typically takes about" in question
    assert "The balance is 500 credits, and 460 afterwards." in question
    assert "Canceling after it has started refunds 0 of 40 credits." in question
    assert ENDLESS["prompt"] in question


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_without_confirmation_nothing_is_created(user: User, era: str, action: Action) -> None:
    async with near(user, era, Person(action)) as client:
        result = await client.call_tool("create_video", ENDLESS)
    checked("create_video", result)
    assert "Nothing was done, and nothing was charged." in text(result)
    assert made(user) == []
    assert user.ledger == [500]


@pytest.mark.parametrize("era", ERAS)
async def test_model_cannot_confirm_for_a_user_who_can_be_asked(user: User, era: str) -> None:
    offer = (await tool(user, "create_video", ENDLESS, era)).structured_content["id"]
    person = Person("decline")
    async with near(user, era, person) as client:
        await client.call_tool("create_video", {**ENDLESS, "offer": offer})
    assert len(person.asked) == 1
    assert made(user) == []


@pytest.mark.parametrize("era", ERAS)
async def test_without_elicitation_a_second_call_with_the_offer_confirms(user: User, era: str) -> None:
    offer = (await tool(user, "create_video", ENDLESS, era)).structured_content
    assert (offer["object"], offer["tool"], offer["cost"]) == ("offer", "create_video", 40)
    assert offer["request"] == {**ENDLESS, "model": "veo-3.1-fast", "seconds": "4", "size": "1280x720", "count": 1}
    assert "for 40 credits?" in offer["question"]
    assert made(user) == []
    accepted = {**ENDLESS, "offer": offer["id"]}
    first = await tool(user, "create_video", accepted, era)
    # A result that got lost on its way to the assistant is asked for again.
    second = await tool(user, "create_video", accepted, era)
    assert first.structured_content["id"] == second.structured_content["id"]
    assert [video["id"] for video in made(user)] == [first.structured_content["id"]]
    assert user.ledger == [500, -40]


async def test_two_offers_of_the_same_video_are_two_videos(user: User) -> None:
    offers = [(await tool(user, "create_video", ENDLESS)).structured_content["id"] for _ in range(2)]
    videos = [(await tool(user, "create_video", {**ENDLESS, "offer": offer})).structured_content for offer in offers]
    assert len({video["id"] for video in videos}) == 2


@pytest.mark.usefixtures("price_rise")
async def test_price_increase_after_confirmation_is_offered_again(user: User) -> None:
    offer = (await tool(user, "create_video", ENDLESS)).structured_content
    again = await tool(user, "create_video", {**ENDLESS, "offer": offer["id"]})
    assert again.structured_content["object"] == "offer"
    assert again.structured_content["id"] != offer["id"]
    assert "Nothing has been done yet" in text(again)
    assert made(user) == []


async def test_offer_is_bound_to_arguments_tool_and_user(user: User) -> None:
    offer = (await tool(user, "create_video", ENDLESS)).structured_content["id"]
    other = user.cloud.user()
    results = [
        await tool(user, "create_video", {**ENDLESS, "seed": 1, "offer": offer}),
        await tool(other, "create_video", {**ENDLESS, "offer": offer}),
        await tool(user, "create_video", {**ENDLESS, "offer": "offer-" + "x" * 22}),
    ]
    for result in results:
        assert result.structured_content["object"] == "offer"
        assert "That offer has expired, or was made for other arguments." in text(result)
    guessed = await tool(user, "create_video", {**ENDLESS, "offer": "../../credentials"})
    assert guessed.is_error
    assert made(user) == made(other) == []


async def test_video_is_created_from_local_images(user: User, image: Path) -> None:
    arguments = {
        **ENDLESS,
        "size": "1280x720",
        "first_frame": str(image),
        "last_frame": str(image),
        "person_generation": "dont_allow",
    }
    arguments["seconds"] = 8
    price = await tool(user, "estimate_video", arguments)
    offer = await tool(user, "create_video", arguments)
    assert offer.structured_content["cost"] == price.structured_content["cost"]
    assert f"Images: {image}, {image}" in text(offer)
    accepted = {**arguments, "offer": offer.structured_content["id"]}
    Image.new("RGB", (640, 360), "blue").save(image)
    replaced = await tool(user, "create_video", accepted)
    assert replaced.structured_content["object"] == "offer"
    Image.new("RGB", (640, 360), "orange").save(image)
    video = (await tool(user, "create_video", accepted)).structured_content
    assert [one["role"] for one in video["inputs"]] == ["first_frame", "last_frame"]


async def test_reference_images_by_file_and_by_url(user: User, image: Path) -> None:
    arguments = {**ENDLESS, "seconds": 8, "reference_images": [str(image)] * 2}
    offer = (await tool(user, "create_video", arguments)).structured_content["id"]
    video = (await tool(user, "create_video", {**arguments, "offer": offer})).structured_content
    assert [one["role"] for one in video["inputs"]] == ["reference", "reference"]
    fetched = await tool(user, "create_video", {**ENDLESS, "first_frame": "https://127.0.0.1/boat.png"})
    assert "IMAGE_NOT_FETCHED" in text(fetched)


async def test_only_images_leave_the_machine(user: User, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = image.with_name("id_rsa.png")
    secret.write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    pipe = image.with_name("pipe.png")
    os.mkfifo(pipe)
    monkeypatch.setattr("rushes.video_request.MAX_IMAGE_BYTES", 100)
    for path, why in (
        (secret, "isn't a PNG, JPEG or WebP image"),
        (pipe, "isn't a file"),
        ("/dev/zero", "isn't a file"),
        (image, "the maximum for an image is 100"),
        (image.with_name("none.png"), "Can't read the image"),
        ("a\0b", "isn't a valid file name"),
    ):
        result = await tool(user, "estimate_video", {**ENDLESS, "first_frame": str(path)})
        assert result.is_error
        assert why in text(result)


async def test_request_that_would_be_refused_is_not_offered(user: User) -> None:
    person = Person("accept")
    async with near(user, person=person) as client:
        result = await client.call_tool("create_video", {"prompt": "a kite", "model": "veo-3.1", "count": 4})
        again = await client.call_tool("create_video", {"prompt": "a kite", "model": "veo-3.1", "count": 4})
    assert not result.is_error
    assert again.is_error
    assert "INSUFFICIENT_CREDITS" in text(again)
    assert len(person.asked) == 1
    assert len(made(user)) == 1


async def test_video_is_offered_confirmed_created_and_shown(user: User) -> None:
    async with near(user, person=Person("accept")) as client:
        price = await client.call_tool("estimate_video", SMALL)
        assert "30 credits" in text(price)
        video = (await client.call_tool("create_video", SMALL)).structured_content["id"]
        shown = await client.call_tool("video_status", {"video": video, "wait_seconds": 50})
        listed = await client.call_tool("list_videos", {"status": "completed"})
    for name, result in (
        ("estimate_video", price),
        ("video_status", shown),
        ("list_videos", listed),
    ):
        checked(name, result)
    assert shown.structured_content["status"] == "completed"
    assert [one["index"] for one in shown.structured_content["links"]] == [0]
    (link,) = [block for block in shown.content if isinstance(block, types.ResourceLink)]
    (poster,) = [block for block in shown.content if isinstance(block, types.ImageContent)]
    assert str(link.uri) in text(shown)
    film = httpx2.get(str(link.uri), trust_env=False).content
    with av.open(io.BytesIO(film)) as opened:
        assert opened.streams.video
    with Image.open(io.BytesIO(base64.b64decode(poster.data))) as frame:
        assert frame.format == "JPEG"
    assert [one["id"] for one in listed.structured_content["data"]] == [video]


async def test_wait_reports_progress_and_is_bounded(user: User) -> None:
    video = user.create(ENDLESS["prompt"], seconds=4)["id"]
    told: list[str | None] = []

    async def progress(_done: float, _total: float | None, message: str | None) -> None:
        told.append(message)

    async with near(user) as client:
        arguments = {"video": video, "wait_seconds": 1}
        result = await client.call_tool("video_status", arguments, progress_callback=progress)
        user.wait(video, lambda seen: seen["status"] == "in_progress")
    checked("video_status", result)
    assert result.structured_content["status"] in ("queued", "in_progress")
    assert told


async def test_cancel_and_delete_are_offered_first(user: User) -> None:
    video = user.create(ENDLESS["prompt"], seconds=4)["id"]
    user.wait(video, lambda seen: seen["status"] == "in_progress")
    early = await tool(user, "delete_video", {"video": video})
    assert "JOB_NOT_FINISHED" in text(early)

    terms = (await tool(user, "cancel_video", {"video": video})).structured_content
    assert terms["cancellation"]["cancel_returns"] == 0
    assert terms["cancellation"]["message"] in terms["question"]
    assert user.get(video)["status"] == "in_progress"
    crossed = await tool(user, "delete_video", {"video": video, "offer": terms["id"]})
    assert crossed.is_error
    canceled = await tool(user, "cancel_video", {"video": video, "offer": terms["id"]})
    assert "Refunded 0 credits, kept 40" in text(canceled)
    assert "was canceled" in text(await tool(user, "video_status", {"video": video}))

    offer = (await tool(user, "delete_video", {"video": video})).structured_content
    assert "permanently?" in offer["question"]
    assert user.get(video)["status"] == "canceled"
    deleted = await tool(user, "delete_video", {"video": video, "offer": offer["id"]})
    assert deleted.structured_content["deleted"]
    assert made(user) == []


async def test_smaller_refund_after_confirmation_is_offered_again(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    video = user.create(ENDLESS["prompt"], seconds=4)["id"]
    user.wait(video, lambda seen: seen["status"] == "in_progress")
    get = Api.get
    with monkeypatch.context() as before:
        before.setattr(Api, "get", lambda self, path, **query: get(self, path, **query) | {"cancel_returns": 40})
        offer = (await tool(user, "cancel_video", {"video": video})).structured_content
    again = await tool(user, "cancel_video", {"video": video, "offer": offer["id"]})
    assert again.structured_content["cancellation"]["cancel_returns"] == 0
    assert again.structured_content["id"] != offer["id"]
    assert user.get(video)["status"] == "in_progress"


@pytest.mark.parametrize("era", ERAS)
async def test_delete_asks_a_user_who_can_be_asked(user: User, era: str) -> None:
    video = user.create(ENDLESS["prompt"], seconds=4)["id"]
    user.call("POST", f"/v1/videos/{video}/cancel")
    for action, left in (("decline", [video]), ("accept", [])):
        person = Person(action)  # type: ignore[arg-type]
        async with near(user, era, person) as client:
            checked("delete_video", await client.call_tool("delete_video", {"video": video}))
        assert len(person.asked) == 1
        assert [one["id"] for one in made(user)] == left


async def test_account_credits_and_pages(user: User) -> None:
    videos = [user.create(ENDLESS["prompt"], seconds=4)["id"] for _ in range(3)]
    account = await tool(user, "get_account", {})
    assert account.structured_content["balance"] == 380
    assert "380 credits" in text(account)
    first = await tool(user, "list_videos", {"limit": 2})
    assert f"after={first.structured_content['last_id']}" in text(first)
    rest = await tool(user, "list_videos", {"limit": 2, "after": first.structured_content["last_id"]})
    pages = first.structured_content["data"] + rest.structured_content["data"]
    assert [one["id"] for one in pages] == videos[::-1]
    newest = await tool(user, "list_transactions", {"limit": 3})
    oldest = await tool(user, "list_transactions", {"after": newest.structured_content["last_id"]})
    assert [one["amount"] for one in newest.structured_content["data"]] == [-40] * 3
    assert [one["amount"] for one in oldest.structured_content["data"]] == [500]
    assert "charge -40, balance 380" in text(newest)


async def test_finished_videos_are_resources(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_resources, "PAGE", 1)
    size = {"model": "omni-flash", "seconds": 3, "size": "640x360"}
    videos = [user.finish(prompt, **size)["id"] for prompt in ("a kite", "a boat")]
    async with near(user) as client:
        newest = await client.list_resources()
        oldest = await client.list_resources(cursor=newest.next_cursor)
        templates = (await client.list_resource_templates()).resource_templates
        (resource,) = newest.resources
        (film,) = (await client.read_resource(resource.uri)).contents
        (poster,) = (await client.read_resource(f"rushes://videos/{videos[0]}/posters/0")).contents
        (details,) = (await client.read_resource(f"rushes://videos/{videos[0]}")).contents
        monkeypatch.setattr(mcp_resources, "MAX_BLOB_BYTES", 100)
        (link,) = (await client.read_resource(resource.uri)).contents
        for uri in ("rushes://videos/" + videos[0] + "/files/1", "rushes://videos/x", "file:///etc/passwd"):
            with pytest.raises(MCPError):
                await client.read_resource(uri)
    assert [one.uri for one in (*newest.resources, *oldest.resources)] == [
        f"rushes://videos/{video}/files/0" for video in videos[::-1]
    ]
    assert oldest.next_cursor is None
    assert resource.title == "a boat"
    assert len(templates) == 3
    content = base64.b64decode(film.blob)
    assert len(content) == resource.size
    assert httpx2.get(link.text, trust_env=False).content == content
    assert link.mime_type == "text/uri-list"
    with Image.open(io.BytesIO(base64.b64decode(poster.blob))) as frame:
        assert frame.format == "JPEG"
    assert json.loads(details.text)["prompt"] == "a kite"


async def test_errors_tell_the_model_what_to_do(user: User) -> None:
    async with near(user) as client:
        unknown = await client.call_tool("create_video", {"prompt": "a kite", "mood": "calm"})
        no_video = await client.call_tool("video_status", {"video": "video_" + "x" * 22})
        no_length = await client.call_tool("estimate_video", {"prompt": "a kite", "seconds": 5})
        no_tool = await client.call_tool("make_coffee", {})
    assert unknown.is_error
    assert "mood" in text(unknown)
    assert "NOT_FOUND" in text(no_video)
    assert "UNSUPPORTED_BY_MODEL" in text(no_length)
    assert no_tool.is_error


async def test_starts_signed_out_and_says_so(user: User) -> None:
    async with near(replace(user, token="rk_nothing")) as client:
        assert (await client.list_tools()).tools
        result = await client.call_tool("list_videos", {})
    assert result.is_error
    assert "UNAUTHENTICATED" in text(result)


def test_offer_expires_after_10_minutes(settings: Path) -> None:
    now = [0.0]
    offers = Offers(settings, lambda: now[0])
    offer = offers.make({"prompt": "a kite"}, "quote")
    offers.keep(offer)
    now[0] = KEPT_FOR_S - 1
    assert offers.get(offer.id, {"prompt": "a kite"}) == offer
    assert offers.get(offer.id, {"prompt": "a boat"}) is None
    now[0] = KEPT_FOR_S
    assert offers.get(offer.id, {"prompt": "a kite"}) is None


def test_offers_are_private_few_and_without_prompts(settings: Path) -> None:
    offers = Offers(settings)
    made = [offers.make({"prompt": "a kite"}, "quote") for _ in range(MAX_OFFERS + 5)]
    for offer in made:
        offers.keep(offer)
    files = list(settings.iterdir())
    assert len(files) == MAX_OFFERS
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert "kite" not in files[0].read_text()
    assert offers.get(made[-1].id, {"prompt": "a kite"}) == made[-1]
    # All of them expire, including what a crashed process left half written.
    (settings / ".offer-half.json.abc").touch()
    for file in settings.iterdir():
        os.utime(file, (0, 0))
    offers.keep(made[0])
    assert len(list(settings.iterdir())) == 1


def test_unreadable_offer_is_ignored(settings: Path) -> None:
    offers = Offers(settings)
    offer = offers.make({}, None)
    offers.keep(offer)
    (path,) = settings.iterdir()
    for content in (b"", b"{}", b"[]", b"null", b"\xff", path.read_bytes().replace(b"quote", b"")[:40]):
        path.write_bytes(content)
        assert offers.get(offer.id, {}) is None


def test_unsaved_offer_is_reported(settings: Path) -> None:
    settings.parent.mkdir(exist_ok=True)
    settings.write_text("a file where a directory should be")
    offers = Offers(settings)
    with pytest.raises(Failure, match="FILE_NOT_WRITTEN"):
        offers.keep(offers.make({}, None))


def test_concurrent_processes_save_offers(settings: Path) -> None:
    stores = [Offers(settings) for _ in range(4)]
    kept: list[Any] = []

    def keep(store: Offers) -> None:
        for _ in range(30):
            offer = store.make({}, None)
            store.keep(offer)
            kept.append(offer)

    threads = [threading.Thread(target=keep, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 120
    assert all(stores[0].get(offer.id, {}) == offer for offer in kept)
