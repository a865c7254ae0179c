"""URLs that users may have us call: the public internet by https, and nothing that merely looks like it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import url_policy
from shared.core.url_policy import NotAllowed

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "0.1.2.3",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["8.8.8.8", "93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"]


@pytest.mark.parametrize("address", PRIVATE)
def test_non_public_address_is_rejected(address: str) -> None:
    assert not url_policy.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_accepted(address: str) -> None:
    assert url_policy.is_public(ipaddress.ip_address(address))


@given(st.ip_addresses(v=4))
def test_ipv4_inside_ipv6_does_not_become_public(inner: ipaddress.IPv4Address) -> None:
    number = int(inner)
    for prefix in ("::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b::", "64:ff9b:1::"):
        carried = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + number)
        assert not url_policy.is_public(carried)
    assert not url_policy.is_public(ipaddress.IPv6Address((0x2002 << 112) + (number << 80)))


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("https://example.com", "example.com", 443, "/", "example.com"),
        ("https://Example.com:443/a?b=c#d", "example.com", 443, "/a?b=c", "example.com"),
        ("HTTPS://example.com:8443/x", "example.com", 8443, "/x", "example.com:8443"),
        ("https://[2606:4700::1]/", "2606:4700::1", 443, "/", "[2606:4700::1]"),
        ("https://example.com?x", "example.com", 443, "/?x", "example.com"),
        ("https://8.8.8.8/", "8.8.8.8", 443, "/", "8.8.8.8"),
        ("https://example.com./", "example.com.", 443, "/", "example.com."),
        (
            "https://_a.xn--bcher-kva.example.co/",
            "_a.xn--bcher-kva.example.co",
            443,
            "/",
            "_a.xn--bcher-kva.example.co",
        ),
    ],
)
def test_https_url_is_parsed(url: str, host: str, port: int, path: str, authority: str) -> None:
    target = url_policy.parse(url, False)
    assert (target.scheme, target.host, target.port, target.path) == ("https", host, port, path)
    assert target.authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com:22/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://exa mple.com/",
        "https://example.com/a b",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/\r\nHost: x",
        "https://example.com/\t",
        "https://ex\u00e4mple.com/",
        "https://example.com/\u00e4",
        "https://exa%6dple.com/",
        "https://[::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[::1/",
        "https://" + "a" * 254 + "/",
        *(f"https://[{address}]/" if ":" in address else f"https://{address}/" for address in PRIVATE),
        "https://localhost/",
        "https://intranet/",
        "https://hooks.localhost/",
        "https://hooks.invalid/",
        "https://hooks.example/",
        "https://hooks.test/",
        "https://hooks.EXAMPLE./",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://hidden.onion/",
        "https://" + "a" * 64 + ".com/",
        "https://a..com/",
        "https://.com/",
        "https://-a.com/",
        "https://a-.com/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://1.2.3.4.5/",
        "https://example.com/" + "a" * 2_048,
    ],
)
def test_other_urls_are_rejected_with_a_reason(url: str) -> None:
    with pytest.raises(NotAllowed, match=r"\w"):
        url_policy.parse(url, False)


@pytest.mark.parametrize("address", ["127.0.0.1", "fe80::1%eth0", "not an address", "10.0.0.1"])
def test_resolved_addresses_are_checked(address: str) -> None:
    with pytest.raises(NotAllowed, match="public"):
        url_policy.check(url_policy.parse("https://example.com/", False), address, False)


def test_local_http_reaches_only_this_machine() -> None:
    target = url_policy.parse("http://localhost:9000/hook", True)
    assert str(url_policy.check(target, "127.0.0.1", True)) == "127.0.0.1"
    for address in ("8.8.8.8", "10.0.0.1", "169.254.169.254"):
        with pytest.raises(NotAllowed):
            url_policy.check(target, address, True)


def test_local_https_reaches_only_the_public_internet_on_standard_ports() -> None:
    target = url_policy.parse("https://example.com/", True)
    assert str(url_policy.check(target, "8.8.8.8", True)) == "8.8.8.8"
    with pytest.raises(NotAllowed):
        url_policy.check(target, "10.0.0.1", True)
    with pytest.raises(NotAllowed, match="ports"):
        url_policy.check(url_policy.parse("https://example.com:9000/", True), "8.8.8.8", True)


@given(st.text(max_size=60))
def test_no_input_raises_an_unexpected_error(text: str) -> None:
    for url in (text, f"https://{text}", f"https://example.com{text}"):
        try:
            assert url_policy.parse(url, False).scheme == "https"
        except NotAllowed:
            continue


def test_a_port_that_is_none_is_refused_on_a_laptop_too() -> None:
    with pytest.raises(NotAllowed, match="port"):
        url_policy.parse("http://localhost:0/hook", True)


@pytest.mark.parametrize(
    ("url", "host"), [("https://Example.com:443/x", "example.com"), ("nothing", ""), ("https://[::1", "")]
)
def test_the_host_of_an_accepted_url_is_in_lower_case(url: str, host: str) -> None:
    assert url_policy.host_of(url) == host
