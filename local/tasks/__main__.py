"""`python -m local.tasks`: the Cloud Tasks server as a process. Prints one line with its address when it is ready."""

import argparse
import asyncio
import logging
import signal
from pathlib import Path

from local.identity.oidc import Minter
from local.ports import HOST
from local.tasks.queues_file import read_queues
from local.tasks.server import serve


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m local.tasks", description="Cloud Tasks in memory, over gRPC")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--queues", type=Path, help="JSON file with the queues to make")
    parser.add_argument(
        "--location", default="projects/rushes-local/locations/us-central1", help="of short queue names"
    )
    parser.add_argument("--oidc-key", type=Path, help="PEM of the RSA private key that signs OIDC tokens")
    parser.add_argument("--oidc-kid", help="key id of OIDC tokens; default: the key's RFC 7638 thumbprint")
    return parser.parse_args()


async def run(options: argparse.Namespace) -> None:
    """Serves until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    queues = read_queues(options.queues, options.location) if options.queues else []
    minter = Minter.from_file(options.oidc_key, options.oidc_kid) if options.oidc_key else None
    server = await serve(options.port, queues=queues, minter=minter)
    print(f"local.tasks ready on {HOST}:{server.port}", flush=True)
    await stopping.wait()
    await server.stop()


def main() -> None:
    """The process."""
    options = arguments()
    logging.basicConfig(level=logging.WARNING, format="local.tasks %(levelname)s %(message)s")
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
