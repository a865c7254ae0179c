"""Calls to addresses that users name, over real sockets and real TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpcore2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.gateways import public_http
from shared.gateways.public_http import GuardedHttp
from shared.platform.ports import NotReached

NAME = "hooks.example.com"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"
PUBLIC = "93.184.216.34"


@dataclass
class Authority:
    """A certificate authority of the test's own, and the certificate that it gave NAME."""

    trust: ssl.SSLContext
    server: ssl.SSLContext


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    directory: Path = tmp_path_factory.mktemp("tls")
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("Test root", root_key, None, root_key)
    leaf = _certificate(NAME, key, root, root_key)
    (directory / "root.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (directory / "leaf.pem").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / "leaf.pem", directory / "key.pem")
    return Authority(ssl.create_default_context(cafile=str(directory / "root.pem")), server)


def _certificate(name: str, key: Any, issuer: x509.Certificate | None, signer: Any) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if issuer is None:
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(signer, hashes.SHA256())


@dataclass
class Server:
    """What came in, and the name that the client asked for by SNI."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)


Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: bytes | Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server()
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: server.names.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
        server.requests.append(head + await reader.readexactly(int(length.partition(b":")[2])))
        try:
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


def resolving(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(_host: str, _port: int) -> list[str]:
        return list(addresses)

    return resolve


LOCAL = resolving("127.0.0.1")


async def test_post_arrives_with_host_headers_and_body(authority: Authority) -> None:
    async with serving(OK, authority.server) as server:
        internet = GuardedHttp(True, resolve=LOCAL, trust=authority.trust)
        url = f"https://{NAME}:{server.port}/hook?x=1"
        answer = await internet.post(url, {"webhook-id": "m1"}, b'{"type":"ping"}')
    assert answer.status == 200
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?x=1 HTTP/1.1\r\n")
    assert f"Host: {NAME}:{server.port}".encode() in head
    assert b"webhook-id: m1" in head
    assert body == b'{"type":"ping"}'
    assert server.names == [NAME]


async def test_certificate_must_match_the_name(authority: Authority) -> None:
    async with serving(OK, authority.server) as server:
        internet = GuardedHttp(True, resolve=LOCAL, trust=authority.trust)
        with pytest.raises(NotReached, match="certificate"):
            await internet.post(f"https://other.example.com:{server.port}/", {}, b"")
    assert server.requests == []


async def test_unknown_authority_is_rejected(authority: Authority) -> None:
    async with serving(OK, authority.server) as server:
        with pytest.raises(NotReached, match="certificate"):
            await GuardedHttp(True, resolve=LOCAL).post(f"https://{NAME}:{server.port}/", {}, b"")
    assert server.requests == []


@pytest.mark.parametrize(
    "addresses",
    [("127.0.0.1",), ("10.1.2.3",), ("169.254.169.254",), (PUBLIC, "127.0.0.1"), ("::ffff:127.0.0.1",), ("::1",), ()],
)
async def test_connects_only_if_all_addresses_are_public(
    addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = _watch_connections(monkeypatch)
    with pytest.raises(NotReached, match="address"):
        await GuardedHttp(resolve=resolving(*addresses)).post(f"https://{NAME}/", {}, b"")
    assert connected == []


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost", "[::1]", "[::]"])
async def test_no_spelling_of_localhost_connects(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connected = _watch_connections(monkeypatch)
    with pytest.raises(NotReached):
        await GuardedHttp().post(f"https://{host}/", {}, b"")
    assert connected == []


async def test_connection_uses_the_checked_address_after_a_dns_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that is public when it is checked, and this machine afterwards."""
    connected = _watch_connections(monkeypatch)
    answers = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])

    async def rebinding(_host: str, _port: int) -> list[str]:
        return next(answers)

    with pytest.raises(NotReached, match="connection"):
        await GuardedHttp(resolve=rebinding).post(f"https://{NAME}/", {}, b"")
    assert connected == [(PUBLIC, 443)]
    assert next(answers) == ["127.0.0.1"], "the name was resolved more than once"


