"""Veo in the words of the Gemini API, which is how the peers call it: the engine of local/providers behind other paths.

Nothing that it generates ends while something is measured, so that nothing is rendered. Run as
`python -m bench.competitors.gemini_veo --port PORT`.
"""

from __future__ import annotations

import argparse

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.ports import HOST
from local.providers.durations import Durations
from local.providers.engine import Engine, Request, UnknownGenerationError
from local.providers.render import Film
from local.providers.wire import BadRequestError, json_body, pixels, rpc_error

LASTS_S = 3_600.0


class Veo:
    """Two calls: start a generation, look at one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.app = Starlette(
            routes=[
                Route("/", self._root, methods=["GET"]),
                Route("/v1beta/models/{target}", self._create, methods=["POST"]),
                Route("/v1beta/models/{model}/operations/{generation}", self._look, methods=["GET"]),
            ]
        )

    async def _root(self, request: HttpRequest) -> Response:
        return Response()

    async def _create(self, request: HttpRequest) -> Response:
        model, _, method = request.path_params["target"].partition(":")
        if method != "predictLongRunning":
            return rpc_error(404, f"The method {method!r} was not found.")
        if "x-goog-api-key" not in request.headers:
            return rpc_error(403, "Method doesn't allow unregistered callers.")
        try:
            body = await json_body(request)
            (instance,), parameters = body["instances"], body["parameters"]
            width, height = pixels(parameters.get("aspectRatio", "16:9"), parameters.get("resolution", "720p"))
            asked = Request(model, instance["prompt"], parameters.get("durationSeconds", 8), width, height)
        except (BadRequestError, KeyError, ValueError) as error:
            return rpc_error(400, f"Request contains an invalid argument: {error}")
        generation = await self._engine.create(asked)
        return JSONResponse({"name": f"models/{model}/operations/{generation.id}"})

    async def _look(self, request: HttpRequest) -> Response:
        try:
            generation = await self._engine.poll(request.path_params["generation"])
        except UnknownGenerationError:
            return rpc_error(404, "The operation was not found.")
        name = request.url.path.removeprefix("/v1beta/")
        return JSONResponse({"name": name, "done": generation.state != "running"})


async def nothing(film: Film) -> bytes:
    """Instead of a video, which is never shown."""
    return b""


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.competitors.gemini_veo", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--port", type=int, required=True)
    engine = Engine(nothing, durations=Durations(LASTS_S, LASTS_S))
    uvicorn.run(
        Veo(engine).app, host=HOST, port=parser.parse_args().port, access_log=False, log_level="error", lifespan="off"
    )


if __name__ == "__main__":
    main()
