"""`python -m local.identity`: the identity server as a process."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from local.identity.server import create_app
from local.ports import HOST, KEEP_ALIVE_S


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.identity", description="Identity Platform on a laptop.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--directory", type=Path, required=True, help="where the users, the mail and the keys are kept")
    parser.add_argument("--project", default="rushes-local", help="audience of the tokens, and end of their issuer")
    parser.add_argument("--sign-ups-per-hour", type=int, help="from one address; by default the project's quota")
    options = parser.parse_args()
    app = create_app(options.directory, options.project, options.sign_ups_per_hour)
    uvicorn.run(
        app,
        host=HOST,
        port=options.port,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
