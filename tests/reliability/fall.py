"""The worst minute: fifty jobs are in flight, every queue is emptied, and every function process is killed.

Only the sweeper can put that back, and it waits a minute before it believes that a job has fallen. So this is played
beside the other tests, on a cloud of its own, and told afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shared.api.routing import FUNCTIONS
from shared.core.catalog import MODELS
from shared.core.documents import Job, Stage
from testing.cloud import Cloud, User
from testing.console import GENERATE_QUEUES, Console
from testing.invariants import Records
from testing.processes import Processes

SWEEP_EVERY_S = 2.0
GENERATING = 25
QUEUED = 25
LATE = 9
ACTIVE_LIMIT = 3
WAIT_S = 240.0
LOOK_EVERY_S = 0.25

LATE_MODEL = "veo-3.1-lite"
LATE_QUEUE = MODELS[LATE_MODEL].queue
FALLING_QUEUES = (*(queue for queue in GENERATE_QUEUES if queue != LATE_QUEUE), "poll")
# The first must still be generating when the last has begun, on a slow machine too.
# Neither the provider nor the bucket says when it is done, so that nothing but the sweeper can bring it back.
SILENT = "a heron takes off [slow 60s] [lost webhook]"
SMALL_OMNI = {"model": "omni-flash", "seconds": 3, "resolution": "360p"}
SMALL_VEO = {"seconds": 4, "size": "1280x720"}


@dataclass(frozen=True)
class Fall:
    """What happened: the records at the end, and the ids of the jobs by what they were doing at the crash."""

    at: datetime
    generating: tuple[str, ...]
    queued: tuple[str, ...]
    late: tuple[str, ...]
    late_tasks: tuple[str, ...]
    records: Records
    read: dict[str, bytes | None]
    sweeps: str

    def jobs(self, ids: tuple[str, ...]) -> list[Job]:
        by_id = {job.id: job for job in self.records.jobs}
        return [by_id[id_] for id_ in ids]


def play(directory: Path) -> Fall:
    """Start a cloud, let everything fall, and wait until all has ended that was not left waiting on purpose."""
    # Only the Gemini API's generations go unnoticed when their events are lost.
    with Cloud.started(directory, sweep_every_s=SWEEP_EVERY_S, OMNI_PROVIDER="gemini") as cloud:
        console = Console(cloud)
        try:
            return _play(cloud, console, Processes(cloud))
        finally:
            console.close()


def _play(cloud: Cloud, console: Console, processes: Processes) -> Fall:
    console.pause(GENERATE_QUEUES)
    users = [cloud.user() for _ in range(-(-(GENERATING + QUEUED + LATE) // ACTIVE_LIMIT))]
    late = _submit(users, LATE, "a slow queue", model=LATE_MODEL, **SMALL_VEO)
    generating = _submit(users, GENERATING, SILENT, **SMALL_OMNI)
    # Veo's own queues hold the rest, so that no job is in the middle of a start.
    queued = [
        job
        for model, count in (("veo-3.1", QUEUED // 2), ("veo-3.1-fast", QUEUED - QUEUED // 2))
        for job in _submit(users, count, "a boat in the rain", model=model, **SMALL_VEO)
    ]

    def all_generate() -> bool:
        # Again and again: a delivery that met a busy function waits for its next one in a queue that rests.
        console.hurry([MODELS["omni-flash"].queue])
        return all(job.stage is Stage.GENERATING for job in console.jobs(generating))

    _wait(all_generate, "all to be generating")
    fell_at = datetime.now(UTC)
    console.purge(FALLING_QUEUES)
    victims = processes.kill(FUNCTIONS)
    for name, victim in victims.items():
        processes.wait_for_successor(name, victim)
    # A step in progress when its queue was purged may still have made the next one's task.
    console.purge(FALLING_QUEUES)
    console.resume(FALLING_QUEUES)
    _wait(lambda: all(job.final for job in console.jobs([*generating, *queued])), "all to have ended")
    records = cloud.inside.records()
    objects = [output.object for job in records.jobs for output in job.outputs if output.object]
    posters = [output.poster for job in records.jobs for output in job.outputs if output.poster]
    return Fall(
        at=fell_at,
        generating=tuple(generating),
        queued=tuple(queued),
        late=tuple(late),
        late_tasks=tuple(console.tasks(LATE_QUEUE)),
        records=records,
        read={name: cloud.inside.read(name) for name in (*objects, *posters)},
        sweeps=processes["scheduler"].log.read_text(),
    )


def _submit(users: list[User], count: int, prompt: str, **body: object) -> list[str]:
    """Jobs of the first users that may still start one."""
    made = []
    for _ in range(count):
        made.append(users[0].create(prompt, **body)["id"])
        users.append(users.pop(0))
    return made


def _wait(until: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not until():
        assert time.monotonic() < deadline, f"waited {WAIT_S:g} s for {what}"
        time.sleep(LOOK_EVERY_S)
