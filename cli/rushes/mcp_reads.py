"""What assistants may look at: nothing here changes anything."""

from __future__ import annotations

import base64
import time
from typing import Final

import anyio
from mcp import types

from rushes.api import Api
from rushes.descriptions import account, line, page, price, standing, transaction
from rushes.failure import Json
from rushes.mcp_calls import Calls, Context, answer
from rushes.mcp_writes import video_request
from rushes.waiting import FINAL

POLL_EVERY_S: Final = 1.0
DEFAULT_LIMIT: Final = 10


async def estimate_video(calls: Calls, _context: Context, arguments: Json) -> types.CallToolResult:
    def estimated(api: Api) -> Json:
        return api.post("/v1/videos/estimate", repeatable=True, **video_request(arguments).request())

    said = await calls(estimated)
    return answer(price(said), said)


async def video_status(calls: Calls, context: Context, arguments: Json) -> types.CallToolResult:
    deadline = time.monotonic() + arguments.get("wait_seconds", 0)
    while True:
        video = await calls(lambda api: api.get(f"/v1/videos/{arguments['video']}"))
        if video["status"] in FINAL or time.monotonic() >= deadline:
            break
        await context.session.report_progress(video["progress"], 100, video["stage"])
        await anyio.sleep(min(POLL_EVERY_S, max(deadline - time.monotonic(), 0.0)))
    if video["status"] != "completed":
        return answer(standing(video), {**video, "links": []})
    return await _completed(calls, video)


async def _completed(calls: Calls, video: Json) -> types.CallToolResult:
    """A finished video with what shows it: a link to each of its files, and the poster frame."""
    path = f"/v1/videos/{video['id']}/content"

    def links(api: Api) -> list[Json]:
        asked = [(file["index"], api.get(path, index=file["index"], redirect="json")) for file in video["files"]]
        return [{"index": index, "url": link["url"], "expires_at": link["expires_at"]} for index, link in asked]

    linked = await calls(links)
    poster = await calls(lambda api: api.fetch(path, variant="thumbnail", redirect="false"))
    urls = [link["url"] for link in linked]
    content: list[types.ContentBlock] = [types.TextContent(text=f"{standing(video)}\n" + "\n".join(urls))]
    content += [
        types.ResourceLink(
            name=f"{video['id']}-{file['index']}.mp4", uri=url, mime_type="video/mp4", size=file["size_bytes"]
        )
        for file, url in zip(video["files"], urls, strict=True)
    ]
    content.append(types.ImageContent(data=base64.b64encode(poster).decode(), mime_type="image/jpeg"))
    return types.CallToolResult(content=content, structured_content={**video, "links": linked})


async def list_videos(calls: Calls, _context: Context, arguments: Json) -> types.CallToolResult:
    query = {"limit": DEFAULT_LIMIT, **arguments}
    said = await calls(lambda api: api.get("/v1/videos", **query))
    return answer(page([line(video) for video in said["data"]], said), said)


async def get_account(calls: Calls, _context: Context, _arguments: Json) -> types.CallToolResult:
    said = await calls(lambda api: api.get("/v1/account"))
    return answer(account(said), said)


async def list_transactions(calls: Calls, _context: Context, arguments: Json) -> types.CallToolResult:
    query = {"limit": DEFAULT_LIMIT, **arguments}
    said = await calls(lambda api: api.get("/v1/account/transactions", **query))
    return answer(page([transaction(one) for one in said["data"]], said), said)


READS: Final = {
    read.__name__: read for read in (estimate_video, video_status, list_videos, get_account, list_transactions)
}
