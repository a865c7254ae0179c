"""`python -m local.gateway`: the load balancer as a process."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from local.gateway.admission import Admission
from local.gateway.proxy import Proxy
from local.gateway.server import GRACE_S, REQUESTS_PER_MINUTE, Gateway
from local.ports import HOST, KEEP_ALIVE_S
from shared.api.routing import FUNCTIONS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.gateway", description="The load balancer on a laptop.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--web", type=Path, required=True, help="directory of the page")
    for name in FUNCTIONS:
        parser.add_argument(f"--{name}-url", required=True, help=f"root URL of the {name} function")
    parser.add_argument("--identity-url", required=True, help="root URL of the identity service")
    parser.add_argument("--media-origins", default="", help="origins that videos are fetched from, space-separated")
    parser.add_argument("--oidc-key", type=Path, required=True, help="PEM key that signs service accounts' tokens")
    parser.add_argument("--audience", required=True, help="audience of the tokens that open the private functions")
    parser.add_argument("--admit", action="append", default=[], help="e-mail of a service account that is let in")
    parser.add_argument(
        "--requests-per-minute",
        type=int,
        default=REQUESTS_PER_MINUTE,
        help="requests of the API that one address may send (default: %(default)s)",
    )
    options = parser.parse_args()
    gateway = Gateway(
        {name: Proxy(name, getattr(options, f"{name}_url")) for name in FUNCTIONS},
        Proxy("identity", options.identity_url),
        options.web,
        admission=Admission(options.oidc_key, options.audience, options.admit),
        media_origins=options.media_origins,
        requests_per_minute=options.requests_per_minute,
    )
    # No proxy in front of it could say who the client is.
    config = uvicorn.Config(
        gateway,
        host=HOST,
        port=options.port,
        log_level="warning",
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
