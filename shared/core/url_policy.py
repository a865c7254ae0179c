"""Which external addresses may be called for a user. Pure.

A URL from a user makes our own machine open a connection. It must lead to the public internet and nowhere else: not to
this machine, its network or its metadata server, whatever the name resolves to and however an address is written.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

MAX_URL_CHARS = 2_048
# 8443 is a common port for a second HTTPS server; any other port is more likely not a web server.
HTTPS_PORTS = frozenset({443, 8443})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_VISIBLE = re.compile(r"[\x21-\x5b\x5d-\x7e]+")  # no spaces, controls, backslashes or non-ASCII
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# Top-level domains that are never in the public DNS: RFC 6761, 6762, 7686 and 9476, and ICANN's for private use.
_NEVER_PUBLIC = frozenset({"alt", "example", "internal", "invalid", "local", "localhost", "onion", "test"})

# Addresses that ipaddress considers global although a packet may end up somewhere private, or nowhere: forms that embed
# an IPv4 address (mapped, compatible, translated, 6to4, Teredo and their relay), and ranges reserved since.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(each)
    for each in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "::/96",
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
    )
)


class NotAllowed(ValueError):  # noqa: N818 - reads as the state it names
    """The URL may not be called; the text explains why to the user who sent it."""


@dataclass(frozen=True)
class Target:
    """A URL that may be called if its host's addresses turn out to be public (or, for http, this machine's)."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The Host header's value."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"


def parse(url: str, loopback_http: bool) -> Target:
    """The parts of a URL; raises NotAllowed. `loopback_http` also allows http, but only to this machine."""
    if len(url) > MAX_URL_CHARS or not _VISIBLE.fullmatch(url):
        raise NotAllowed(f"a URL can have at most {MAX_URL_CHARS:,} visible ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotAllowed("not a URL") from None
    scheme: Literal["http", "https"] = "http" if parts.scheme == "http" else "https"
    if parts.scheme not in ("https", "http") or (scheme == "http" and not loopback_http):
        raise NotAllowed("only https URLs are allowed")
    if "@" in parts.netloc:
        raise NotAllowed("the URL must not contain a user name or password")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):
        raise NotAllowed("the URL has no valid host (write other alphabets in their ASCII form, xn--...)")
    if port is None:
        port = 443 if scheme == "https" else 80
    if scheme == "https" and not loopback_http and port not in HTTPS_PORTS:
        raise NotAllowed(f"only ports {' and '.join(map(str, sorted(HTTPS_PORTS)))} are allowed")
    if not 1 <= port <= 65_535:
        raise NotAllowed("invalid port")
    target = Target(scheme, host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    _check_host(target, loopback_http)
    return target


def _check_host(target: Target, loopback_http: bool) -> None:
    """Raises NotAllowed for a host that can never resolve to a public address."""
    if _is_literal(target.host):
        check(target, target.host, loopback_http)
        return
    labels = target.host.lower().removesuffix(".").split(".")
    if loopback_http and target.scheme == "http" and labels[-1] == "localhost":
        return
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise NotAllowed("invalid host name: use 1 to 63 letters, digits and hyphens between dots")
    # A last label that starts with a digit makes it an address in one of inet_aton's forms (127.1, 0x7f000001).
    if len(labels) < 2 or labels[-1] in _NEVER_PUBLIC or labels[-1][0].isdigit():
        raise NotAllowed("the host name doesn't exist on the public internet")


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_of(url: str) -> str:
    """The host of a URL that was accepted before, in lower case; empty if it has none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def check(target: Target, address: str, loopback_http: bool) -> Address:
    """The parsed address that the target's host resolved to; raises NotAllowed if we may not connect to it."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        # For example an address with a scope (fe80::1%eth0).
        raise NotAllowed("the host has no public address") from None
    if loopback_http and found.is_loopback:
        return found
    if target.scheme != "https" or not is_public(found):
        raise NotAllowed("the host has no public address")
    if target.port not in HTTPS_PORTS:
        raise NotAllowed(f"only ports {' and '.join(map(str, sorted(HTTPS_PORTS)))} are allowed")
    return found


def is_public(address: Address) -> bool:
    """Whether packets to the address go to a single host on the public internet."""
    if any(address in network for network in _NOT_PUBLIC if network.version == address.version):
        return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    return address.is_global and not special and not address.is_link_local and not address.is_private
