"""The Cloud Tasks server: the gRPC service on a port of 127.0.0.1."""

from collections.abc import Iterable
from typing import Any, Final

import grpc

from local.identity.oidc import Minter
from local.ports import HOST
from local.tasks.service import Service
from local.tasks.target import Target

GRACE_S: Final = 0.2


class Server:
    """A running server; `port` is the one it listens on."""

    def __init__(self, server: grpc.aio.Server, service: Service, target: Target, port: int) -> None:
        self._server = server
        self._service = service
        self._target = target
        self.port = port

    async def stop(self) -> None:
        """Stops at once: calls get a moment to end, attempts under way are dropped, and tasks are forgotten."""
        await self._server.stop(GRACE_S)
        await self._service.close()
        await self._target.close()


async def serve(port: int = 0, *, queues: Iterable[Any] = (), minter: Minter | None = None) -> Server:
    """Starts a server on the running event loop. Port 0 takes a free one; `queues` are Queue protobuf messages.

    Without `minter`, tasks with an OIDC token are refused. Raises RefusedError for a queue that Cloud Tasks would not
    accept, RuntimeError when the port is taken.
    """
    target = Target(minter)
    service = Service(target)
    for queue in queues:
        service.add_queue(queue)
    # Without this option a second server on the same port would silently share its calls.
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((service.handler(),))
    bound = server.add_insecure_port(f"{HOST}:{port}")
    await server.start()
    return Server(server, service, target, bound)