async def test_second_address_is_tried_if_the_first_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = _watch_connections(monkeypatch)
    with pytest.raises(NotReached):
        await GuardedHttp(resolve=resolving(PUBLIC, "1.1.1.1", "8.8.8.8")).post(f"https://{NAME}/", {}, b"")
    assert connected == [(PUBLIC, 443), ("1.1.1.1", 443)]


def _watch_connections(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    connected: list[tuple[str, int]] = []

    async def refuse(_self: Any, host: str, port: int, *_: Any, **__: Any) -> Any:
        connected.append((host, port))
        raise httpcore2.ConnectError("refused")

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", refuse)
    return connected


async def test_redirects_are_not_followed() -> None:
    async with serving(OK) as elsewhere:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{elsewhere.port}/\r\nContent-Length: 0\r\n\r\n"
        async with serving(moved.encode()) as server:
            internet = GuardedHttp(True)
            assert (await internet.post(f"http://127.0.0.1:{server.port}/", {}, b"x")).status == 307
            with pytest.raises(NotReached, match="307"):
                await internet.fetch(f"http://127.0.0.1:{server.port}/", 100)
    assert elsewhere.requests == []


async def test_fetch_returns_bytes_and_type() -> None:
    async with serving(OK) as server:
        answer = await GuardedHttp(True).fetch(f"http://127.0.0.1:{server.port}/a.png", 2, "image/*")
    assert (answer.status, answer.content_type, answer.data) == (200, "text/plain", b"ok")
    assert b"Accept: image/*" in server.requests[0]


async def test_declared_oversize_file_is_not_read() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n") as server:
        with pytest.raises(NotReached, match=r"more than 1,000|isn't HTTP"):
            await GuardedHttp(True).fetch(f"http://127.0.0.1:{server.port}/", 1_000)
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n") as server:
        with pytest.raises(NotReached, match="more than 1,000"):
            await GuardedHttp(True).fetch(f"http://127.0.0.1:{server.port}/", 1_000)


async def test_undeclared_oversize_file_is_read_up_to_the_limit() -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            sent += 65_536
            await writer.drain()

    async with serving(endless) as server:
        with pytest.raises(NotReached, match="more than 100,000"):
            await GuardedHttp(True).fetch(f"http://127.0.0.1:{server.port}/", 100_000)


async def test_silent_server_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_http, "POST_TIMEOUT_S", 0.2)
    asked = asyncio.Event()

    async def silent(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await writer.wait_closed()

    async with serving(silent) as server:
        with pytest.raises(NotReached, match="in time"):
            await GuardedHttp(True).post(f"http://127.0.0.1:{server.port}/", {}, b"")
    assert asked.is_set()


async def test_byte_at_a_time_server_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_http, "FETCH_TIMEOUT_S", 0.5)

    async def slow(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(slow) as server:
        with pytest.raises(NotReached, match="in time"):
            await GuardedHttp(True).fetch(f"http://127.0.0.1:{server.port}/", 1_000_000)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n"])
async def test_non_http_server_is_reported(answer: bytes) -> None:
    async with serving(answer) as server:
        with pytest.raises(NotReached, match=r"isn't HTTP|connection lost"):
            await GuardedHttp(True).post(f"http://127.0.0.1:{server.port}/", {}, b"")


async def test_closed_port_error_reveals_nothing_of_our_network() -> None:
    async with serving(OK) as server:
        port = server.port
    with pytest.raises(NotReached) as caught:
        await GuardedHttp(True).post(f"http://127.0.0.1:{port}/", {}, b"")
    assert str(caught.value) == "connection failed"


async def test_body_is_bounded() -> None:
    with pytest.raises(NotReached, match="bytes"):
        await GuardedHttp(True).post("https://example.com/", {}, b"x" * (public_http.MAX_SENT_BYTES + 1))


@pytest.mark.parametrize("name", ["no-such-name.invalid", "a..b", "-"])
async def test_unknown_name_is_not_our_error(name: str) -> None:
    with pytest.raises(NotReached):
        await GuardedHttp().post(f"https://{name}/", {}, b"")
