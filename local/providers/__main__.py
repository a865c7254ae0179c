"""`python -m local.providers`: the video providers on 127.0.0.1."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys

import uvicorn

from local.ports import HOST, KEEP_ALIVE_S
from local.providers.app import Providers
from local.providers.buckets import GoogleBuckets
from local.providers.durations import Durations
from local.providers.engine import Engine
from local.providers.pool import RenderPool
from local.providers.webhooks import Webhooks, secret_key

_DEFAULT_S = 3.0
_PUBLISHED_RANGE_S = 11.0, 360.0


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    arguments = _parse()
    logging.basicConfig(level=logging.WARNING, format="providers: %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").addFilter(_not_cut_on_purpose)
    # uvicorn raises the signal again once it has stopped; without a handler that would skip what is to be closed.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.signal(signal.SIGINT, lambda number, frame: None)
    asyncio.run(_serve(arguments))
    sys.stdout.flush()
    # An upload under way in a thread would be waited for; nothing under way survives a stop anyway.
    os._exit(0)


async def _serve(arguments: argparse.Namespace) -> None:
    pool = RenderPool(arguments.renderers, cache=arguments.cache)
    buckets = GoogleBuckets(_url(arguments.storage_url)) if arguments.storage_url else None
    engine = Engine(pool.render, buckets, durations=arguments.durations)
    webhooks = Webhooks(engine, arguments.webhook_url, arguments.webhook_secret)
    providers = Providers(engine, webhooks, arguments.processing_seconds)
    listener = socket.create_server((HOST, arguments.port), backlog=1024)
    config = uvicorn.Config(
        providers.app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )
    print(f"providers listening on http://{HOST}:{listener.getsockname()[1]}", flush=True)
    try:
        await uvicorn.Server(config).serve(sockets=[listener])
    finally:
        await engine.close()
        await webhooks.close()
        pool.close()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.providers", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free port and prints it")
    parser.add_argument("--storage-url", default=os.environ.get("STORAGE_EMULATOR_HOST"))
    parser.add_argument("--webhook-url", help="the static webhook of the Gemini API")
    parser.add_argument("--webhook-secret", help="whsec_... of the static webhook")
    parser.add_argument("--distribution", choices=["fixed", "lognormal"], default=_env("DISTRIBUTION", "fixed"))
    parser.add_argument("--min-seconds", type=float, default=_env("MIN_SECONDS"))
    parser.add_argument("--max-seconds", type=float, default=_env("MAX_SECONDS"))
    parser.add_argument("--processing-seconds", type=float, default=0.5, help="how long a new file is PROCESSING")
    parser.add_argument("--renderers", type=int, default=1, help="films rendered at a time")
    parser.add_argument(
        "--cache",
        action="store_true",
        default=_env("CACHE") == "1",
        help="render once per size, length, sound and input media, without titles",
    )
    arguments = parser.parse_args()
    try:
        arguments.durations = _durations(arguments)
        if arguments.webhook_url and not arguments.webhook_secret:
            raise ValueError("--webhook-url needs --webhook-secret")
        secret_key(arguments.webhook_secret or "")
    except ValueError as error:
        parser.error(str(error))
    return arguments


def _durations(arguments: argparse.Namespace) -> Durations:
    shortest, longest = (_DEFAULT_S, _DEFAULT_S) if arguments.distribution == "fixed" else _PUBLISHED_RANGE_S
    if arguments.min_seconds is not None:
        shortest = arguments.min_seconds
    if arguments.max_seconds is not None:
        longest = arguments.max_seconds
    return Durations(shortest, max(shortest, longest), arguments.distribution)


def _url(host: str) -> str:
    """STORAGE_EMULATOR_HOST is found with and without a scheme."""
    return host if "://" in host else f"http://{host}"


def _env(name: str, otherwise: str | None = None) -> str | None:
    return os.environ.get(f"PROVIDERS_{name}") or otherwise


def _not_cut_on_purpose(record: logging.LogRecord) -> bool:
    return "without completing response" not in record.getMessage()


if __name__ == "__main__":
    main()
