"""What serving a video is compared with: a file on disk, and a plain proxy to the bucket.

`uvicorn bench.files:app`, with the directory of the files in FILES and the address of the bucket's objects in OBJECTS.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

PASSED_ON = ("content-length", "content-range", "content-type", "etag")


async def alive(_: Request) -> Response:
    return PlainTextResponse("ok")


async def file(request: Request) -> Response:
    return FileResponse(Path(os.environ["FILES"]) / request.path_params["path"], media_type="video/mp4")


async def hop(request: Request) -> Response:
    """The object as the bucket gives it, with the range that was asked for."""
    client: httpx2.AsyncClient = request.state.client
    wanted = {name: request.headers[name] for name in ("range",) if name in request.headers}
    url = f"{os.environ['OBJECTS']}/{quote(request.path_params['path'], safe='')}?alt=media"
    answer = await client.send(client.build_request("GET", url, headers=wanted), stream=True)
    headers = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
    return StreamingResponse(_passed_on(answer), answer.status_code, headers)


async def _passed_on(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, httpx2.AsyncClient]]:
    async with httpx2.AsyncClient(timeout=60.0, trust_env=False) as client:
        yield {"client": client}


app = Starlette(
    routes=[Route("/", alive), Route("/file/{path:path}", file), Route("/hop/{path:path}", hop)], lifespan=lifespan
)
