"""The Model Context Protocol over standard input and output: an assistant offers, asks, makes and shows videos.

What the tools are is agent_tools.json, which is made from shared/http/agent_tools.py of the repository. Whatever
changes something is done only on an offer that the user has accepted (mcp_acceptance.py).
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Final

import anyio
import jsonschema
from mcp import types
from mcp.server import Server
from mcp.server.stdio import stdio_server

from rushes import __version__
from rushes.failure import Failure
from rushes.mcp_acceptance import accepted
from rushes.mcp_calls import Answer, Calls, Context, failed, said
from rushes.mcp_reads import READS
from rushes.mcp_resources import TEMPLATES, list_resources, read_resource
from rushes.offers import Offers
from rushes.run import Run

INSTRUCTIONS: Final = (
    "Rushes creates videos from prompts and images, for credits. Offer the cost and the typical time, do nothing "
    "until the user confirms, then follow the video with video_status and show the user its link and poster frame."
)


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
    """The protocol's requests, and which module serves each."""

    def __init__(self, run: Run) -> None:
        self._calls = Calls(run)
        self._offers = Offers()
        self._tools = {tool.name: tool for tool in tools()}

    def server(self) -> Server[Any]:
        return Server(
            "rushes",
            version=__version__,
            title="Rushes",
            instructions=INSTRUCTIONS,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
        )

    async def _list_tools(self, _: Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=list(self._tools.values()))

    async def _call_tool(self, context: Context, params: types.CallToolRequestParams) -> Answer:
        tool = self._tools.get(params.name)
        if tool is None:
            return failed(f"Unknown tool {params.name}.")
        arguments = dict(params.arguments or {})
        wrong = next(jsonschema.Draft202012Validator(tool.input_schema).iter_errors(arguments), None)
        if wrong is not None:
            where = ".".join(map(str, wrong.path)) or "arguments"
            return failed(f"{where}: {wrong.message}")
        try:
            if params.name in READS:
                return await READS[params.name](self._calls, context, arguments)
            return await accepted(self._calls, self._offers, context, params, arguments)
        except Failure as failure:
            return failed(said(failure))

    async def _list_resources(
        self, _: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        return await list_resources(self._calls, params.cursor if params else None)

    async def _list_templates(
        self, _: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=list(TEMPLATES))

    async def _read_resource(self, _: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        return await read_resource(self._calls, str(params.uri))
