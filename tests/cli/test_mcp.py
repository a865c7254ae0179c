"""An assistant at the door: the protocol's own client, over standard input and output, in both eras of the protocol."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Literal

import av
import httpx2
import pytest
from mcp import Client, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from PIL import Image

from rushes.connection import Given
from rushes.mcp_server import Assistant
from rushes.offers import KEPT_FOR_S, Offers
from rushes.run import Run
from tests.cli.conftest import RUSHES, Shell
from tests.cloud import User

SMALL = {"prompt": "a kite over the bay", "model": "omni-flash", "seconds": 3}
ENDLESS = {"prompt": "a kite [never finishes]", "seconds": 4}
ERAS = ["legacy", "auto"]
Action = Literal["accept", "decline", "cancel"]


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


def text(result: types.CallToolResult) -> str:
    return " ".join(block.text for block in result.content if isinstance(block, types.TextContent))


def made(user: User) -> list[Any]:
    videos: list[Any] = user.call("GET", "/v1/videos").json()["data"]
    return videos


async def test_the_tools_are_listed_with_their_schemas(user: User) -> None:
    async with near(user) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"estimate_video", "create_video", "video_status", "list_videos", "cancel_video"}
    assert tools["create_video"].input_schema["required"] == ["prompt"]
    assert tools["estimate_video"].annotations is not None
    assert tools["estimate_video"].annotations.read_only_hint


@pytest.mark.parametrize("era", ERAS)
async def test_where_the_user_can_be_asked_a_yes_makes_the_video(shell: Shell, user: User, era: str) -> None:
    person = Person("accept")
    async with assistant(shell, era, person) as client:
        result = await client.call_tool("create_video", ENDLESS)
    assert not result.is_error
    (video,) = made(user)
    assert result.structured_content["id"] == video["id"]
    (question,) = person.asked
    assert "for 40 credits?" in question
    assert "It usually takes about" in question
    assert "The balance is 500 credits, afterwards 460." in question
    assert "Canceled after it has begun, it gives back 0 of 40 credits." in question
    assert ENDLESS["prompt"] in question


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_without_a_yes_nothing_is_made(user: User, era: str, action: Action) -> None:
    async with near(user, era, Person(action)) as client:
        result = await client.call_tool("create_video", ENDLESS)
    assert "Nothing was made, and nothing was charged." in text(result)
    assert made(user) == []
    assert user.ledger == [500]


@pytest.mark.parametrize("era", ERAS)
async def test_the_model_cannot_say_yes_for_a_user_who_can_be_asked(user: User, era: str) -> None:
    person = Person("decline")
    async with near(user, era, person) as client:
        await client.call_tool("create_video", {**ENDLESS, "confirmed_credits": 40})
        await client.call_tool("create_video", {**ENDLESS, "confirmed_credits": 40})
    assert len(person.asked) == 2
    assert made(user) == []


@pytest.mark.parametrize("era", ERAS)
async def test_elsewhere_it_takes_a_second_call_that_repeats_the_price(user: User, era: str) -> None:
    async with near(user, era) as client:
        offer = await client.call_tool("create_video", ENDLESS)
        assert offer.structured_content["confirmed_credits"] == 40
        assert "confirmed_credits=40" in text(offer)
        assert made(user) == []
        accepted = {**ENDLESS, "confirmed_credits": 40}
        first = await client.call_tool("create_video", accepted)
        # An answer that got lost on its way to the assistant is asked for again.
        second = await client.call_tool("create_video", accepted)
    assert first.structured_content["id"] == second.structured_content["id"]
    assert [video["id"] for video in made(user)] == [first.structured_content["id"]]
    assert user.ledger == [500, -40]


@pytest.mark.usefixtures("price_rise")
async def test_a_price_that_rose_after_the_yes_is_offered_again_and_makes_nothing(user: User) -> None:
    async with near(user) as client:
        await client.call_tool("create_video", ENDLESS)
        again = await client.call_tool("create_video", {**ENDLESS, "confirmed_credits": 39})
    assert again.structured_content["object"] == "offer"
    assert "Nothing was made" in text(again)
    assert made(user) == []


async def test_a_price_that_was_never_offered_makes_nothing(user: User) -> None:
    async with near(user) as client:
        guessed = await client.call_tool("create_video", {**ENDLESS, "confirmed_credits": 40})
        assert guessed.structured_content["object"] == "offer"
        wrong = await client.call_tool("create_video", {**ENDLESS, "confirmed_credits": 39})
        assert "39 credits were not what was offered" in text(wrong)
        other = await client.call_tool("create_video", {**ENDLESS, "seed": 1, "confirmed_credits": 40})
        assert other.structured_content["object"] == "offer"
    assert made(user) == []


async def test_what_would_be_refused_is_not_offered(user: User) -> None:
    person = Person("accept")
    async with near(user, person=person) as client:
        result = await client.call_tool("create_video", {"prompt": "a kite", "model": "veo-3.1", "count": 4})
        again = await client.call_tool("create_video", {"prompt": "a kite", "model": "veo-3.1", "count": 4})
    assert not result.is_error
    assert again.is_error
    assert "INSUFFICIENT_CREDITS" in text(again)
    assert len(person.asked) == 1
    assert len(made(user)) == 1


async def test_a_video_is_offered_confirmed_made_and_shown(user: User) -> None:
    async with near(user, person=Person("accept")) as client:
        price = await client.call_tool("estimate_video", SMALL)
        assert "30 credits" in text(price)
        video = (await client.call_tool("create_video", SMALL)).structured_content["id"]
        shown = await client.call_tool("video_status", {"video": video, "wait_seconds": 50})
        listed = await client.call_tool("list_videos", {"status": "completed"})
    assert shown.structured_content["status"] == "completed"
    (link,) = [block for block in shown.content if isinstance(block, types.ResourceLink)]
    (poster,) = [block for block in shown.content if isinstance(block, types.ImageContent)]
    assert str(link.uri) in text(shown)
    film = httpx2.get(str(link.uri), trust_env=False).content
    with av.open(io.BytesIO(film)) as opened:
        assert opened.streams.video
    with Image.open(io.BytesIO(base64.b64decode(poster.data))) as frame:
        assert frame.format == "JPEG"
    assert [one["id"] for one in listed.structured_content["data"]] == [video]


async def test_a_wait_reports_progress_and_ends_in_time(user: User) -> None:
    video = user.create(ENDLESS["prompt"], seconds=4)["id"]
    told: list[str | None] = []

    async def progress(_done: float, _total: float | None, message: str | None) -> None:
        told.append(message)

    async with near(user) as client:
        arguments = {"video": video, "wait_seconds": 1}
        result = await client.call_tool("video_status", arguments, progress_callback=progress)
        user.wait(video, lambda seen: seen["status"] == "in_progress")
        greedy = await client.call_tool("cancel_video", {"video": video, "accepted_refund": 40})
        asked = await client.call_tool("cancel_video", {"video": video})
        assert user.get(video)["status"] == "in_progress"
        canceled = await client.call_tool("cancel_video", {"video": video, "accepted_refund": 0})
        final = await client.call_tool("video_status", {"video": video})
    assert result.structured_content["status"] in ("queued", "in_progress")
    assert told
    assert "would give back 0 credits now, not 40" in text(greedy)
    assert asked.structured_content["cancel_returns"] == greedy.structured_content["cancel_returns"] == 0
    assert "accepted_refund=0" in text(asked)
    assert "0 credits came back, 40 were kept" in text(canceled)
    assert "was canceled" in text(final)


async def test_mistakes_come_back_as_words_that_a_model_can_act_on(user: User) -> None:
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


async def test_it_starts_without_anybody_signed_in_and_says_so_when_asked(user: User) -> None:
    async with near(replace(user, token="rk_nothing")) as client:
        assert (await client.list_tools()).tools
        result = await client.call_tool("list_videos", {})
    assert result.is_error
    assert "UNAUTHENTICATED" in text(result)


def test_an_offer_ends_after_an_hour() -> None:
    now = [0.0]
    offers = Offers(lambda: now[0])
    offer = offers.make({"prompt": "a kite"}, {"cost": 40})
    now[0] = KEPT_FOR_S - 1
    assert offers.quoted({"prompt": "a kite"}, 40) is offer
    assert offers.get(offer.id, {"prompt": "a kite"}) is offer
    now[0] = KEPT_FOR_S
    assert offers.quoted({"prompt": "a kite"}, 40) is None
    assert offers.get(offer.id, {"prompt": "a kite"}) is None


def test_only_the_newest_price_of_a_wish_is_an_offer() -> None:
    offers = Offers()
    offers.make({"prompt": "a kite"}, {"cost": 40})
    offers.make({"prompt": "a kite"}, {"cost": 50})
    assert offers.quoted({"prompt": "a kite"}, 40) is None
    assert offers.quoted({"prompt": "a kite"}, 50) is not None
