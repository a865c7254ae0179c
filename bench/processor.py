"""CPU time per request, on the real servers of the local cloud.

Read from the functions' own processes (/proc, so on Linux): waiting costs nothing, and their start does not count.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from shared.api.routing import Function
from testing.cloud import Cloud, User
from testing.processes import Processes

USERS, VIDEOS_EACH, READS = 3, 3, 150
WARM_UP: Final = 20
QUICK_S, SLOW_S = 1.0, 12.0
VIDEO: Final = {"seconds": 8, "size": "1280x720"}
MODELS: Final = ("veo-3.1-fast", "omni-flash", "veo-3.1-fast")


@dataclass(frozen=True)
class Processor:
    """CPU seconds: of a request by function, and additionally for storing one video."""

    request_s: dict[Function, float]
    storing_s: float

    def seconds(self, function: Function, requests: float, stored: float) -> float:
        return requests * self.request_s[function] + (stored * self.storing_s if function == "poll" else 0.0)


def measured(directory: Path) -> Processor:
    """Start the local cloud, use it, and end it: a minute or two."""
    environ = {"SIGNUP_CREDITS": "100000", "PROVIDERS_MIN_SECONDS": str(QUICK_S), "PROVIDERS_MAX_SECONDS": str(QUICK_S)}
    with Cloud.started(directory, **environ) as cloud:
        return _Measuring(cloud).all()


class _Measuring:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._processes = Processes(cloud)
        self._users = [cloud.user() for _ in range(USERS)]

    def all(self) -> Processor:
        # Modules are imported and clients made by the first requests.
        finished = [user.finish("a paper boat", model=model, **VIDEO)["id"] for user, model in self._first()]
        user = self._users[0]

        def read() -> object:
            return user.call("GET", f"/v1/videos/{finished[0]}")

        def watch() -> object:
            return user.call("GET", f"/v1/videos/{finished[0]}/content", follow_redirects=False)

        history = self._each("history", read)
        stream = self._each("stream", watch)
        quick, submits = self._batch(QUICK_S)
        slow, _ = self._batch(SLOW_S)
        # Two batches with the same videos and different numbers of deliveries: what each of both takes.
        sides = np.array([[quick.deliveries, quick.videos], [slow.deliveries, slow.videos]], dtype=float)
        delivery, storing = np.linalg.solve(sides, np.array([quick.poll_s, slow.poll_s]))
        requests: dict[Function, float] = {
            "submit": submits,
            "poll": float(delivery),
            # Without the time in which the receiver is waited for, as much as a step.
            "deliver": float(delivery),
            "stream": stream,
            "history": history,
            # A sweep that finds nothing asks Firestore as often as two deliveries do.
            "cleanup": 2 * float(delivery),
        }
        return Processor(requests, float(storing))

    def _first(self) -> list[tuple[User, str]]:
        return list(zip(self._users, MODELS, strict=True))

    def _each(self, name: Function, request: Callable[[], object]) -> float:
        for _ in range(WARM_UP):
            request()
        before = self._spent_s(name)
        for _ in range(READS):
            request()
        return (self._spent_s(name) - before) / READS

    def _batch(self, takes_s: float) -> tuple[_Batch, float]:
        """All users make videos that take so long; what poll spent on them, and submit on each."""
        config = {"min_seconds": takes_s, "max_seconds": takes_s}
        answer = self._cloud.http.post(f"{self._cloud.session['providers']}/_config", json=config)
        assert answer.status_code == 200, answer.text
        time.sleep(1.0)
        poll_before, submit_before = self._spent_s("poll"), self._spent_s("submit")
        made = [
            (user, user.create("a paper boat", model=model, **VIDEO)["id"])
            for user in self._users
            for model in MODELS[:VIDEOS_EACH]
        ]
        submit_s = (self._spent_s("submit") - submit_before) / len(made)
        for user, job in made:
            user.wait(job)
        poll_s = self._spent_s("poll") - poll_before
        ids = {job for _, job in made}
        steps = [job.step for job in self._cloud.inside.records().jobs if job.id in ids]
        return _Batch(len(made), sum(steps) + len(steps), poll_s), submit_s

    def _spent_s(self, name: Function) -> float:
        """Processor seconds of the function's processes so far."""
        group = self._processes[name].pgid
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class _Batch:
    videos: int
    deliveries: int
    poll_s: float
