"""`python -m local.storage`: the storage server as a process. Prints one line with its address when it is ready."""

import argparse
import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn

from local.identity import oidc
from local.ports import HOST, KEEP_ALIVE_S
from local.storage import app

GRACE_S: Final = 2
BACKLOG: Final = 1024


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m local.storage", description="Cloud Storage over files on disk")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--directory", type=Path, required=True, help="where buckets and objects are kept")
    parser.add_argument("--bucket", action="append", default=[], help="a bucket to make when it is not there")
    parser.add_argument("--signer-key", type=Path, help="PEM of the signed URLs' RSA key, either half")
    parser.add_argument("--signer-email", help="the only signer to accept; without it any name is")
    parser.add_argument("--notify-url", help="where object-finalized notifications are pushed")
    parser.add_argument("--notify-audience", help="audience of the push token; default: the notify URL")
    parser.add_argument("--notify-email", default="pubsub-push@rushes-local.iam.gserviceaccount.com")
    parser.add_argument("--oidc-key", type=Path, help="PEM of the RSA private key that signs the push token")
    parser.add_argument("--oidc-kid", help="key id of the push token; default: the key's RFC 7638 thumbprint")
    return parser.parse_args()


def minting(options: argparse.Namespace) -> Callable[[], str] | None:
    """What makes the push token, or None without a key."""
    if options.oidc_key is None or options.notify_url is None:
        return None
    minter = oidc.Minter.from_file(options.oidc_key, options.oidc_kid)
    audience = options.notify_audience or options.notify_url
    return lambda: minter.token(options.notify_email, audience)


def listening(port: int) -> socket.socket:
    """A listening socket on `port`.

    It names TCP as its protocol, since asyncio switches Nagle's algorithm off (40 ms a request) for no other.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(BACKLOG)
    return listener


class Server(uvicorn.Server):
    """uvicorn on a socket of ours, which says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        super().__init__(config)
        self._listener = listener

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to serve, then prints the address."""
        await super().startup(sockets)
        if self.started:
            print(f"local.storage ready on http://{HOST}:{self._listener.getsockname()[1]}", flush=True)


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    options = arguments()
    logging.basicConfig(level=logging.WARNING, format="local.storage %(levelname)s %(message)s")
    application = app(
        options.directory,
        signer_key=oidc.public_key(options.signer_key) if options.signer_key else None,
        signer_email=options.signer_email,
        notify_url=options.notify_url,
        mint=minting(options),
        buckets=options.bucket,
    )
    listener = listening(options.port)
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    asyncio.run(Server(config, listener).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
