"""Events of a video and of an account: a listener that reconnects always ends with the latest state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from local.memory.store import MemoryFirestore
from shared.accounts import api_keys, auth
from shared.accounts.api_keys import ApiKey
from shared.api import views
from shared.api.api_keys import NewApiKey
from shared.core.documents import Job
from shared.core.errors import ApiError, Unavailable
from shared.jobs import queries
from shared.platform.identity import Caller
from shared.platform.subscription import MAX_PENDING_JOBS, Subscription, WatchEnded
from shared.streaming import event_stream, stream_places
from shared.streaming.event_stream import HEADERS, PLACES, EventStream, Pace, Position
from tests.sse import Event, Reader
from tests.unit.conftest import NOW, House

WITHIN_S = 30.0
QUICK = Pace(tick_s=0.01, keep_alive_s=WITHIN_S, longest_s=WITHIN_S)


async def always() -> None:
    """The caller may listen."""


@pytest.fixture(autouse=True)
def nothing_is_open() -> Iterator[None]:
    PLACES.__init__()  # type: ignore[misc]
    yield


class Client:
    """One open stream, and what was read of it."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.reader = Reader()
        self.chunks: list[bytes] = []
        self._fields: dict[str, str] = {}

    async def next(self) -> Event | None:
        """The next event; None at the stream's end."""
        async with asyncio.timeout(WITHIN_S):
            async for chunk in self.response.body_iterator:
                self.chunks.append(chunk)
                for line in chunk.decode().split("\n")[:-1]:
                    if (event := self.reader.line(line, self._fields)) is not None:
                        return event
        return None

    async def rest(self) -> list[Event]:
        events = []
        while (event := await self.next()) is not None:
            events.append(event)
        return events

    async def chunk(self) -> bytes:
        async with asyncio.timeout(WITHIN_S):
            chunk: bytes = await anext(self.response.body_iterator)
            return chunk

    async def until(self, job: Job) -> list[Event]:
        """The events up to the one with this version of the job, or a later one."""
        events = []
        while True:
            event = await self.next()
            assert event is not None, "the stream ended"
            events.append(event)
            if event.name == "video" and event.video == job.id and event.version >= job.version:
                return events


@asynccontextmanager
async def video(
    house: House,
    caller: Caller,
    job: Job,
    last: str | None = None,
    pace: Pace = QUICK,
    identify: event_stream.Identify = always,
) -> AsyncIterator[Client]:
    response = await event_stream.of_video(house.services, caller, identify, job.id, last, pace=pace)
    assert isinstance(response, EventStream)
    async with aclosing(response.body_iterator):
        yield Client(response)


@asynccontextmanager
async def account(
    house: House,
    caller: Caller,
    last: str | None = None,
    pace: Pace = QUICK,
    identify: event_stream.Identify = always,
) -> AsyncIterator[Client]:
    response = await event_stream.of_account(house.services, caller, identify, last, pace=pace)
    async with aclosing(response.body_iterator):
        yield Client(response)


def watched(house: House) -> int:
    return len(house.live._by_job) + len(house.live._by_account)


async def finish(house: House, job: Job) -> Job:
    return await house.run(job)


# --- one video ---


async def test_video_events_run_from_the_current_state_to_the_end(house: House) -> None:
    alice = await house.sign_up()
    job = await house.submit(alice)
    async with video(house, alice, job) as client:
        events = await client.until(job)
        ended = await finish(house, job)
        events += await client.rest()
    assert {event.name for event in events} == {"video"}
    assert [event.version for event in events] == sorted({event.version for event in events})
    assert all(event.id == str(event.version) for event in events)
    assert events[-1].data == views.video(ended, house.clock()).model_dump(mode="json")
    assert client.reader.retry_ms is None


async def test_stages_arrive_in_order(house: House) -> None:
    alice = await house.sign_up()
    job = await house.submit(alice)
    async with video(house, alice, job) as client:
        stages = [event.stage for event in await client.until(job)]
        while not job.final:
            await house.deliver_next()
            known, job = job, await house.job(job.id)
            if job.version > known.version:
                stages += [event.stage for event in await client.until(job)]
    # A state that lasts only for one delivery may be superseded before it is sent.
    assert list(dict.fromkeys(stages)) in (
        ["queued", "generating", "completed"],
        ["queued", "generating", "storing", "completed"],
    )


