"""What every tool of the MCP server needs: calls of the API, and results in the protocol's form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import anyio.to_thread
from mcp import types
from mcp.server import ServerRequestContext

from rushes.api import Api
from rushes.failure import Failure, Json
from rushes.run import Run

T = TypeVar("T")
Context = ServerRequestContext[Any, Any]
Answer = types.CallToolResult | types.InputRequiredResult


class Calls:
    """Calls of the API. Each finds its installation again: the user may sign in, or restart it, in between."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def __call__(self, call: Callable[[Api], T]) -> T:
        """The result of `call`, made in a thread, since it may wait and repeat itself. Raises Failure."""

        def called() -> T:
            with Api(self._run.connection, self._run.retry_for_s) as api:
                return call(api)

        return await anyio.to_thread.run_sync(called)


def answer(text: str, structured: Json) -> types.CallToolResult:
    """A result: in words, and in the shape that the tool's output schema promises."""
    return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=structured)


def failed(text: str) -> types.CallToolResult:
    """What the assistant can read and put right. Only text: clients hold anything else against the output schema."""
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)


def said(failure: Failure) -> str:
    """A failure in words."""
    request = f"(Request {failure.request_id})" if failure.request_id else ""
    return " ".join(filter(None, (f"{failure.code}: {failure.message}", failure.suggested_action, request)))
