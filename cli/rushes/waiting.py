"""Waiting for a video's end: by its events, or by asking again and again where they do not come through."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import httpx2
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from rushes.api import Api
from rushes.exit_codes import Exit
from rushes.failure import Failure, Json
from rushes.output import Output

FINAL: Final = frozenset({"completed", "failed", "canceled"})
POLL_EVERY_S: Final = 2.0
# A stream that broke off as often without a word is not what this network lets through.
STREAMS_TRIED: Final = 2
# So long a server may be away while one waits; a deployment or a laptop's sleep is shorter.
AWAY_FOR_S: Final = 120.0


class Watcher(Protocol):
    """Receives the progress of the video."""

    def update(self, video: Json) -> None: ...


class Wait:
    """A wait for one video. `video` is what was last heard of it."""

    def __init__(self, api: Api, video: Json, timeout_s: float, watcher: Watcher) -> None:
        self._api = api
        self.video = video
        self._watcher = watcher
        self._deadline = time.monotonic() + timeout_s
        self._timeout_s = timeout_s
        self._last_id = ""
        self._heard_of = 0
        self._path = f"/v1/videos/{video['id']}"

    def until_final(self) -> Json:
        """The video once it has ended, however it did. Raises Failure: TIMEOUT, or that the server stays away."""
        silent = 0
        while self.video["status"] not in FINAL:
            self._check_time()
            if silent < STREAMS_TRIED:
                silent = 0 if self._follow() else silent + 1
            else:
                self._ask()
        return self.video

    def _follow(self) -> bool:
        """Follow one stream to its end; returns whether it sent any event."""
        before = self._heard_of
        try:
            asyncio.run(self._stream())
        except (httpx2.TransportError, TimeoutError):
            pass  # It is asked for again, or done without; the time is looked at in any case.
        except Failure:
            # No stream to be had is no reason to give up; what is wrong for good, asking will tell.
            return False
        return self._heard_of > before

    async def _stream(self) -> None:
        async with (
            asyncio.timeout(max(self._deadline - time.monotonic(), 0.0)),
            self._api.events(f"{self._path}/events", self._last_id) as source,
        ):
            if source is None:
                return
            async for event in source:
                self._last_id = event.id or self._last_id
                if event.event == "video":
                    self._heard(json.loads(event.data))

    def _ask(self) -> None:
        time.sleep(POLL_EVERY_S)
        away_since = time.monotonic()
        while True:
            try:
                self._heard(self._api.get(self._path))
                return
            except Failure as failure:
                away_s = time.monotonic() - away_since
                if failure.exit is not Exit.UNAVAILABLE or away_s > AWAY_FOR_S:
                    raise
                self._check_time()
                time.sleep(POLL_EVERY_S)

    def _heard(self, video: Json) -> None:
        self._heard_of += 1
        if video["version"] >= self.video["version"]:
            self.video = video
            self._watcher.update(video)

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline and self.video["status"] not in FINAL:
            message = f"{self.video['id']} is still {self.video['stage']} after {self._timeout_s:.0f} s; it continues."
            raise Failure(Exit.TIMEOUT, "TIMEOUT", message, how_to_go_on(self.video["id"]), document=self.video)


def how_to_go_on(video: str, out: str | None = None) -> str:
    wait = f"rushes wait {video}" + (f" -o {out}" if out else "")
    return f"Wait for it with {wait}, or cancel it with rushes cancel {video}"


class Lines:
    """One line per stage, without a terminal."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._stage = ""

    def update(self, video: Json) -> None:
        if video["stage"] != self._stage:
            self._stage = video["stage"]
            self._out.say(f"{video['id']} {self._stage}")


class Bar:
    """A bar that fills as the video gets on."""

    def __init__(self, progress: Progress, video: Json) -> None:
        self._progress = progress
        self._task = progress.add_task(video["stage"], total=100, completed=video["progress"])

    def update(self, video: Json) -> None:
        # A failed or canceled one is not full.
        self._progress.update(self._task, description=video["stage"], completed=video["progress"])


@contextmanager
def watching(out: Output, video: Json) -> Iterator[Watcher]:
    """Show how it gets on, on standard error."""
    if not out.errors.is_terminal:
        lines = Lines(out)
        lines.update(video)
        yield lines
        return
    columns = (TextColumn("{task.description:<11}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out.errors, transient=True) as progress:
        yield Bar(progress, video)