async def test_ended_video_sends_one_event(house: House) -> None:
    alice = await house.sign_up()
    job = await finish(house, await house.submit(alice))
    async with video(house, alice, job) as client:
        (event,) = await client.rest()
    assert event.stage == "completed"
    answer = await event_stream.of_video(house.services, alice, always, job.id, event.id)
    assert (answer.status_code, answer.body) == (204, b"")


@pytest.mark.parametrize("last", ["0", "1"])
async def test_reconnect_receives_what_is_newer(house: House, last: str) -> None:
    alice = await house.sign_up()
    job = await finish(house, await house.submit(alice))
    async with video(house, alice, job, last) as client:
        assert [event.version for event in await client.rest()] == [job.version]


async def test_reconnect_receives_nothing_already_known(house: House) -> None:
    alice = await house.sign_up()
    job = await house.until(await house.submit(alice), "generating")
    async with video(house, alice, job, str(job.version)) as client:
        # Only the progress may have changed since.
        reading = asyncio.create_task(client.next())
        event = await reading
        assert event is not None
        assert (event.version, event.stage, event.id) == (job.version, "generating", "")
        ended = await finish(house, job)
        assert (await client.rest())[-1].version == ended.version


@pytest.mark.parametrize("last", ["", "x", "-1", "99999999999999999999", "1.5", "42"])
async def test_version_that_we_never_sent_is_rejected(house: House, last: str) -> None:
    alice = await house.sign_up()
    job = await finish(house, await house.submit(alice))
    async with video(house, alice, job, last) as client:
        assert [event.version for event in await client.rest()] == [job.version]


async def test_progress_is_sent_without_a_change_and_never_decreases(house: House) -> None:
    alice = await house.sign_up()
    job = await house.until(await house.submit(alice), "generating")
    async with video(house, alice, job) as client:
        first = await client.next()
        assert first is not None
        shown = [first.data["progress"]]
        for _ in range(5):
            house.clock.advance(5)
            event = await client.next()
            assert event is not None
            assert event.version == job.version
            shown.append(event.data["progress"])
    assert shown == sorted(set(shown))


async def test_idle_stream_sends_only_heartbeats(house: House) -> None:
    alice = await house.sign_up()
    job = await house.submit(alice)
    async with video(house, alice, job, pace=Pace(0.01, 0.0, WITHIN_S)) as client:
        await client.next()
        assert await client.chunk() == b": keep-alive\n\n"
        assert await client.chunk() == b": keep-alive\n\n"


