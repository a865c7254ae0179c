"""The protocol of Firestore's Listen, message by message: what the emulator never says, and the service may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.firestore_v1 import _helpers
from google.cloud.firestore_v1.types import (
    Document,
    DocumentChange,
    DocumentDelete,
    DocumentRemove,
    ExistenceFilter,
    ListenRequest,
    ListenResponse,
    TargetChange,
)
from google.rpc import status_pb2

from shared.core.documents import Job
from shared.gateways.firestore_listen import FirestoreChangeFeed
from shared.platform.subscription import Subscription, WatchEnded
from tests.contract.test_store import a_job
from tests.unit.conftest import SETTINGS, Clock

WITHIN_S = 30.0
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
Kind = TargetChange.TargetChangeType
ROOT = f"projects/{SETTINGS.google_cloud_project}/databases/(default)/documents/jobs/"


class Stream:
    """One stream as the server sees it: what it is asked for, and what it says."""

    def __init__(self, requests: AsyncIterator[ListenRequest]) -> None:
        self._requests = requests
        self._said: asyncio.Queue[ListenResponse | Exception | None] = asyncio.Queue()
        self.canceled = False

    async def asked(self) -> ListenRequest:
        async with asyncio.timeout(WITHIN_S):
            return await anext(self._requests)

    def say(self, **response: Any) -> None:
        self._said.put_nowait(ListenResponse(**response))

    def change(self, kind: Kind, *targets: int, token: bytes = b"", **more: Any) -> None:
        self.say(target_change=TargetChange(target_change_type=kind, target_ids=targets, resume_token=token, **more))

    def document(self, job: Job, *targets: int, second: int = 0, removed_from: tuple[int, ...] = ()) -> None:
        fields = _helpers.encode_dict(
            {**job.model_dump(mode="json", exclude={"id"}), "created_at": NOON, "updated_at": NOON}
        )
        document = Document(name=ROOT + job.id, fields=fields, update_time=NOON.replace(second=second))
        change = DocumentChange(document=document, target_ids=targets, removed_target_ids=removed_from)
        self.say(document_change=change)

    def current(self, target: int, token: bytes = b"") -> None:
        self.change(Kind.ADD, target)
        self.change(Kind.CURRENT, target, token=token)

    def consistent(self, token: bytes = b"") -> None:
        self.change(Kind.NO_CHANGE, token=token, read_time=NOON)

    def breaks(self, error: Exception | None) -> None:
        """None: the server ends the stream in peace."""
        self._said.put_nowait(error or StopAsyncIteration())

    def spoil(self) -> None:
        """Say what gRPC cannot parse, and hands on as None."""
        self._said.put_nowait(None)

    def cancel(self) -> None:
        self.canceled = True

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> ListenResponse | None:
        said = await self._said.get()
        if isinstance(said, Exception):
            raise said
        return said


class Server:
    """Stands for the library's client: each call of listen is one Stream."""

    def __init__(self) -> None:
        self._firestore_api = self
        self._rpc_metadata: list[tuple[str, str]] = []
        self._streams: asyncio.Queue[Stream] = asyncio.Queue()

    async def listen(self, requests: AsyncIterator[ListenRequest], **_: Any) -> Stream:
        stream = Stream(requests)
        self._streams.put_nowait(stream)
        return stream

    async def stream(self) -> Stream:
        async with asyncio.timeout(WITHIN_S):
            return await self._streams.get()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def live(server: Server, monkeypatch: pytest.MonkeyPatch) -> FirestoreChangeFeed:
    monkeypatch.setattr("shared.gateways.firestore_listen.FIRST_WAIT_S", 0.0)
    made = FirestoreChangeFeed(SETTINGS, Clock())
    made._wait_s = 0.0
    vars(made)["_client"] = server
    return made


async def taken(watch: Subscription) -> dict[str, Job | None]:
    found = dict(await watch.take(WITHIN_S))
    assert found, "nothing was told"
    return found


