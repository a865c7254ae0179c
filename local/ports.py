"""Free ports on the loopback interface, and who holds one that is not free."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
# The studio's, where it is free.
DEFAULT_PORT: Final = 8080
# Below every system's range of ephemeral ports: a function that is restarted on its port must not find an outgoing
# connection there.
LOWEST: Final = 20_000
HIGHEST: Final = 32_000
TRIES: Final = 1_000
# Longer than any client keeps a connection that is not used: one that is closed just as the next request comes would
# fail that request.
KEEP_ALIVE_S: Final = 300


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """That many different ports that are free now. Raises OSError when they cannot be found."""
    found: list[int] = []
    for _ in range(TRIES):
        if len(found) == count:
            return found
        port = random.randint(LOWEST, HIGHEST)
        if port not in found and is_free(port):
            found.append(port)
    raise OSError(f"no {count} free ports between {LOWEST} and {HIGHEST}")


def holder(port: int) -> str:
    """Which process listens on the port, in words; empty where that cannot be seen."""
    inodes = _listening_inodes(port)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(_points_to(link, inodes) for link in (process / "fd").iterdir()):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"process {process.name} ({command[:80]})"
    return ""


def _points_to(link: Path, targets: set[str]) -> bool:
    # Files come and go while one looks.
    with contextlib.suppress(OSError):
        return str(link.readlink()) in targets
    return False


def _listening_inodes(port: int) -> set[str]:
    found: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for row in Path(table).read_text().splitlines()[1:]:
                fields = row.split()
                # Field 1 is the local address in hexadecimal, field 3 the state (0A: listening), field 9 the inode.
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found