@pytest.mark.parametrize("opened", [video, account])
async def test_end_missed_by_the_change_feed_is_read(
    house: House, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await house.sign_up()
    job = await house.submit(alice)
    pace = Pace(0.01, 0.0, WITHIN_S, read_s=0.02)
    arguments = (house, alice, job) if opened is video else (house, alice)
    async with opened(*arguments, pace=pace) as client:
        # With that it has read all that there was.
        while await client.chunk() != event_stream.KEEP_ALIVE:
            pass
        monkeypatch.setattr(Subscription, "offer", lambda *_: None)
        ended = await finish(house, job)
        assert (await client.until(ended))[-1].version == ended.version


async def test_database_outage_ends_the_stream_with_a_retry_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await house.sign_up()
    job = await house.submit(alice)
    async with video(house, alice, job, pace=Pace(0.01, WITHIN_S, WITHIN_S, read_s=0.02)) as client:
        await client.until(job)
        monkeypatch.setattr(house.store, "get", unavailable)
        await client.rest()
        assert client.reader.retry_ms == 1000


async def unavailable(*_: Any) -> None:
    raise Unavailable("Firestore")


async def test_stream_ends_at_its_maximum_with_a_retry_time(house: House) -> None:
    alice = await house.sign_up()
    job = await house.submit(alice)
    for opened in (
        video(house, alice, job, pace=Pace(0.01, 1.0, 0.05)),
        account(house, alice, pace=Pace(0.01, 1.0, 0)),
    ):
        async with opened as client:
            await client.rest()
            assert client.reader.retry_ms == 1000
    assert watched(house) == 0


async def test_another_users_video_is_not_found(house: House) -> None:
    alice, bob = await house.sign_up(), await house.sign_up("bob")
    job = await house.submit(alice)
    for last in (None, "1"):
        with pytest.raises(ApiError) as refused:
            await event_stream.of_video(house.services, bob, always, job.id, last)
        assert refused.value.code == "NOT_FOUND"


async def test_deleted_video_is_not_found_unless_previously_known(house: House) -> None:
    alice = await house.sign_up()
    job = await finish(house, await house.submit(alice))
    await queries.delete(house.services, alice, job.id)
    with pytest.raises(ApiError) as refused:
        await event_stream.of_video(house.services, alice, always, job.id, None)
    assert refused.value.code == "NOT_FOUND"
    async with video(house, alice, job, str(job.version)) as client:
        (event,) = await client.rest()
    assert (event.name, event.data["id"], event.data["deleted"]) == ("deleted", job.id, True)


async def test_vanished_document_is_sent_as_deleted(house: House) -> None:
    alice = await house.sign_up()
    job = await house.submit(alice)
    async with video(house, alice, job) as client:
        await client.next()
        house.store.remove("jobs", job.id)
        assert [event.name for event in await client.rest()] == ["deleted"]


async def test_change_between_read_and_subscription_is_not_missed(house: House) -> None:
    alice = await house.sign_up()
    job = await house.submit(alice)
    response = await event_stream.of_video(house.services, alice, always, job.id, None, pace=QUICK)
    ended = await finish(house, job)
    client = Client(response)
    assert [event.version for event in await client.rest()] == [ended.version]


# --- all of an account's videos ---


async def test_account_stream_starts_with_position_and_unfinished_jobs(house: House) -> None:
    alice = await house.sign_up()
    old = await house.submit(alice)
    house.clock.advance(3600)
    async with account(house, alice) as client:
        ready, event = await client.next(), await client.next()
    assert ready is not None
    assert event is not None
    assert (ready.name, ready.data) == ("ready", {"object": "events"})
    assert Position.parsed(ready.id, house.clock()) == Position(house.clock() - timedelta(minutes=5))
    assert (event.video, event.stage, event.id) == (old.id, "queued", ready.id)


async def test_account_stream_has_all_its_changes_and_no_others(house: House) -> None:
    alice, bob = await house.sign_up(), await house.sign_up("bob")
    async with account(house, alice) as client:
        await client.next()
        first, second = await house.submit(alice), await house.submit(alice)
        await house.submit(bob)
        events = await client.until(first) + await client.until(second)
        first = await finish(house, first)
        second = await finish(house, second)
        await queries.delete(house.services, alice, second.id)
        while events[-1].name != "deleted":
            event = await client.next()
            assert event is not None
            events.append(event)
    assert {event.data["id"] for event in events} == {first.id, second.id}
    assert events[-1].data["id"] == second.id
    told = [event for event in events if event.name == "video" and event.video == first.id]
    assert told[-1].stage == "completed"
    assert [event.version for event in told] == sorted(event.version for event in told)


async def test_positions_only_increase(house: House) -> None:
    alice = await house.sign_up()
    async with account(house, alice) as client:
        await client.next()
        positions = []
        for _ in range(3):
            job = await finish(house, await house.submit(alice))
            positions += [Position.parsed(event.id, house.clock()) for event in await client.until(job)]
    assert None not in positions
    assert positions == sorted(positions)  # type: ignore[type-var]


async def test_account_reconnect_receives_all_missed_changes(house: House) -> None:
    alice = await house.sign_up()
    untouched = await finish(house, await house.submit(alice))
    house.clock.advance(60)
    async with account(house, alice) as client:
        first, second = await house.submit(alice), await house.submit(alice)
        await client.until(second)
        last = client.reader.last_id
    first, second = await finish(house, first), await finish(house, second)
    await queries.delete(house.services, alice, second.id)
    house.clock.advance(86_400)
    third = await house.submit(alice)
    async with account(house, alice, last) as client:
        events = await client.until(third)
    latest = {event.data["id"]: event for event in events if event.name != "ready"}
    assert set(latest) == {first.id, second.id, third.id}
    assert untouched.id not in latest
    assert latest[first.id].stage == "completed"
    assert latest[second.id].name == "deleted"
    again = [event.video for event in events if event.name == "video"]
    assert len(again) == len(set(again))


async def test_account_reconnect_receives_progress_of_unchanged_jobs(house: House) -> None:
    alice = await house.sign_up()
    job = await house.until(await house.submit(alice), "generating")
    house.clock.advance(40)
    async with account(house, alice, str(Position(house.clock()))) as client:
        ready, event = await client.next(), await client.next()
    assert ready is not None
    assert event is not None
    assert (event.video, event.version, event.id) == (job.id, job.version, ready.id)


async def test_many_missed_changes_are_read_in_pages(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "PAGE_JOBS", 2)
    house.configure(active_jobs_limit=20)
    alice = await house.sign_up()
    jobs = [await house.submit(alice) for _ in range(7)]
    async with account(house, alice) as client:
        seen: set[str] = set()
        while len(seen) < 7:
            event = await client.next()
            assert event is not None
            seen |= {event.video} if event.name == "video" else set()
    assert seen == {job.id for job in jobs}


@pytest.mark.parametrize("last", ["", "x", "12", "-", "1-ä", "99999999999999999999-a"])
async def test_position_that_we_never_sent_starts_over(house: House, last: str) -> None:
    alice = await house.sign_up()
    async with account(house, alice, last) as client:
        ready = await client.next()
    assert ready is not None
    assert ready.id == str(Position(house.clock() - timedelta(minutes=5)))


def test_future_position_means_now() -> None:
    assert Position.parsed("9999999999999999-a", NOW) == Position(NOW, "a")
    assert Position.parsed(str(Position(NOW, "video_a")), NOW) == Position(NOW, "video_a")


# --- limits ---


async def test_disconnected_client_is_unsubscribed(house: House) -> None:
    alice = await house.sign_up()
    job = await house.submit(alice)
    async with video(house, alice, job) as one, account(house, alice) as all_:
        await one.next()
        await all_.next()
        assert watched(house) == 2
    assert watched(house) == 0
    assert PLACES.taken == 0


async def test_client_disconnecting_while_idle_is_unsubscribed(house: House) -> None:
    alice = await house.sign_up()
    job = await house.submit(alice)
    response = await event_stream.of_video(house.services, alice, always, job.id, None)
    sent: list[Any] = []
    left = asyncio.Event()

    async def receive() -> Any:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if message.get("body"):
            left.set()

    scope = {"type": "http", "method": "GET", "headers": [], "asgi": {"spec_version": "2.3"}}
    async with asyncio.timeout(WITHIN_S):
        await response(scope, receive, send)
    assert watched(house) == 0
    headers = dict(sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"x-accel-buffering"] == b"no"


async def opened(house: House, caller: Caller) -> Any:
    """The body of one more stream, which has begun."""
    response = await event_stream.of_account(house.services, caller, always, None)
    assert isinstance(response, EventStream)
    await anext(aiter(response.body_iterator))
    return response.body_iterator


async def is_full(house: House, caller: Caller) -> dict[str, Any]:
    with pytest.raises(ApiError) as refused:
        await event_stream.of_account(house.services, caller, always, None)
    assert (refused.value.code, refused.value.retry_after_s) == ("TOO_MANY_STREAMS", 10)
    return refused.value.details


async def test_streams_per_account_are_limited(house: House) -> None:
    alice, bob = await house.sign_up(), await house.sign_up("bob")
    streams = [await opened(house, alice) for _ in range(stream_places.PER_ACCOUNT)]
    assert await is_full(house, alice) == {"limit": stream_places.PER_ACCOUNT, "of": "account"}
    streams.append(await opened(house, bob))
    for stream in streams:
        await stream.aclose()
    assert PLACES.taken == 0
    await (await opened(house, alice)).aclose()


async def test_key_has_fewer_streams_and_leaves_room_for_pages(house: House) -> None:
    alice = await house.sign_up()
    with_key, with_other = replace(alice, key="key_1"), replace(alice, key="key_2")
    streams = [await opened(house, with_key) for _ in range(stream_places.PER_KEY)]
    assert await is_full(house, with_key) == {"limit": stream_places.PER_KEY, "of": "key"}
    streams += [await opened(house, alice), await opened(house, with_other)]
    for stream in streams:
        await stream.aclose()
    assert PLACES.taken == 0


async def test_accounts_without_credits_cannot_fill_an_instance(house: House) -> None:
    rich = await house.sign_up()
    streams, refused = [], 0
    for number in range(20):
        poor = replace(await house.sign_up(f"poor-{number}"), idle=True)
        for _ in range(10):
            try:
                streams.append(await opened(house, poor))
            except ApiError:
                refused += 1
    assert (len(streams), refused) == (stream_places.ALL_IDLE, 200 - stream_places.ALL_IDLE)
    assert (await is_full(house, replace(rich, idle=True)))["of"] == "idle_accounts"
    streams.append(await opened(house, rich))
    for stream in streams:
        await stream.aclose()


async def test_thousand_concurrent_requests_stay_within_the_limit(house: House) -> None:
    """Before any of them is read: a place is taken when a stream is promised, not when it begins."""
    alice = await house.sign_up()
    asks = (event_stream.of_account(house.services, alice, always, None) for _ in range(1_000))
    answers = await asyncio.gather(*asks, return_exceptions=True)
    assert sum(isinstance(answer, EventStream) for answer in answers) == stream_places.PER_ACCOUNT


async def test_unread_stream_frees_its_slot(house: House) -> None:
    alice = await house.sign_up()
    response = await event_stream.of_account(house.services, alice, always, None)

    async def gone(*_: Any) -> Any:
        raise OSError("the client is gone")

    with pytest.raises(ClientDisconnect):
        await response({"type": "http", "method": "GET", "headers": [], "asgi": {"spec_version": "2.4"}}, gone, gone)
    assert PLACES.taken == 0


# --- locked-out listeners ---


@pytest.mark.parametrize("how", ["revoked", "expired", "disabled", "deleted"])
@pytest.mark.parametrize("opened", [video, account])
async def test_stream_ends_within_a_minute_of_a_lockout(house: House, opened: Any, how: str) -> None:
    accounts = auth.Accounts()
    caller = await accounts.caller(house.services, "Bearer alice")
    made = await api_keys.make(house.services, caller, NewApiKey(name="ci", scope="read", expires_in_days=1))
    job = await house.submit(caller)
    authorization = f"Bearer {made.key}"
    with_key = await accounts.caller(house.services, authorization)

    async def identify() -> Caller:
        age = event_stream.IDENTIFIED_BY
        return await accounts.caller(house.services, authorization, account_age=age, key_age=age)

    pace = Pace(0.01, 0.0, WITHIN_S, identify_s=0.01)
    arguments = (house, with_key, job) if opened is video else (house, with_key)
    async with opened(*arguments, pace=pace, identify=identify) as client:
        while await client.chunk() != event_stream.KEEP_ALIVE:
            """Until everything available has been sent."""
        if how == "revoked":
            # By another process: this one remembers the key.
            (key,) = house.store.documents(ApiKey)
            await house.store.commit([key.changed(revoked_at=house.clock())])
        elif how == "expired":
            house.clock.advance(86_400)
        else:
            change = {"disabled": True} if how == "disabled" else {"closed_at": house.clock()}
            house.store.edit("accounts", caller.account, change)
        house.clock.advance(30)
        await client.rest()
    # It is not asked to reconnect.
    assert client.reader.retry_ms is None
    assert PLACES.taken == 0


def test_checking_the_caller_is_bounded_to_a_minute() -> None:
    slowest_s = event_stream.PACE.identify_s + event_stream.PACE.tick_s + event_stream.IDENTIFIED_BY.total_seconds()
    assert slowest_s < 60


async def test_temporarily_unidentified_caller_reconnects(house: House) -> None:
    alice = await house.sign_up()
    async with account(house, alice, pace=Pace(0.01, 0.0, WITHIN_S, identify_s=0), identify=unavailable) as client:
        await client.rest()
    assert client.reader.retry_ms == 1000


# --- the head ---


async def test_head_opens_no_stream(house: House) -> None:
    alice = await house.sign_up()
    job = await house.submit(alice)
    for answer in (
        await event_stream.of_video(house.services, alice, always, job.id, None, head=True),
        await event_stream.of_account(house.services, alice, always, None, head=True),
    ):
        assert not isinstance(answer, EventStream)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert {name.lower() for name in HEADERS} <= set(answer.headers)


async def test_slow_reader_restarts_instead_of_filling_memory(house: House) -> None:
    alice = await house.sign_up()
    job = await house.submit(alice)
    async with account(house, alice, pace=Pace(0.01, 0.0, WITHIN_S)) as client:
        while await client.chunk() != event_stream.KEEP_ALIVE:
            """Missed changes are sent first."""
        store: MemoryFirestore = house.store
        for number in range(MAX_PENDING_JOBS + 1):
            store.edit("jobs", f"video_{number}", {**store.fields("jobs", job.id), "version": 1})
        assert await client.rest() == []
        assert client.reader.retry_ms == 1000


async def test_subscription_drops_superseded_changes() -> None:
    watch = Subscription()
    for _ in range(10 * MAX_PENDING_JOBS):
        watch.offer("video_a", None)
    assert await watch.take(0) == {"video_a": None}
    assert await watch.take(0) == {}
    watch.end()
    with pytest.raises(WatchEnded):
        await watch.take(0)
    watch.offer("video_b", None)
    with pytest.raises(WatchEnded):
        await watch.take(0)
