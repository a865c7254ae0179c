"""Live events: changes of a video are sent as they happen, to everybody allowed to see them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx2
import pytest

from shared.streaming.stream_places import PER_KEY
from testing.cloud import Cloud, User
from tests.acceptance.test_bad_input import refused
from tests.sse import Event, Reader

WITHIN_S = 120.0
ORDER = ["waiting", "queued", "starting", "generating", "storing", "completed"]


@pytest.fixture(scope="module")
def user(cloud: Cloud) -> User:
    return cloud.user()


class Stream:
    """An open stream of events."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self.reader = Reader()
        self._events = self.reader.events(answer.iter_lines())

    def until(self, name: str, video: str, stage: str | None = None) -> list[Event]:
        """All events up to one of this name, about this video, and in this stage."""
        events: list[Event] = []
        deadline = time.monotonic() + WITHIN_S
        for event in self._events:
            events.append(event)
            if event.name == name and event.video == video and stage in (None, event.data.get("stage")):
                return events
            assert time.monotonic() < deadline, f"not told: {name} of {video}"
        raise AssertionError(f"the stream ended before {name} of {video}")

    def rest(self) -> list[Event]:
        return list(self._events)


@contextmanager
def listening(user: User, path: str, last: str | None = None) -> Iterator[Stream]:
    headers = {"Authorization": f"Bearer {user.token}"} | ({"Last-Event-ID": last} if last is not None else {})
    with user.cloud.http.stream("GET", f"{user.cloud.url}{path}", headers=headers, timeout=WITHIN_S) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        yield Stream(answer)


def in_order(events: list[Event], video: str) -> bool:
    """Whether the video's stages and versions only went forward, to its end."""
    told = [event for event in events if event.name == "video" and event.video == video]
    stages = [ORDER.index(event.stage) for event in told]
    versions = [event.version for event in told]
    progress = [event.data["progress"] for event in told]
    return all(values == sorted(values) for values in (stages, versions, progress)) and stages[-1] == len(ORDER) - 1


def test_video_stream_sends_every_stage_until_playable(user: User) -> None:
    job = user.create("an event stream", seconds=4, model="veo-3.1-fast")["id"]
    with listening(user, f"/v1/videos/{job}/events") as stream:
        events = stream.rest()
    assert in_order(events, job)
    assert {event.name for event in events} == {"video"}
    assert all(event.id == str(event.version) for event in events if event.data["progress"] in (0, 100))
    assert events[-1].data == user.get(job)
    known = user.call("GET", f"/v1/videos/{job}/events", headers={"Last-Event-ID": events[-1].id})
    assert known.status_code == 204
    with listening(user, f"/v1/videos/{job}/events", last="1") as stream:
        assert [event.version for event in stream.rest()] == [events[-1].version]


def test_two_tabs_receive_the_same_starting_at_once(user: User) -> None:
    with listening(user, "/v1/events") as one, listening(user, "/v1/events") as other:
        job = user.create("two tabs", seconds=4)["id"]
        first = one.until("video", job)
        assert first[0].name == "ready"
        # Nothing on the way waits for more: the job is still on its way when its first event is here.
        assert first[-1].stage != "completed"
        events = first + one.until("video", job, "completed")
        assert in_order(events, job)
        assert in_order(other.until("video", job, "completed"), job)


def test_reconnect_receives_what_was_missed_including_deletions(user: User) -> None:
    gone = user.create("it will be deleted", seconds=4)["id"]
    user.wait(gone)
    with listening(user, "/v1/events") as stream:
        kept = user.create("it happens in between", seconds=4)["id"]
        stream.until("video", kept)
        last = stream.reader.last_id
    user.wait(kept)
    assert user.call("DELETE", f"/v1/videos/{gone}").status_code == 200
    with listening(user, "/v1/events", last) as stream:
        latest: dict[str, Event] = {}
        while len(latest) < 2 or latest[kept].stage != "completed":
            latest |= {event.video: event for event in stream.until("deleted", gone) if event.name != "ready"}
    assert latest[gone].data == {"id": gone, "object": "video.deleted", "deleted": True}


def test_deletion_is_sent_to_listeners(user: User) -> None:
    job = user.finish("a short life", seconds=4)["id"]
    with listening(user, "/v1/events") as stream:
        stream.until("video", job)
        user.call("DELETE", f"/v1/videos/{job}")
        assert stream.until("deleted", job)[-1].data["deleted"] is True
    refused(user.call("GET", f"/v1/videos/{job}/events"), 404, "NOT_FOUND")
    with listening(user, f"/v1/videos/{job}/events", last="1") as stream:
        assert [event.name for event in stream.rest()] == ["deleted"]


def test_another_user_receives_nothing(cloud: Cloud, user: User) -> None:
    other = cloud.user()
    with listening(other, "/v1/events") as stream:
        job = user.create("private", seconds=4)["id"]
        refused(other.call("GET", f"/v1/videos/{job}/events"), 404, "NOT_FOUND")
        refused(other.call("GET", f"/v1/videos/{job}/events", headers={"Last-Event-ID": "1"}), 404, "NOT_FOUND")
        user.wait(job)
        own = other.create("mine", seconds=4)["id"]
        told = stream.until("video", own, "completed")
    assert {event.video for event in told if event.name != "ready"} == {own}


def test_stream_needs_a_token(cloud: Cloud) -> None:
    for path in ("/v1/events", "/v1/videos/video_0123456789012345678901/events"):
        refused(cloud.http.get(f"{cloud.url}{path}"), 401, "UNAUTHENTICATED")


def test_page_may_send_head_to_a_stream(user: User) -> None:
    answer = user.call("HEAD", "/v1/events")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_many_clients_come_and_go_without_leaks(user: User) -> None:
    """More streams one after another than an account may have at once."""

    deadline = time.monotonic() + 4 * WITHIN_S

    def look(_: int) -> None:
        # The function learns of a disconnect a moment after it happens.
        while True:
            try:
                with listening(user, "/v1/events") as stream:
                    next(stream._events)
            except AssertionError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
                continue
            return

    for _ in range(10):
        threads = [threading.Thread(target=look, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WITHIN_S)
    look(0)


def test_key_has_a_stream_limit_below_its_accounts(user: User) -> None:
    key = user.call("POST", "/v1/api-keys", json={"name": "listener", "scope": "read"}).json()
    with_key = User(user.cloud, key["key"])
    with ExitStack() as streams:
        for _ in range(PER_KEY):
            streams.enter_context(listening(with_key, "/v1/events"))
        full = with_key.call("GET", "/v1/events")
        refused(full, 429, "TOO_MANY_STREAMS")
        assert (full.headers["retry-after"], full.headers["x-should-retry"]) == ("10", "true")
        streams.enter_context(listening(user, "/v1/events"))
