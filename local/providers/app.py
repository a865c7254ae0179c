"""Both protocols on one port, and what tests look at: /_stats and /_config."""

from __future__ import annotations

from dataclasses import asdict, replace

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.providers.engine import Engine
from local.providers.files import FileService
from local.providers.interactions import InteractionService
from local.providers.veo import VeoService
from local.providers.webhooks import Webhooks
from local.providers.wire import BadRequestError, json_body, only, rpc_error


class Providers:
    """The ASGI application over one engine. The engine, its renderer and the webhooks are the caller's to close."""

    def __init__(self, engine: Engine, webhooks: Webhooks, processing_seconds: float = 0.5) -> None:
        self._engine = engine
        self._webhooks = webhooks
        self._files = FileService(engine, processing_seconds)
        self.app = Starlette(
            routes=[
                Route("/_stats", self._stats, methods=["GET"]),
                Route("/_config", self._configure, methods=["POST"]),
                Route("/.well-known/jwks.json", self._jwks, methods=["GET"]),
                *VeoService(engine).routes,
                *InteractionService(engine, self._files, webhooks).routes,
                *self._files.routes,
            ],
            exception_handlers={HTTPException: _not_found},
        )

    async def _stats(self, request: HttpRequest) -> Response:
        return JSONResponse(self._engine.stats.as_dict() | {"config": self._config()})

    async def _jwks(self, request: HttpRequest) -> Response:
        return JSONResponse(self._webhooks.jwks())

    async def _configure(self, request: HttpRequest) -> Response:
        try:
            body = await json_body(request)
            only(body, tuple(self._config()), "body")
            processing = float(body.pop("processing_seconds", self._files.processing_seconds))
            self._engine.durations = replace(self._engine.durations, **body)
            self._files.processing_seconds = processing
        except (BadRequestError, TypeError, ValueError) as error:
            return rpc_error(400, str(error))
        return JSONResponse(self._config())

    def _config(self) -> dict[str, object]:
        return asdict(self._engine.durations) | {"processing_seconds": self._files.processing_seconds}


async def _not_found(request: HttpRequest, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return rpc_error(status, f"The requested URL {request.url.path} was not found on this server.")
