"""Live events as server-sent events, for one video or all videos of an account.

An event contains the latest state, not a difference: if a video changes faster than the client reads, the client gets
one event with its current state. `video` carries the video; `deleted` means it's gone. A client that reconnects with
Last-Event-ID gets everything newer, so it ends up with the latest state of every video. It may get some events twice
and can tell by `version`.

While a video is unfinished, it is also read once a minute. So if the database stream dies silently (a suspended
instance, a half-open connection; the emulator loses a commit made while it starts to listen), events are late by a
minute and not lost.

The caller is identified again twice a minute, as for a request. If a key was revoked or has expired, or the account was
disabled or deleted, the stream ends within a minute.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from shared.api import views
from shared.api.videos import DeletedVideo, ListVideosQuery
from shared.core.documents import Job, Status
from shared.core.errors import ApiError, Unavailable
from shared.jobs import queries
from shared.platform import log
from shared.platform.caching import Cache
from shared.platform.identity import Caller
from shared.platform.ports import CHANGES_SETTLE_IN, Services
from shared.platform.subscription import Subscription, WatchEnded
from shared.streaming.stream_places import Place, Places

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
KEEP_ALIVE = b": keep-alive\n\n"
# Milliseconds until the client reconnects.
RETRY = b"retry: 1000\n\n"
READY = '{"object":"events"}'
# Maximum age of the account and key for identifying again; with `Pace.identify_s`, less than a minute in total.
IDENTIFIED_BY = timedelta(seconds=25)
# A new client has usually just read the list; this covers changes made in between.
RECENT = timedelta(minutes=5)
PAGE_JOBS = 100
MAX_REMEMBERED_JOBS = 1_000
UNFINISHED = (Status.QUEUED, Status.IN_PROGRESS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POSITION = re.compile(r"(\d{1,16})-([A-Za-z0-9_-]{0,64})")
_VERSION = re.compile(r"\d{1,9}")


@dataclass(frozen=True)
class Pace:
    """Intervals in seconds: between progress updates, longest silence, longest stream, between reads of unfinished
    videos, and between identifications of the caller."""

    tick_s: float = 2.0
    keep_alive_s: float = 15.0
    longest_s: float = 600.0
    read_s: float = 60.0
    identify_s: float = 25.0


PACE = Pace()
PLACES = Places()


@dataclass(frozen=True, order=True)
class Position:
    """A client's position in an account's changes, which are ordered by time, then by job."""

    updated_at: datetime
    job: str = ""

    def __str__(self) -> str:
        return f"{(self.updated_at - _EPOCH) // timedelta(microseconds=1)}-{self.job}"

    @classmethod
    def of(cls, job: Job) -> Position:
        return cls(job.updated_at, job.id)

    @classmethod
    def parsed(cls, text: str | None, now: datetime) -> Position | None:
        """Parse a Last-Event-ID; None if we could not have issued it."""
        match = _POSITION.fullmatch(text or "")
        if match is None:
            return None
        return cls(min(_EPOCH + timedelta(microseconds=int(match[1])), now), match[2])


class EventStream(StreamingResponse):
    """The response that streams events; its headers prevent caching and buffering by proxies."""

    def __init__(self, events: AsyncGenerator[bytes, None], place: Place) -> None:
        super().__init__(events, headers=HEADERS, media_type=MEDIA_TYPE)
        self._events = events
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # If the client disconnects during an event, close the subscription now and not at garbage collection.
        # Release the place here too: a generator that never started releases nothing.
        with self._place:
            async with aclosing(self._events):
                await super().__call__(scope, receive, send)


Identify = Callable[[], Awaitable[object]]


async def of_video(
    services: Services,
    caller: Caller,
    identify: Identify,
    job_id: str,
    last: str | None,
    head: bool = False,
    pace: Pace = PACE,
) -> Response:
    """Stream the video's events until it has ended; `last` is the version that the client has.

    `identify` raises ApiError once the caller has no access any more. Raises ApiError TOO_MANY_STREAMS.

    Responds 204 if the client is up to date and shouldn't reconnect (as the HTML standard defines for EventSource).
    A deleted video is NOT_FOUND, except for a reconnecting client, which gets the event `deleted`.
    """
    known = int(last) if last and _VERSION.fullmatch(last) else None
    job = await queries.own_job(services, caller, job_id, deleted=known is not None)
    if job.final and job.deleted_at is None and known == job.version:
        return Response(status_code=204)
    if head:
        PLACES.check(caller)
        return Response(headers=HEADERS, media_type=MEDIA_TYPE)
    place = PLACES.take(caller)
    return EventStream(_video_events(services, place, identify, job, known, pace), place)


async def of_account(
    services: Services, caller: Caller, identify: Identify, last: str | None, head: bool = False, pace: Pace = PACE
) -> Response:
    """Stream events of all the account's videos, starting at the position `last`, or five minutes ago.

    `identify` as for one video. Raises ApiError TOO_MANY_STREAMS.
    """
    if head:
        PLACES.check(caller)
        return Response(headers=HEADERS, media_type=MEDIA_TYPE)
    place = PLACES.take(caller)
    return EventStream(_account_events(services, place, identify, caller, last, pace), place)


async def _video_events(
    services: Services, place: Place, identify: Identify, job: Job, known: int | None, pace: Pace
) -> AsyncGenerator[bytes, None]:
    client = _ClientState(services.clock, lambda job: str(job.version))
    if known is not None and known <= job.version:
        client.knows(job, known)

    async def read() -> AsyncIterator[Mapping[str, Job | None]]:
        yield {job.id: await services.firestore.get(Job, job.id)}

    with place, services.changes.watch_job(job.id) as watch:
        async for event in _relay(watch, client, pace, read, identify, lambda: not client.following):
            yield event


async def _account_events(
    services: Services, place: Place, identify: Identify, caller: Caller, last: str | None, pace: Pace
) -> AsyncGenerator[bytes, None]:
    now = services.clock()
    position = Position.parsed(last, now)
    cursor = _Cursor(position or Position(now - RECENT))
    client = _ClientState(services.clock, cursor.id_of)
    since = cursor.position.updated_at

    def read() -> AsyncIterator[Mapping[str, Job | None]]:
        nonlocal since
        earliest, since = since - CHANGES_SETTLE_IN, services.clock()
        return _changed(services, caller, earliest)

    with place, services.changes.watch_account(caller.tenant, caller.account) as watch:
        yield _event("ready", READY, str(cursor.position))
        async for job in _unfinished(services, caller, (Status.IN_PROGRESS,) if position else UNFINISHED):
            if position is not None:
                client.knows(job, job.version)
            for event in client.events({job.id: job}):
                yield event
        async for event in _relay(watch, client, pace, read, identify, lambda: False):
            yield event


async def _unfinished(services: Services, caller: Caller, statuses: Sequence[Status]) -> AsyncIterator[Job]:
    for status in statuses:
        query = ListVideosQuery(status=status, limit=PAGE_JOBS, order="asc")
        while True:
            jobs = await services.firestore.list_jobs(caller.tenant, caller.account, query)
            for job in jobs[:PAGE_JOBS]:
                yield job
            if len(jobs) <= PAGE_JOBS:
                break
            query = query.model_copy(update={"after": jobs[PAGE_JOBS - 1].id})


async def _changed(services: Services, caller: Caller, since: datetime) -> AsyncIterator[Mapping[str, Job | None]]:
    """Yield pages of the jobs that changed since then, earliest first."""
    after = None
    while True:
        jobs = await services.firestore.changed_jobs(caller.tenant, caller.account, since, after, PAGE_JOBS)
        yield {job.id: job for job in jobs}
        if len(jobs) < PAGE_JOBS:
            return
        after = jobs[-1]


async def _relay(
    watch: Subscription,
    client: _ClientState,
    pace: Pace,
    read: Callable[[], AsyncIterator[Mapping[str, Job | None]]],
    identify: Identify,
    ended: Callable[[], bool],
) -> AsyncGenerator[bytes, None]:
    """Yield events for the current state, changes and progress, until `ended` or the time limit.

    If the caller loses access, the stream just ends; reconnecting then fails with the reason.
    """
    # Read what was committed before the subscription started; later commits arrive through it.
    async for found in read():
        for event in client.events(found):
            yield event
    time = asyncio.get_running_loop().time
    over, tick, reading, spoke = time() + pace.longest_s, time() + pace.tick_s, time() + pace.read_s, time()
    identifying = time() + pace.identify_s
    while not ended():
        try:
            changes = await watch.take(max(min(tick, over) - time(), 0.0))
            if time() >= identifying:
                await identify()
                identifying = time() + pace.identify_s
            events = client.events(changes)
            if client.following and time() >= reading:
                events += [event async for found in read() for event in client.events(found)]
                reading = time() + pace.read_s
        except (WatchEnded, Unavailable):
            break
        except ApiError as refusal:
            log.info("stream_ended", code=refusal.code)
            return
        if time() >= tick:
            events += client.progress()
            tick = time() + pace.tick_s
            if not events and time() - spoke >= pace.keep_alive_s:
                events = [KEEP_ALIVE]
        for event in events:
            yield event
            spoke = time()
        if time() >= over:
            break
    if not ended():
        yield RETRY


class _Cursor:
    """The position of an account's stream. It only moves forward: an event from an earlier position has no id."""

    def __init__(self, position: Position) -> None:
        self.position = position

    def id_of(self, job: Job) -> str | None:
        position = Position.of(job)
        if position < self.position:
            return None
        self.position = position
        return str(position)


