"""HTTP clients: through the proxy that the environment names, except to this very machine."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from rushes import __version__

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def private(url: str) -> bool:
    """Whether the connection is encrypted or local."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in LOOPBACK


def client(url: str, timeout_s: float) -> httpx2.Client:
    """A client for one server; its caller closes it."""
    return httpx2.Client(**_options(url, timeout_s))


def async_client(url: str, timeout_s: float) -> httpx2.AsyncClient:
    """The same, for streams that are left at a certain time."""
    return httpx2.AsyncClient(**_options(url, timeout_s))


def _options(url: str, timeout_s: float) -> dict[str, Any]:
    parts = urlsplit(url)
    local = parts.hostname in LOOPBACK
    return {
        "timeout": timeout_s,
        "trust_env": not local,
        # Reading the certificates takes longer than a whole request to this machine.
        "verify": False if parts.scheme == "http" and local else _certificates(),
        "headers": {"User-Agent": f"rushes-cli/{__version__}"},
    }


@cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()
