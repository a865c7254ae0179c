"""The storage server as its clients meet it: the official client, signed URLs and plain HTTP, over real sockets."""

import base64
import contextlib
import datetime
import http.server
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import google.auth.credentials
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage import _signing
from hypothesis import given, settings
from hypothesis import strategies as st

from local.storage.disk import Disk
from local.storage.objects import Conditions
from local.storage.writer import Writer

QUANTUM = 256 * 1024
EMAIL = "signer@rushes-local.iam.gserviceaccount.com"
DEADLINE_S = 30.0


class Signer(google.auth.credentials.Signing):
    """Signs URLs with a key in memory, as the product does locally."""

    def __init__(self, key: rsa.RSAPrivateKey, email: str = EMAIL) -> None:
        self._key = key
        self._email = email

    @property
    def signer_email(self) -> str:
        return self._email

    @property
    def signer(self) -> None:
        return None

    def sign_bytes(self, message: bytes) -> bytes:
        return self._key.sign(message, padding.PKCS1v15(), SHA256())


class Process:
    """`python -m local.storage` on a free port."""

    def __init__(self, directory: Path, *options: str) -> None:
        command = [sys.executable, "-m", "local.storage", "--port", "0", "--directory", str(directory), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().split()[-1]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self._process.send_signal(how)
        code = self._process.wait(DEADLINE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code


@contextlib.contextmanager
def running(directory: Path, *options: str) -> Iterator[Process]:
    process = Process(directory, *options)
    try:
        yield process
    finally:
        process.stop()


@contextlib.contextmanager
def connected(url: str) -> Iterator[storage.Client]:
    """The official client, pointed at the server in the documented way."""
    before = os.environ.get("STORAGE_EMULATOR_HOST")
    os.environ["STORAGE_EMULATOR_HOST"] = url
    try:
        client = storage.Client(project="rushes-local")
    finally:
        os.environ.pop("STORAGE_EMULATOR_HOST")
        if before is not None:
            os.environ["STORAGE_EMULATOR_HOST"] = before
    yield client
    client.close()


def eventually(check: Callable[[], Any]) -> Any:
    """The first true value of `check`."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := check()):
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.01)
    return value


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def key_file(key: rsa.RSAPrivateKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key.pem"
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return path


@pytest.fixture(scope="module")
def server(key_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    directory = tmp_path_factory.mktemp("storage")
    with running(directory, "--signer-key", str(key_file), "--signer-email", EMAIL) as process:
        yield process


@pytest.fixture(scope="module")
def client(server: Process) -> Iterator[storage.Client]:
    with connected(server.url) as connected_client:
        yield connected_client


@pytest.fixture
def bucket(client: storage.Client) -> storage.Bucket:
    return client.create_bucket(f"bucket-{uuid.uuid4().hex}")


@pytest.fixture
def web() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False, timeout=DEADLINE_S) as plain:
        yield plain


@pytest.fixture
def sign(server: Process, key: rsa.RSAPrivateKey) -> Callable[..., str]:
    def signed(blob: storage.Blob, *, signer: Signer | None = None, **options: Any) -> str:
        options = {"version": "v4", "expiration": datetime.timedelta(minutes=15), **options}
        credentials = signer or Signer(key)
        return str(blob.generate_signed_url(credentials=credentials, api_access_endpoint=server.url, **options))

    return signed


def session_for(web: httpx2.Client, server: Process, bucket: storage.Bucket, name: str, **query: str) -> str:
    url = f"{server.url}/upload/storage/v1/b/{bucket.name}/o"
    answer = web.post(url, params={"uploadType": "resumable", "name": name, **query}, json={})
    assert answer.status_code == 200
    return answer.headers["location"]


def put_cut_short(url: str, headers: dict[str, str], stated: int, sent: bytes) -> None:
    """A PUT whose connection breaks off after `sent`."""
    parts = urlsplit(url)
    lines = [f"PUT {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {stated}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + sent)


# Objects


@pytest.mark.parametrize(
    "name", ["a", "dir/a.mp4", "ä ö/日本語 🎬.mp4", "o/x/copyTo/b/y/o/z", "a%2Fb?c#d&e=+f", "../up", "x" * 1024]
)
def test_any_name_keeps_its_bytes_and_metadata(bucket: storage.Bucket, name: str) -> None:
    """An object comes back under the name it was given, with type, size, checksums and custom metadata."""
    blob = bucket.blob(name)
    blob.metadata = {"job": "video_1"}
    blob.cache_control = "private, max-age=60"
    blob.upload_from_string(b"bytes", content_type="video/mp4")
    found = bucket.get_blob(name)
    assert found is not None
    assert (found.name, found.size, found.content_type) == (name, 5, "video/mp4")
    assert (found.metadata, found.cache_control) == ({"job": "video_1"}, "private, max-age=60")
    assert (found.crc32c, found.md5_hash) == ("0G6ckg==", "SzpiGLs+OnMD6KFxpg/Pkg==")
    assert found.download_as_bytes() == b"bytes"
    assert [each.name for each in bucket.list_blobs()] == [name]
    bucket.delete_blob(name)
    assert bucket.get_blob(name) is None


@pytest.mark.parametrize("name", ["", ".", "..", "a\nb", "x" * 1025])
def test_name_invalid_in_cloud_storage_is_rejected(
    server: Process, bucket: storage.Bucket, web: httpx2.Client, name: str
) -> None:
    """Names that are empty, dots, broken over lines or over 1,024 bytes answer 400."""
    url = f"{server.url}/upload/storage/v1/b/{bucket.name}/o"
    answer = web.post(url, params={"uploadType": "media", "name": name}, content=b"x")
    assert answer.status_code == 400


def test_large_object_is_uploaded_in_parts_and_downloaded_whole(bucket: storage.Bucket) -> None:
    """Objects over 8 MiB are uploaded resumably by the client; nothing of them is lost."""
    data = os.urandom(9 << 20)
    blob = bucket.blob("large")
    blob.upload_from_string(data)
    assert blob.download_as_bytes() == data


def test_overwrite_is_a_new_generation_and_patch_a_new_metageneration(bucket: storage.Bucket) -> None:
    """Generations grow; a patch keeps the generation and merges custom metadata."""
    blob = bucket.blob("a")
    blob.upload_from_string(b"1")
    first = blob.generation
    blob.upload_from_string(b"2")
    assert blob.generation > first
    blob.metadata = {"a": "1"}
    blob.patch()
    blob.metadata = {"b": "2"}
    blob.patch()
    found = bucket.get_blob("a")
    assert (found.generation, found.metageneration) == (blob.generation, 3)
    assert found.metadata == {"a": "1", "b": "2"}
    assert bucket.get_blob("a", generation=first) is None


def test_custom_time_only_moves_forward(bucket: storage.Bucket) -> None:
    """customTime can be set later, never earlier."""
    blob = bucket.blob("a")
    blob.custom_time = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    blob.upload_from_string(b"1")
    blob.custom_time = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    with pytest.raises(exceptions.BadRequest):
        blob.patch()


def test_copy_and_rewrite_make_an_independent_object(bucket: storage.Bucket) -> None:
    """A copy has the same bytes and type, and stays when the source goes."""
    source = bucket.blob("a")
    source.upload_from_string(b"bytes", content_type="video/mp4")
    copied = bucket.copy_blob(source, bucket, "b", if_generation_match=0)
    rewritten = bucket.blob("c")
    assert rewritten.rewrite(source) == (None, 5, 5)
    source.delete()
    for blob in (copied, rewritten):
        assert (blob.content_type, blob.download_as_bytes()) == ("video/mp4", b"bytes")


def test_listing_uses_prefix_and_delimiter_in_pages(bucket: storage.Bucket) -> None:
    """Pages follow one another without gap or repeat; deeper names show as prefixes."""
    for name in ("a/1", "a/2", "b/x/1", "b/y/1", "b/z", "c"):
        bucket.blob(name).upload_from_string(b"")
    assert [each.name for each in bucket.list_blobs(prefix="a/", page_size=1)] == ["a/1", "a/2"]
    listing = bucket.list_blobs(prefix="b/", delimiter="/", page_size=1)
    assert [each.name for each in listing] == ["b/z"]
    assert listing.prefixes == {"b/x/", "b/y/"}


@settings(max_examples=40, deadline=None)
@given(
    names=st.sets(st.text("ab/é", min_size=1, max_size=6), max_size=12),
    prefix=st.text("ab/", max_size=2),
    delimiter=st.sampled_from(["", "/", "a"]),
    limit=st.integers(1, 4),
)
def test_pages_add_up_to_the_whole_listing(
    tmp_path_factory: pytest.TempPathFactory, names: set[str], prefix: str, delimiter: str, limit: int
) -> None:
    """For all names, prefixes and delimiters, the pages together are exactly what one endless page would be."""
    disk = Disk(tmp_path_factory.mktemp("disk"))
    disk.create_bucket("bucket", {})
    for name in names:
        disk.put("bucket", name, Writer(disk.uploads_path / uuid.uuid4().hex), {}, Conditions())
    objects, prefixes, token = [], [], ""
    while True:
        page = disk.page("bucket", prefix, delimiter, "", "", token, limit)
        assert len(page.objects) + len(page.prefixes) <= limit
        objects += [each.name for each in page.objects]
        prefixes += page.prefixes
        if page.token is None:
            break
        token = page.token
    matching = sorted(name for name in names if name.startswith(prefix))
    cut = {name: name[len(prefix) :].find(delimiter) if delimiter else -1 for name in matching}
    assert objects == [name for name in matching if cut[name] < 0]
    expected = {name[: len(prefix) + cut[name] + len(delimiter)] for name in matching if cut[name] >= 0}
    assert prefixes == sorted(expected)


def test_buckets_are_created_once_found_and_listed(client: storage.Client, bucket: storage.Bucket) -> None:
    """A second bucket of the same name is a conflict; an unknown one is not found; a full one is not deleted."""
    assert client.get_bucket(bucket.name).name == bucket.name
    assert bucket.name in [each.name for each in client.list_buckets()]
    with pytest.raises(exceptions.Conflict):
        client.create_bucket(bucket.name)
    with pytest.raises(exceptions.NotFound):
        client.get_bucket("no-such-bucket")
    bucket.blob("a").upload_from_string(b"")
    with pytest.raises(exceptions.Conflict):
        bucket.delete()


# Preconditions


def test_create_only_does_not_overwrite(bucket: storage.Bucket) -> None:
    """With if-generation-match 0 the first upload wins and the second gets 412, however it is sent."""
    blob = bucket.blob("a")
    blob.upload_from_string(b"first", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").upload_from_string(b"second", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").upload_from_string(b"x" * (9 << 20), if_generation_match=0)
    assert blob.download_as_bytes() == b"first"


def test_one_of_many_parallel_create_only_uploads_wins(bucket: storage.Bucket, server: Process) -> None:
    """The precondition holds at the moment the object appears, also for uploads that run side by side."""

    def upload(number: int) -> int | None:
        with connected(server.url) as client:
            try:
                data = bytes([number]) * QUANTUM
                client.bucket(bucket.name).blob("a").upload_from_string(data, if_generation_match=0)
            except exceptions.PreconditionFailed:
                return None
            return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(upload, range(8)) if number is not None]
    assert len(winners) == 1
    assert bucket.blob("a").download_as_bytes() == bytes([winners[0]]) * QUANTUM


def test_resumable_upload_checks_its_precondition_at_the_end(
    server: Process, bucket: storage.Bucket, web: httpx2.Client
) -> None:
    """An object that appears during a create-only upload makes that upload fail."""
    session = session_for(web, server, bucket, "a", ifGenerationMatch="0")
    bucket.blob("a").upload_from_string(b"first")
    assert web.put(session, content=b"second").status_code == 412
    assert bucket.blob("a").download_as_bytes() == b"first"


def test_reads_patches_and_deletes_honor_generations(bucket: storage.Bucket) -> None:
    """A stale generation or metageneration answers 412; a not-match that matches answers 304."""
    blob = bucket.blob("a")
    blob.upload_from_string(b"1")
    stale, now = blob.generation - 1, blob.generation
    with pytest.raises(exceptions.PreconditionFailed):
        blob.download_as_bytes(if_generation_match=stale)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.reload(if_metageneration_match=7)
    with pytest.raises(exceptions.NotModified):
        blob.reload(if_generation_not_match=now)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.patch(if_metageneration_match=7)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=stale)
    assert blob.download_as_bytes(if_generation_match=now) == b"1"
    blob.delete(if_generation_match=now)
    with pytest.raises(exceptions.NotFound):
        blob.delete()


# Checksums and resumable uploads


@pytest.mark.parametrize("stated", ["crc32c=AAAAAA==", "md5=AAAAAAAAAAAAAAAAAAAAAA==", "crc32c=0G6ckg==,md5=x"])
def test_wrong_checksum_is_rejected_and_leaves_no_object(
    server: Process, bucket: storage.Bucket, web: httpx2.Client, stated: str
) -> None:
    """Bytes that are not what the client says they are answer 400, in one request and resumably."""
    url = f"{server.url}/upload/storage/v1/b/{bucket.name}/o"
    query = {"uploadType": "media", "name": "a"}
    assert web.post(url, params=query, content=b"bytes", headers={"x-goog-hash": stated}).status_code == 400
    session = session_for(web, server, bucket, "a")
    assert web.put(session, content=b"bytes", headers={"x-goog-hash": stated}).status_code == 400
    blob = bucket.blob("a")
    blob.md5_hash = "AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(exceptions.BadRequest):
        blob.upload_from_string(b"bytes", checksum=None)
    assert not bucket.blob("a").exists()


@pytest.mark.parametrize("size", [0, 1, QUANTUM, 3 * QUANTUM, 3 * QUANTUM + 5])
def test_stream_of_unknown_size_arrives_whole(bucket: storage.Bucket, size: int) -> None:
    """Writing to an open object sends chunks, and closing it finishes the object."""
    data = os.urandom(size)
    with bucket.blob("a").open("wb", chunk_size=QUANTUM, if_generation_match=0) as sink:
        for start in range(0, size, 100_000):
            sink.write(data[start : start + 100_000])
    assert bucket.blob("a").download_as_bytes() == data


def test_failed_writer_leaves_no_object(bucket: storage.Bucket) -> None:
    """An exception while an object is written cancels it."""
    with pytest.raises(KeyError), bucket.blob("a").open("wb", chunk_size=QUANTUM) as sink:
        sink.write(os.urandom(2 * QUANTUM))
        raise KeyError
    assert not bucket.blob("a").exists()


def test_cut_upload_resumes_from_the_servers_offset(
    server: Process, bucket: storage.Bucket, web: httpx2.Client
) -> None:
    """After a broken connection the state query says what was kept, and the rest completes the object."""
    data = os.urandom(4 * QUANTUM)
    session = session_for(web, server, bucket, "a")
    put_cut_short(
        session, {"Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"}, len(data), data[: 3 * QUANTUM + 9]
    )

    def kept() -> str | None:
        state = web.put(session, headers={"Content-Range": "bytes */*"})
        assert state.status_code == 308
        return state.headers.get("range")

    last = int(eventually(kept).rpartition("-")[2])
    assert (last + 1) % QUANTUM == 0
    assert not bucket.blob("a").exists()
    headers = {"Content-Range": f"bytes {last + 1}-{len(data) - 1}/{len(data)}"}
    assert web.put(session, content=data[last + 1 :], headers=headers).status_code == 200
    assert bucket.blob("a").download_as_bytes() == data
    again = web.put(session, headers={"Content-Range": f"bytes */{len(data)}"})
    assert (again.status_code, again.json()["size"]) == (200, str(len(data)))


def test_chunk_may_be_repeated_but_not_skipped(server: Process, bucket: storage.Bucket, web: httpx2.Client) -> None:
    """Bytes the server has are skipped; a gap is refused."""
    data = os.urandom(2 * QUANTUM)
    session = session_for(web, server, bucket, "a")
    first = {"Content-Range": f"bytes 0-{QUANTUM - 1}/*"}
    for _ in range(2):
        answer = web.put(session, content=data[:QUANTUM], headers=first)
        assert (answer.status_code, answer.headers["range"]) == (308, f"bytes=0-{QUANTUM - 1}")
    ahead = {"Content-Range": f"bytes {QUANTUM + 1}-{2 * QUANTUM - 1}/{2 * QUANTUM}"}
    assert web.put(session, content=data[QUANTUM + 1 :], headers=ahead).status_code == 503
    whole = {"Content-Range": f"bytes 0-{2 * QUANTUM - 1}/{2 * QUANTUM}"}
    assert web.put(session, content=data, headers=whole).status_code == 200
    assert bucket.blob("a").download_as_bytes() == data


def test_canceled_upload_is_gone(server: Process, bucket: storage.Bucket, web: httpx2.Client) -> None:
    """DELETE on a session answers 499, and so does every later request on it; an unknown session is 404."""
    session = session_for(web, server, bucket, "a")
    assert (
        web.put(session, content=b"x" * QUANTUM, headers={"Content-Range": f"bytes 0-{QUANTUM - 1}/*"}).status_code
        == 308
    )
    assert web.delete(session).status_code == 499
    assert web.put(session, content=b"x").status_code == 499
    assert web.put(session[:-1] + "x", content=b"x").status_code == 404
    assert not bucket.blob("a").exists()


# Downloads


@pytest.mark.parametrize(
    ("header", "status", "part", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=5-4", 200, b"0123456789", None),
        ("pages=1-2", 200, b"0123456789", None),
    ],
)
def test_ranges(
    bucket: storage.Bucket,
    web: httpx2.Client,
    sign: Callable[..., str],
    header: str,
    status: int,
    part: bytes | None,
    content_range: str | None,
) -> None:
    """A range answers 206 with its part, one past the end 416 with the size, a senseless one the whole object."""
    blob = bucket.blob("a")
    blob.upload_from_string(b"0123456789")
    for url in (sign(blob), blob._get_download_url(bucket.client)):
        answer = web.get(url, headers={"Range": header})
        assert (answer.status_code, answer.headers.get("content-range")) == (status, content_range)
        assert part is None or answer.content == part


def test_download_has_metadata_headers(bucket: storage.Bucket, web: httpx2.Client, sign: Callable[..., str]) -> None:
    """GET and HEAD carry the same headers: type, length, validators, checksums and versions."""
    blob = bucket.blob("a")
    blob.cache_control = "private, max-age=60"
    blob.metadata = {"Job": "1"}
    blob.upload_from_string(b"bytes", content_type="video/mp4")
    got, head = web.get(sign(blob)), web.head(sign(blob, method="HEAD"))
    for answer in (got, head):
        assert answer.status_code == 200
        expected = {
            "content-type": "video/mp4",
            "content-length": "5",
            "cache-control": "private, max-age=60",
            "accept-ranges": "bytes",
            "x-goog-generation": str(blob.generation),
            "x-goog-metageneration": "1",
            "x-goog-hash": "crc32c=0G6ckg==,md5=SzpiGLs+OnMD6KFxpg/Pkg==",
            "x-goog-meta-job": "1",
            "etag": f'"{base64.b64decode(blob.md5_hash).hex()}"',
        }
        assert {name: answer.headers[name] for name in expected} == expected
        assert "last-modified" in answer.headers
    assert (got.content, head.content) == (b"bytes", b"")


def test_validators(bucket: storage.Bucket, web: httpx2.Client, sign: Callable[..., str]) -> None:
    """If-None-Match of the same object answers 304; If-Range of another one answers the whole object."""
    blob = bucket.blob("a")
    blob.upload_from_string(b"0123456789")
    url = sign(blob)
    etag, modified = (web.get(url).headers[name] for name in ("etag", "last-modified"))
    same = web.get(url, headers={"If-None-Match": etag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert web.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    assert web.get(url, headers={"If-Modified-Since": modified}).status_code == 304
    for validator, status in ((etag, 206), (modified, 206), ('"other"', 200), (f"W/{etag}", 200)):
        assert web.get(url, headers={"Range": "bytes=0-1", "If-Range": validator}).status_code == status


def test_download_is_not_disturbed_by_an_overwrite(
    bucket: storage.Bucket, web: httpx2.Client, sign: Callable[..., str]
) -> None:
    """A reader gets the object it began with, whole, though it is overwritten and deleted meanwhile."""
    before = os.urandom(8 << 20)
    blob = bucket.blob("a")
    blob.upload_from_string(before)
    with web.stream("GET", sign(blob)) as answer:
        pieces = answer.iter_bytes()
        received = next(pieces)
        bucket.blob("a").upload_from_string(b"after")
        bucket.blob("a").delete()
        received += b"".join(pieces)
    assert received == before


# Signed URLs


def test_signed_url_opens_a_private_object(
    bucket: storage.Bucket, web: httpx2.Client, server: Process, sign: Callable[..., str]
) -> None:
    """The signature is the only key: without it the object is denied."""
    blob = bucket.blob("dir/ä b+c.mp4")
    blob.upload_from_string(b"bytes", content_type="video/mp4")
    url = sign(blob, response_disposition='attachment; filename="v 1.mp4"', response_type="text/plain")
    answer = web.get(url)
    assert (answer.status_code, answer.content) == (200, b"bytes")
    assert answer.headers["content-disposition"] == 'attachment; filename="v 1.mp4"'
    assert answer.headers["content-type"] == "video/mp4"
    unsigned = web.get(url.partition("?")[0])
    assert unsigned.status_code == 403
    assert "<Code>AccessDenied</Code>" in unsigned.text


def test_signed_url_with_a_token_is_rejected(
    bucket: storage.Bucket, web: httpx2.Client, sign: Callable[..., str]
) -> None:
    """Programs that keep their Authorization header across a redirect get nothing from Cloud Storage."""
    bucket.blob("a").upload_from_string(b"a")
    answer = web.get(sign(bucket.blob("a")), headers={"Authorization": "Bearer of-another-service"})
    assert answer.status_code == 401
    assert "<Code>AuthenticationRequired</Code>" in answer.text


def test_signed_url_can_set_a_missing_content_type(
    server: Process, bucket: storage.Bucket, web: httpx2.Client, sign: Callable[..., str]
) -> None:
    """response-content-type holds where the object has no type of its own."""
    web.post(f"{server.url}/upload/storage/v1/b/{bucket.name}/o?uploadType=media&name=a", content=b"x")
    assert web.get(sign(bucket.blob("a"), response_type="image/png")).headers["content-type"] == "image/png"


def test_signature_covers_only_what_was_signed(
    bucket: storage.Bucket, web: httpx2.Client, key: rsa.RSAPrivateKey, sign: Callable[..., str]
) -> None:
    """Another object, method, parameter, life, signer or key: 403, and the reason in XML."""
    bucket.blob("a").upload_from_string(b"a")
    bucket.blob("b").upload_from_string(b"b")
    url = sign(bucket.blob("a"))
    assert web.get(url).status_code == 200
    stranger = Signer(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    wrong = [
        ("GET", url.replace(f"{bucket.name}/a", f"{bucket.name}/b")),
        ("HEAD", url),
        ("PUT", url),
        ("GET", url + "&response-content-disposition=inline"),
        ("GET", url.replace("X-Goog-Expires=900", "X-Goog-Expires=901")),
        ("GET", url[:-4] + ("0000" if url[-4:] != "0000" else "1111")),
        ("GET", sign(bucket.blob("a"), signer=stranger)),
        ("GET", sign(bucket.blob("a"), signer=Signer(key, "other@rushes-local.iam.gserviceaccount.com"))),
    ]
    for method, tampered in wrong:
        answer = web.request(method, tampered)
        assert answer.status_code == 403, (method, tampered)
        assert method == "HEAD" or "<Code>SignatureDoesNotMatch</Code>" in answer.text
    assert bucket.blob("a").download_as_bytes() == b"a"


def test_expired_url_says_so(
    bucket: storage.Bucket, web: httpx2.Client, server: Process, key: rsa.RSAPrivateKey
) -> None:
    """After its time a signed URL answers 400 ExpiredToken; one from the future is refused too."""
    bucket.blob("a").upload_from_string(b"a")

    def signed_at(moment: str) -> httpx2.Response:
        options = {"api_access_endpoint": server.url, "_request_timestamp": moment}
        return web.get(_signing.generate_signed_url_v4(Signer(key), f"/{bucket.name}/a", 60, **options))

    expired = signed_at("20260101T000000Z")
    assert expired.status_code == 400
    assert "<Code>ExpiredToken</Code>" in expired.text
    assert signed_at("29990101T000000Z").status_code == 403


@pytest.mark.parametrize(
    "change", [("X-Goog-Date=2", "X-Goog-Date=x"), ("X-Goog-Expires=900", "X-Goog-Expires=604801")]
)
def test_malformed_signature_is_a_bad_request(
    bucket: storage.Bucket, web: httpx2.Client, sign: Callable[..., str], change: tuple[str, str]
) -> None:
    """A date that is none or a life over seven days answers 400."""
    bucket.blob("a").upload_from_string(b"a")
    answer = web.get(sign(bucket.blob("a")).replace(*change))
    assert answer.status_code == 400
    assert "<Code>MalformedSecurityHeader</Code>" in answer.text


def test_signed_put_creates_under_its_precondition(
    bucket: storage.Bucket, web: httpx2.Client, sign: Callable[..., str]
) -> None:
    """A PUT must send exactly the headers that were signed, and its precondition holds."""
    headers = {"x-goog-if-generation-match": "0", "content-type": "video/mp4"}
    url = sign(bucket.blob("a"), method="PUT", headers=dict(headers))
    assert web.put(url, content=b"bytes").status_code == 400
    assert web.put(url, content=b"bytes", headers=headers | {"x-goog-meta-a": "unsigned"}).status_code == 400
    assert web.put(url, content=b"bytes", headers=headers).status_code == 200
    assert web.put(url, content=b"again", headers=headers).status_code == 412
    found = bucket.get_blob("a")
    assert (found.content_type, found.download_as_bytes()) == ("video/mp4", b"bytes")


def test_any_origin_may_read_unless_the_bucket_says_otherwise(
    bucket: storage.Bucket, web: httpx2.Client, sign: Callable[..., str]
) -> None:
    """CORS answers by the bucket's setting; the default lets any page read ranges, and none write."""
    blob = bucket.blob("a")
    blob.upload_from_string(b"a")
    page = {"Origin": "https://studio.example"}
    answer = web.get(sign(blob), headers=page)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert {"Content-Range", "Accept-Ranges", "ETag"} <= set(
        answer.headers["access-control-expose-headers"].split(", ")
    )
    asked = page | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
    assert web.options(sign(blob), headers=asked).headers["access-control-allow-origin"] == "*"
    writing = page | {"Access-Control-Request-Method": "PUT"}
    assert "access-control-allow-origin" not in web.options(sign(blob), headers=writing).headers
    bucket.cors = [{"origin": ["https://studio.example"], "method": ["PUT"], "responseHeader": ["Content-Type"]}]
    bucket.patch()
    allowed = web.options(sign(blob), headers=writing).headers
    assert allowed["access-control-allow-origin"] == "https://studio.example"
    assert "access-control-allow-origin" not in web.get(sign(blob), headers=page).headers


# Durability


def test_objects_and_open_uploads_survive_a_kill(tmp_path: Path, web: httpx2.Client) -> None:
    """After kill -9 the finished objects are there, the partial one is not, and a resumable upload continues."""
    data = os.urandom(2 * QUANTUM)
    first = Process(tmp_path, "--bucket", "media-bucket")
    with connected(first.url) as client:
        bucket = client.bucket("media-bucket")
        bucket.blob("done").upload_from_string(b"done", content_type="video/mp4")
        generation = bucket.get_blob("done").generation
        session = session_for(web, first, bucket, "later")
    chunk = {"Content-Range": f"bytes 0-{QUANTUM - 1}/{2 * QUANTUM}"}
    assert web.put(session, content=data[:QUANTUM], headers=chunk).status_code == 308
    half = f"{first.url}/upload/storage/v1/b/media-bucket/o?uploadType=media&name=half"
    parts = urlsplit(half)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        head = f"POST {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {8 << 20}\r\n\r\n"
        connection.sendall(head.encode() + os.urandom(3 << 20))
        eventually(lambda: sum(path.stat().st_size for path in (tmp_path / "uploads").glob("*.tmp")) >= 1 << 20)
        first.stop(signal.SIGKILL)
    with running(tmp_path) as second, connected(second.url) as client:
        bucket = client.bucket("media-bucket")
        assert [each.name for each in bucket.list_blobs()] == ["done"]
        found = bucket.get_blob("done")
        assert (found.generation, found.content_type) == (generation, "video/mp4")
        assert found.download_as_bytes() == b"done"
        moved = session.replace(first.url, second.url)
        assert web.put(moved, headers={"Content-Range": "bytes */*"}).headers["range"] == f"bytes=0-{QUANTUM - 1}"
        rest = {"Content-Range": f"bytes {QUANTUM}-{2 * QUANTUM - 1}/{2 * QUANTUM}"}
        assert web.put(moved, content=data[QUANTUM:], headers=rest).status_code == 200
        assert bucket.blob("later").download_as_bytes() == data
        assert list((tmp_path / "uploads").iterdir()) == []


def test_killed_overwrite_leaves_the_old_object(tmp_path: Path) -> None:
    """Bytes placed without their record are removed at the next start; the old version stays."""
    disk = Disk(tmp_path)
    disk.create_bucket("media-bucket", {})
    stored = disk.put("media-bucket", "a", Writer(tmp_path / "uploads" / "x"), {}, Conditions())
    record = next((tmp_path / "buckets" / "media-bucket").glob("??/*.json"))
    orphan = record.with_suffix(f".{stored.generation + 1}")
    orphan.write_bytes(b"half")
    record.with_suffix(".abc.tmp").write_text("{")
    again = Disk(tmp_path)
    assert again.find("media-bucket", "a") == stored
    assert sorted(path.suffix for path in record.parent.iterdir()) == [f".{stored.generation}", ".json"]


# Notifications


class Receiver:
    """An HTTP server that takes notifications; `answers` holds the statuses of the next requests, then 204."""

    def __init__(self) -> None:
        self.requests: queue.Queue[tuple[dict[str, str], dict[str, Any]]] = queue.Queue()
        self.answers: queue.Queue[int] = queue.Queue()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                receiver.requests.put(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(204 if receiver.answers.empty() else receiver.answers.get())
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/tasks/object-finalized"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


def test_finished_object_is_announced_until_acknowledged(
    tmp_path: Path, receiver: Receiver, key: rsa.RSAPrivateKey, key_file: Path
) -> None:
    """A finished object is pushed as Pub/Sub does, with a verifiable token, and again until the answer is 2xx."""
    receiver.answers.put(503)
    receiver.answers.put(500)
    options = ["--bucket", "media-bucket", "--notify-url", receiver.url, "--notify-audience", "https://poll.example"]
    options += ["--oidc-key", str(key_file), "--oidc-kid", "k1", "--notify-email", "push@rushes-local.example"]
    with running(tmp_path, *options) as process, connected(process.url) as client:
        blob = client.bucket("media-bucket").blob("tenant/a.mp4")
        blob.upload_from_string(b"bytes", content_type="video/mp4")
        deliveries = [receiver.requests.get(timeout=DEADLINE_S) for _ in range(3)]
    identities = {body["message"]["messageId"] for _, body in deliveries}
    assert len(identities) == 1
    headers, body = deliveries[-1]
    attributes = body["message"]["attributes"]
    assert attributes["eventType"] == "OBJECT_FINALIZE"
    assert attributes["payloadFormat"] == "JSON_API_V1"
    assert (attributes["bucketId"], attributes["objectId"]) == ("media-bucket", "tenant/a.mp4")
    assert attributes["objectGeneration"] == str(blob.generation)
    document = json.loads(base64.b64decode(body["message"]["data"]))
    assert (document["name"], document["size"], document["crc32c"]) == ("tenant/a.mp4", "5", blob.crc32c)
    token = headers["authorization"].removeprefix("Bearer ")
    assert jwt.get_unverified_header(token)["kid"] == "k1"
    claims = jwt.decode(token, key.public_key(), algorithms=["RS256"], audience="https://poll.example")
    assert (claims["iss"], claims["email"]) == ("https://accounts.google.com", "push@rushes-local.example")


def test_absent_receiver_does_not_block_uploads(tmp_path: Path) -> None:
    """Uploads succeed while no receiver takes notifications, and the server still stops on request."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        process = Process(tmp_path, "--bucket", "media-bucket", "--notify-url", url)
        with connected(process.url) as client:
            for number in range(20):
                client.bucket("media-bucket").blob(str(number)).upload_from_string(b"x", timeout=DEADLINE_S / 2)
        assert process.stop() in (0, -signal.SIGTERM)