class _ClientState:
    """Tracks what one client was sent, and builds the events that it still needs."""

    def __init__(self, clock: Callable[[], datetime], id_of: Callable[[Job], str | None]) -> None:
        self._clock = clock
        self._id_of = id_of
        # A job that was dropped from this cache may be sent twice.
        self._versions: Cache[str, int] = Cache(MAX_REMEMBERED_JOBS)
        # Unfinished jobs, with the last progress sent.
        self._unfinished: dict[str, tuple[Job, int]] = {}

    @property
    def following(self) -> bool:
        """Whether any job that was sent is unfinished."""
        return bool(self._unfinished)

    def knows(self, job: Job, version: int) -> None:
        """Record a version that the client already has from an earlier stream."""
        self._versions.put(job.id, version)

    def events(self, changes: Mapping[str, Job | None]) -> list[bytes]:
        """Events with the latest states, earliest change first."""
        jobs = sorted((job for job in changes.values() if job is not None), key=Position.of)
        events = [self._latest(job) for job in jobs]
        events += [self._gone(id_, None) for id_, job in changes.items() if job is None]
        return [event for event in events if event is not None]

    def progress(self) -> list[bytes]:
        """Events for unfinished jobs whose progress has advanced without a change of the job."""
        now = self._clock()
        events = []
        for job, shown in list(self._unfinished.values()):
            video = views.video(job, now)
            if video.progress != shown:
                self._unfinished[job.id] = job, video.progress
                # Without an id, so that the client's position stays.
                events.append(_event("video", video.model_dump_json(), None))
        return events

    def _latest(self, job: Job) -> bytes | None:
        now = self._clock()
        known = self._versions.get(job.id, now)
        sent = known if known is not None else -1
        if job.deleted_at is not None:
            return self._gone(job.id, job) if sent < job.version else None
        video = views.video(job, now)
        if job.final:
            self._unfinished.pop(job.id, None)
        elif sent < job.version or job.id not in self._unfinished:
            self._unfinished[job.id] = job, video.progress if sent < job.version else -1
        if sent >= job.version:
            return None
        self._versions.put(job.id, job.version)
        return _event("video", video.model_dump_json(), self._id_of(job))

    def _gone(self, id_: str, job: Job | None) -> bytes:
        self._unfinished.pop(id_, None)
        if job is not None:
            self._versions.put(job.id, job.version)
        return _event("deleted", DeletedVideo(id=id_).model_dump_json(), self._id_of(job) if job else None)


def _event(name: str, data: str, id_: str | None) -> bytes:
    identified = f"id: {id_}\n" if id_ is not None else ""
    return f"event: {name}\n{identified}data: {data}\n\n".encode()
