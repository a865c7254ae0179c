"""`python -m local.embedded`: the embedded form as a process."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
from pathlib import Path

from local.embedded.app import serve
from local.ports import HOST
from local.scheduler import SWEEP_EVERY_S
from shared.platform import log


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.embedded", description="All of Rushes in one process.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--directory", type=Path, required=True, help="where all data is kept")
    parser.add_argument("--sweep-every", type=float, default=SWEEP_EVERY_S, metavar="SECONDS")
    options = parser.parse_args()
    log.configure(os.environ.get("LOG_LEVEL", "INFO"))
    # uvicorn raises a signal again once it has stopped, which without a handler would skip what is to be saved.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: None)
    listener = socket.create_server((HOST, options.port), backlog=1024)
    # asyncio sets this only on sockets that it made itself; without it every answer waits 40 ms for the client's ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    asyncio.run(serve(options.directory.resolve(), listener, options.sweep_every, os.environ))


if __name__ == "__main__":
    main()
