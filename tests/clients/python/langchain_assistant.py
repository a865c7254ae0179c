"""With LangChain's adapter, which starts a `rushes mcp` for every call: make a video, wait for it, list it, fetch it.

python langchain_assistant.py FILE COMMAND..., where COMMAND starts the server.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from pathlib import Path
from typing import Any

import httpx
from langchain_core.tools import BaseTool
from langchain_mcp_adapters.client import MultiServerMCPClient

REQUEST = {"prompt": "a paper boat in the rain", "model": "omni-flash", "seconds": 3, "size": "640x360"}


async def main(file: Path, *command: str) -> None:
    server = {"transport": "stdio", "command": command[0], "args": list(command[1:]), "env": dict(os.environ)}
    client = MultiServerMCPClient({"rushes": server})
    tools = {tool.name: tool for tool in await client.get_tools()}

    refused = await message(tools["create_video"], {"prompt": "a paper boat", "seconds": 5})
    assert refused.status == "error", refused
    assert "UNSUPPORTED_BY_MODEL" in refused.text, refused

    offer = await structured(tools["create_video"], REQUEST)
    assert offer["object"] == "offer", offer
    assert (await structured(tools["list_videos"], {}))["data"] == []
    video = await structured(tools["create_video"], {**REQUEST, "offer": offer["id"]})
    again = await structured(tools["create_video"], {**REQUEST, "offer": offer["id"]})
    assert again["id"] == video["id"], again

    shown = await message(tools["video_status"], {"video": video["id"], "wait_seconds": 50})
    finished = shown.artifact["structured_content"]
    assert finished["status"] == "completed", finished
    kinds = [block["type"] for block in shown.content]
    assert kinds == ["text", "file", "image"], kinds
    account = await structured(tools["get_account"], {})
    entries = await structured(tools["list_transactions"], {"limit": 1})
    assert account["balance"] == entries["data"][0]["balance_after"], entries

    film = httpx.get(finished["links"][0]["url"]).raise_for_status().content
    (blob,) = await client.get_resources("rushes", uris=f"rushes://videos/{video['id']}/files/0")
    assert blob.as_bytes() == film
    assert base64.b64decode(shown.content[2]["base64"]).startswith(b"\xff\xd8\xff")
    file.write_bytes(film)

    offer = await structured(tools["delete_video"], {"video": video["id"]})
    deleted = await structured(tools["delete_video"], {"video": video["id"], "offer": offer["id"]})
    assert deleted["deleted"], deleted


async def message(tool: BaseTool, arguments: dict[str, Any]) -> Any:
    """The ToolMessage that an agent would get."""
    return await tool.ainvoke({"type": "tool_call", "name": tool.name, "args": arguments, "id": "call"})


async def structured(tool: BaseTool, arguments: dict[str, Any]) -> Any:
    """The structured result of a call that must succeed."""
    result = await message(tool, arguments)
    assert result.status == "success", result
    return result.artifact["structured_content"]


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
