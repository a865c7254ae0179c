"""Finished videos as resources of the protocol: what a client can list, attach to a conversation, and read."""

from __future__ import annotations

import base64
import json
import re
from typing import Final

from mcp import types
from mcp.shared.exceptions import MCPError

from rushes.api import Api
from rushes.descriptions import short
from rushes.failure import Failure, Json
from rushes.mcp_calls import Calls, said

PAGE: Final = 50
# A larger file is read as a link: a client holds all of a resource in memory, and often in the conversation.
MAX_BLOB_BYTES: Final = 8 * 1024 * 1024
URI: Final = re.compile(
    r"rushes://videos/(?P<video>video_[A-Za-z0-9_-]{22})(?:/(?P<part>files|posters)/(?P<index>[0-3]))?"
)
TEMPLATES: Final = (
    types.ResourceTemplate(
        name="video",
        title="A video's details",
        uri_template="rushes://videos/{video}",
        description="Status, prompt, cost and files of one of the user's videos.",
        mime_type="application/json",
    ),
    types.ResourceTemplate(
        name="file",
        title="A finished video's file",
        uri_template="rushes://videos/{video}/files/{index}",
        description=f"MP4 up to {MAX_BLOB_BYTES // 1024 // 1024} MiB; a link for a larger file (text/uri-list).",
    ),
    types.ResourceTemplate(
        name="poster",
        title="A finished video's poster frame",
        uri_template="rushes://videos/{video}/posters/{index}",
        description="A still image of it.",
        mime_type="image/jpeg",
    ),
)


async def list_resources(calls: Calls, cursor: str | None) -> types.ListResourcesResult:
    """A page of the user's finished videos, the newest first: each file is a resource."""
    try:
        page = await calls(lambda api: api.get("/v1/videos", status="completed", limit=PAGE, after=cursor))
    except Failure as failure:
        raise _error(failure) from None
    resources = [_resource(video, file) for video in page["data"] for file in video["files"]]
    return types.ListResourcesResult(resources=resources, next_cursor=page["last_id"] if page["has_more"] else None)


def _resource(video: Json, file: Json) -> types.Resource:
    index = file["index"]
    return types.Resource(
        name=f"{video['id']}-{index}.mp4",
        title=short(video["prompt"], 80),
        description=f"{file['seconds']:.0f} s, {file['width']}x{file['height']}, {video['model']}",
        uri=f"rushes://videos/{video['id']}/files/{index}",
        mime_type="video/mp4",
        size=file["size_bytes"],
    )


async def read_resource(calls: Calls, uri: str) -> types.ReadResourceResult:
    """Raises MCPError when there is no such resource, or it can't be read."""
    match = URI.fullmatch(uri)
    if match is None:
        raise MCPError(types.INVALID_PARAMS, f"Unknown resource {short(uri, 200)}.")
    read = {None: _details, "files": _file, "posters": _poster}[match["part"]]
    try:
        content = await calls(lambda api: read(api, uri, match["video"], int(match["index"] or 0)))
    except Failure as failure:
        raise _error(failure) from None
    return types.ReadResourceResult(contents=[content])


def _details(api: Api, uri: str, video: str, _index: int) -> types.TextResourceContents:
    text = json.dumps(api.get(f"/v1/videos/{video}"), ensure_ascii=False, indent=2)
    return types.TextResourceContents(uri=uri, mime_type="application/json", text=text)


def _file(api: Api, uri: str, video: str, index: int) -> types.TextResourceContents | types.BlobResourceContents:
    path = f"/v1/videos/{video}/content"
    sizes = {file["index"]: file["size_bytes"] for file in api.get(f"/v1/videos/{video}")["files"]}
    # Of a video without that file the API says why.
    if sizes.get(index, 0) > MAX_BLOB_BYTES:
        link = api.get(path, index=index, redirect="json")["url"]
        return types.TextResourceContents(uri=uri, mime_type="text/uri-list", text=link)
    return _blob(uri, "video/mp4", api.fetch(path, index=index, redirect="false"))


def _poster(api: Api, uri: str, video: str, index: int) -> types.BlobResourceContents:
    path = f"/v1/videos/{video}/content"
    return _blob(uri, "image/jpeg", api.fetch(path, index=index, variant="thumbnail", redirect="false"))


def _blob(uri: str, mime_type: str, content: bytes) -> types.BlobResourceContents:
    return types.BlobResourceContents(uri=uri, mime_type=mime_type, blob=base64.b64encode(content).decode())


def _error(failure: Failure) -> MCPError:
    return MCPError(types.INVALID_PARAMS, said(failure), failure.body())
