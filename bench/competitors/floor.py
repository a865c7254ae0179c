"""The lower bound: an empty function on functions-framework, which every request of ours passes through."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response


@functions_framework.aio.http
async def floor(request: Request) -> Response:
    return Response()
