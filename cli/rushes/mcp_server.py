"""The Model Context Protocol over standard input and output: an assistant offers, asks, makes and shows videos.

What the tools are is agent_tools.json, which is made from shared/agent_tools.py of the repository. A video is made only
after a yes: where the client can ask its user (elicitation), this server has it asked; elsewhere the first call of
create_video is answered with an offer, and only a second one that repeats the offer's price makes the video.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.resources import files
from typing import Any, Final

import anyio
import anyio.to_thread
import jsonschema
from mcp import types
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp_types.version import is_version_at_least

from rushes import __version__
from rushes.api import Api
from rushes.failure import Failure, Json
from rushes.offers import Offer, Offers
from rushes.run import Run
from rushes.sentences import price, standing
from rushes.waiting import FINAL

LOOK_EVERY_S: Final = 1.0
DEFAULT_LIMIT: Final = 10
# From this revision on a server asks by answering the call with a question, and is called again with the reply.
ASKS_BY_ANSWERING: Final = "2026-07-28"
QUESTION: Final = "confirm"
# Accepting is the answer; there is nothing to fill in.
NOTHING_TO_FILL_IN: Final[Json] = {"type": "object", "properties": {}}
INSTRUCTIONS: Final = (
    "Rushes makes videos from prompts, for credits. Offer with the cost and the usual time, make nothing without the "
    "user's yes, then follow the video with video_status and show the user its link and poster frame."
)

Context = ServerRequestContext[Any, Any]
Answer = types.CallToolResult | types.InputRequiredResult


def serve(run: Run) -> None:
    """Serve one client until it closes our standard input."""
    anyio.run(_serve, Assistant(run).server())


async def _serve(server: Server[Any]) -> None:
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def tools() -> list[types.Tool]:
    """The tools as the protocol lists them."""
    text = files("rushes").joinpath("agent_tools.json").read_text(encoding="utf-8")
    return [types.Tool.model_validate(tool) for tool in json.loads(text)]


class Assistant:
    """What the tools do. Each call finds its installation afresh: one may sign in, or restart it, in between."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._offers = Offers()
        self._tools = {tool.name: tool for tool in tools()}
        self._doing: dict[str, Callable[[Context, types.CallToolRequestParams, Json], Awaitable[Answer]]] = {
            "estimate_video": self._estimate,
            "create_video": self._create,
            "video_status": self._status,
            "list_videos": self._list,
            "cancel_video": self._cancel,
        }

    def server(self) -> Server[Any]:
        return Server(
            "rushes",
            version=__version__,
            title="Rushes",
            instructions=INSTRUCTIONS,
            on_list_tools=self._listed,
            on_call_tool=self._called,
        )

    async def _listed(self, _context: Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=list(self._tools.values()))

    async def _called(self, context: Context, params: types.CallToolRequestParams) -> Answer:
        tool = self._tools.get(params.name)
        if tool is None:
            return _failed(f"There is no tool {params.name}.")
        arguments = dict(params.arguments or {})
        wrong = next(jsonschema.Draft202012Validator(tool.input_schema).iter_errors(arguments), None)
        if wrong is not None:
            where = ".".join(map(str, wrong.path)) or "arguments"
            return _failed(f"{where}: {wrong.message}")
        try:
            return await self._doing[params.name](context, params, arguments)
        except Failure as failure:
            return _failed(f"{failure.code}: {failure.message} {failure.suggested_action}".strip(), failure.body())

    async def _on_api(self, call: Callable[[Api], Json]) -> Json:
        """A call of the API, in a thread: it may wait, and repeats itself. Raises Failure."""

        def called() -> Json:
            with Api(self._run.connection, self._run.retry_for_s) as api:
                return call(api)

        return await anyio.to_thread.run_sync(called)

    # --- money ---

    async def _estimate(self, _context: Context, _params: types.CallToolRequestParams, wish: Json) -> Answer:
        said = await self._on_api(partial(_estimated, wish))
        return _answer(price(said), said)

    async def _create(self, context: Context, params: types.CallToolRequestParams, arguments: Json) -> Answer:
        confirmed = arguments.pop("confirmed_credits", None)
        if not _can_ask(context):
            offer = self._offers.quoted(arguments, confirmed) if confirmed is not None else None
            return await self._make(offer) if offer else await self._offer(arguments, confirmed)
        if is_version_at_least(context.protocol_version, ASKS_BY_ANSWERING):
            return await self._create_by_answering(params, arguments)
        offer = await self._priced(arguments)
        if not offer.estimate["accepted"]:
            return _refused(offer)
        reply = await context.session.elicit_form(offer.text(), NOTHING_TO_FILL_IN, context.request_id)
        return await self._decided(offer, reply)

    async def _create_by_answering(self, params: types.CallToolRequestParams, wish: Json) -> Answer:
        offer = self._offers.get(params.request_state, wish)
        reply = (params.input_responses or {}).get(QUESTION)
        if offer is not None and isinstance(reply, types.ElicitResult):
            return await self._decided(offer, reply)
        offer = await self._priced(wish)
        if not offer.estimate["accepted"]:
            return _refused(offer)
        asked = types.ElicitRequestFormParams(message=offer.text(), requested_schema=NOTHING_TO_FILL_IN)
        return types.InputRequiredResult(
            input_requests={QUESTION: types.ElicitRequest(params=asked)}, request_state=offer.id
        )

    async def _decided(self, offer: Offer, reply: types.ElicitResult) -> Answer:
        if reply.action != "accept":
            said = "The user said no." if reply.action == "decline" else "The user did not answer."
            return _answer(f"{said} Nothing was made, and nothing was charged.", {"object": "declined"})
        return await self._make(offer)

    async def _priced(self, wish: Json) -> Offer:
        return self._offers.make(wish, await self._on_api(partial(_estimated, wish)))

    async def _offer(self, wish: Json, confirmed: int | None) -> Answer:
        """The first of two steps; or the first again, since what was confirmed is not what was offered."""
        offer = await self._priced(wish)
        if not offer.estimate["accepted"]:
            return _refused(offer)
        again = (
            "" if confirmed is None else f"Nothing was made: {confirmed} credits were not what was offered for this. "
        )
        how = f"Once the user has said yes, call create_video again with confirmed_credits={offer.credits}."
        said = {"object": "offer", "confirmed_credits": offer.credits, "estimate": offer.estimate}
        return _answer(f"{again}Nothing is made yet. Ask the user: {offer.text()}\n{how}", said)

    async def _make(self, offer: Offer) -> Answer:
        """Make what the user said yes to, unless its price has risen since."""
        priced = {**offer.wish, "quote": offer.estimate["quote"]}
        try:
            video = await self._on_api(lambda api: api.post("/v1/videos", key=offer.id, json=priced))
        except Failure as failure:
            if failure.code != "PRICE_CHANGED":
                raise
            return await self._offer(offer.wish, offer.credits)
        said = f"{video['id']} is under way, for {video['cost']} credits; usually {video['expected_seconds']:.0f} s."
        return _answer(f"{said} See how it gets on with video_status.", video)

    # --- videos ---

    async def _status(self, context: Context, _params: types.CallToolRequestParams, arguments: Json) -> Answer:
        deadline = time.monotonic() + arguments.get("wait_seconds", 0)
        path = f"/v1/videos/{arguments['video']}"
        while True:
            video = await self._on_api(lambda api: api.get(path))
            if video["status"] in FINAL or time.monotonic() >= deadline:
                break
            await context.session.report_progress(video["progress"], 100, video["stage"])
            await anyio.sleep(min(LOOK_EVERY_S, max(deadline - time.monotonic(), 0.0)))
        if video["status"] != "completed":
            return _answer(standing(video), video)
        return await self._completed(video)

    async def _completed(self, video: Json) -> Answer:
        """A finished video with what shows it: a link to each of its files, and the poster frame."""
        path = f"/v1/videos/{video['id']}/content"

        def links(api: Api) -> Json:
            asked = [(file, api.get(path, index=file["index"], redirect="json")) for file in video["files"]]
            return {"links": [{"index": file["index"], **link} for file, link in asked]}

        def poster(api: Api) -> Json:
            return {"data": base64.b64encode(api.fetch(path, variant="thumbnail", redirect="false")).decode()}

        said = {**video, **await self._on_api(links)}
        urls = [link["url"] for link in said["links"]]
        content: list[types.ContentBlock] = [types.TextContent(text=f"{standing(video)}\n" + "\n".join(urls))]
        content += [
            types.ResourceLink(
                name=f"{video['id']}-{file['index']}.mp4", uri=url, mime_type="video/mp4", size=file["size_bytes"]
            )
            for file, url in zip(video["files"], urls, strict=True)
        ]
        image = await self._on_api(poster)
        content.append(types.ImageContent(data=image["data"], mime_type="image/jpeg"))
        return types.CallToolResult(content=content, structured_content=said)

    async def _list(self, _context: Context, _params: types.CallToolRequestParams, arguments: Json) -> Answer:
        query = {"limit": DEFAULT_LIMIT, **arguments}
        page = await self._on_api(lambda api: api.get("/v1/videos", **query))
        lines = [f"{video['id']} {video['status']}: {video['prompt']}" for video in page["data"]]
        return _answer("\n".join(lines) or "There are no such videos.", page)

    async def _cancel(self, _context: Context, _params: types.CallToolRequestParams, arguments: Json) -> Answer:
        path, accepted = f"/v1/videos/{arguments['video']}/cancel", arguments.get("accepted_refund")
        if accepted is None:
            return await self._cancel_terms(path)
        try:
            said = await self._on_api(lambda api: api.post(path, params={"min_refund": accepted}))
        except Failure as failure:
            if failure.code != "REFUND_CHANGED":
                raise
            return await self._cancel_terms(path, failure.message)
        return _answer(f"Canceled. {said['refunded']} credits came back, {said['kept']} were kept.", said)

    async def _cancel_terms(self, path: str, before: str = "") -> Answer:
        """The first of two steps: what canceling would give back, for the user to decide."""
        terms = await self._on_api(lambda api: api.get(path))
        how = f"Once the user has said yes, call cancel_video again with accepted_refund={terms['cancel_returns']}."
        return _answer(f"{before} Nothing is canceled yet. Ask the user: {terms['message']}\n{how}".strip(), terms)


def _can_ask(context: Context) -> bool:
    """Whether the client shows its user a form. One that names no kind of elicitation means forms."""
    capabilities = context.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _estimated(wish: Json, api: Api) -> Json:
    return api.post("/v1/videos/estimate", repeatable=True, json=wish)


def _refused(offer: Offer) -> types.CallToolResult:
    return _failed(f"Nothing was made. {price(offer.estimate)}", {"object": "refused", "estimate": offer.estimate})


def _answer(text: str, structured: Json) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=structured)


def _failed(text: str, structured: Json | None = None) -> types.CallToolResult:
    """What the assistant can read and put right."""
    return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=structured, is_error=True)