async def test_target_is_added_and_removed(live: FirestoreChangeFeed, server: Server) -> None:
    with live.watch_account("acme", "ann"):
        stream = await server.stream()
        with live.watch_job("video_a"), live.watch_job("video_a"):
            account, job = (await stream.asked()).add_target, (await stream.asked()).add_target
            filters = account.query.structured_query.where.composite_filter.filters
            found = {one.field_filter.field.field_path: one.field_filter.value for one in filters}
            assert (found["tenant"].string_value, found["account"].string_value) == ("acme", "ann")
            assert job.documents.documents == [ROOT + "video_a"]
        assert (await stream.asked()).remove_target == job.target_id


async def test_broken_stream_leaves_no_request_waiting(live: FirestoreChangeFeed, server: Server) -> None:
    """gRPC reads them in a task of its own, which it ends only for a call that is canceled before it has ended."""
    with live.watch_job("video_a"):
        stream = await server.stream()

        async def read_requests() -> int:
            return len([request async for request in stream._requests])

        reading = asyncio.create_task(read_requests())
        await asyncio.sleep(0)
        stream.breaks(exceptions.ServiceUnavailable("cut"))
        await server.stream()
        async with asyncio.timeout(WITHIN_S):
            assert await reading == 1


async def test_long_lived_target_does_not_grow(
    live: FirestoreChangeFeed, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.gateways.firestore_listen.MAX_KNOWN", 2)
    clock = Clock()
    live._clock = clock
    with live.watch_account("default", "ann") as watch:
        stream = await server.stream()
        first = (await stream.asked()).add_target
        for id_ in ("video_a", "video_b", "video_c"):
            stream.document(a_job(id_), first.target_id)
        stream.current(first.target_id)
        stream.consistent()
        assert len(await taken(watch)) == 3
        clock.advance(120)
        stream.consistent()
        assert (await stream.asked()).remove_target == first.target_id
        narrowed = (await stream.asked()).add_target
        assert _since(narrowed) - _since(first) == timedelta(seconds=120)
        stream.current(narrowed.target_id)
        stream.document(a_job("video_c", version=2), narrowed.target_id, second=1)
        stream.consistent()
        told = await taken(watch)
        assert [(id_, job and job.version) for id_, job in told.items()] == [("video_c", 2)], "nothing else is gone"


def _since(target: Any) -> datetime:
    filters = target.query.structured_query.where.composite_filter.filters
    return next(
        one.field_filter.value.timestamp_value for one in filters if one.field_filter.op.name == "GREATER_THAN_OR_EQUAL"
    )


async def test_unused_stream_is_closed(live: FirestoreChangeFeed, server: Server) -> None:
    with live.watch_job("video_a"):
        stream = await server.stream()
        await stream.asked()
    async with asyncio.timeout(WITHIN_S):
        while not stream.canceled:
            await asyncio.sleep(0)
    with live.watch_job("video_a"):
        assert "add_target" in await (await server.stream()).asked()


async def test_nothing_is_reported_before_the_first_consistent_snapshot(
    live: FirestoreChangeFeed, server: Server
) -> None:
    with live.watch_job("video_a") as watch:
        stream = await server.stream()
        number = (await stream.asked()).add_target.target_id
        stream.document(a_job("video_a"), number)
        stream.current(number)
        assert await watch.take(0.01) == {}
        stream.consistent()
        assert (await taken(watch))["video_a"] is not None


async def test_unchanged_documents_are_not_reported_again(live: FirestoreChangeFeed, server: Server) -> None:
    with live.watch_account("default", "ann") as watch:
        stream = await server.stream()
        number = (await stream.asked()).add_target.target_id
        for id_ in ("video_a", "video_b", "video_c"):
            stream.document(a_job(id_), number)
        stream.current(number)
        stream.consistent()
        assert len(await taken(watch)) == 3
        stream.change(Kind.RESET, number)
        stream.document(a_job("video_a"), number)
        stream.document(a_job("video_b", version=2), number, second=1)
        stream.change(Kind.CURRENT, number)
        stream.consistent()
        # After a reset, documents that are not reported again are gone.
        latest = await taken(watch)
        assert set(latest) == {"video_b", "video_c"}
        assert latest["video_c"] is None


async def test_document_can_disappear_in_three_ways(live: FirestoreChangeFeed, server: Server) -> None:
    with live.watch_account("default", "ann") as watch:
        stream = await server.stream()
        number = (await stream.asked()).add_target.target_id
        stream.current(number)
        stream.say(document_delete=DocumentDelete(document=ROOT + "video_a", removed_target_ids=[number]))
        stream.say(document_remove=DocumentRemove(document=ROOT + "video_b", removed_target_ids=[number]))
        stream.document(a_job("video_c"), removed_from=(number,))
        stream.consistent()
        assert await taken(watch) == {"video_a": None, "video_b": None, "video_c": None}


async def test_count_mismatch_resets_the_target(live: FirestoreChangeFeed, server: Server) -> None:
    with live.watch_account("default", "ann") as watch:
        stream = await server.stream()
        number = (await stream.asked()).add_target.target_id
        stream.document(a_job("video_a"), number)
        stream.document(a_job("video_b"), number)
        stream.current(number, token=b"t")
        stream.consistent()
        await taken(watch)
        stream.say(filter=ExistenceFilter(target_id=number, count=2))
        stream.say(filter=ExistenceFilter(target_id=number, count=1))
        assert (await stream.asked()).remove_target == number
        again = (await stream.asked()).add_target
        assert again.target_id != number
        assert again.resume_token == b""
        # Late messages for the old target id are ignored.
        stream.document(a_job("video_b", version=9), number, second=9)
        stream.document(a_job("video_a"), again.target_id)
        stream.current(again.target_id)
        stream.consistent()
        assert await taken(watch) == {"video_b": None}


@pytest.mark.parametrize("error", [exceptions.ServiceUnavailable("x"), exceptions.Aborted("x"), OSError("x"), None])
async def test_broken_stream_resumes_with_its_tokens(
    live: FirestoreChangeFeed, server: Server, error: Exception | None
) -> None:
    with live.watch_job("video_a"):
        stream = await server.stream()
        number = (await stream.asked()).add_target.target_id
        stream.current(number, token=b"first")
        stream.consistent(token=b"second")
        stream.breaks(error)
        assert (await (await server.stream()).asked()).add_target.resume_token == b"second"


async def test_unparsable_message_restarts_without_tokens(
    live: FirestoreChangeFeed, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    with live.watch_job("video_a") as watch:
        stream = await server.stream()
        number = (await stream.asked()).add_target.target_id
        stream.document(a_job("video_a"), number)
        stream.current(number, token=b"first")
        stream.consistent(token=b"second")
        await taken(watch)
        stream.spoil()
        stream = await server.stream()
        assert (await stream.asked()).add_target.resume_token == b""
        stream.document(a_job("video_a", version=2), number, second=2)
        stream.current(number)
        stream.consistent()
        assert [job.version for job in (await taken(watch)).values() if job is not None] == [2]
    assert "a message of Listen could not be read" in capsys.readouterr().out


async def test_token_is_not_used_before_the_first_snapshot(live: FirestoreChangeFeed, server: Server) -> None:
    with live.watch_job("video_a"):
        stream = await server.stream()
        await stream.asked()
        stream.consistent(token=b"not yours")
        stream.breaks(exceptions.ServiceUnavailable("x"))
        assert (await (await server.stream()).asked()).add_target.resume_token == b""


async def test_rejected_token_is_dropped(live: FirestoreChangeFeed, server: Server) -> None:
    with live.watch_job("video_a"):
        stream = await server.stream()
        stream.current((await stream.asked()).add_target.target_id, token=b"old")
        stream.breaks(exceptions.InvalidArgument("the token is too old"))
        assert (await (await server.stream()).asked()).add_target.resume_token == b""


async def test_rejected_target_ends_only_its_own_subscriptions(live: FirestoreChangeFeed, server: Server) -> None:
    with live.watch_account("default", "ann") as refused, live.watch_job("video_a") as other:
        stream = await server.stream()
        account = (await stream.asked()).add_target.target_id
        job = (await stream.asked()).add_target.target_id
        stream.change(Kind.REMOVE, account, cause=status_pb2.Status(code=9, message="The query requires an index."))
        with pytest.raises(WatchEnded):
            await refused.take(WITHIN_S)
        stream.document(a_job("video_a"), job)
        stream.current(job)
        stream.consistent()
        assert "video_a" in await taken(other)
