"""Histories of jobs as one release wrote them, so that later releases can prove they continue from there.

`python -m testing.faults.histories` records the lives of this release; what older releases recorded is never written
again. A file holds what was committed, commit by commit, with the event that led to it.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

from pydantic import TypeAdapter

from shared.core import events, lifecycle
from shared.core.documents import Account, Document, Job, LiveSettings, Stage, Transaction
from shared.core.events import Event
from shared.core.lifecycle import Change
from shared.jobs import queries, transitions
from testing.faults.effects import Fault, Point
from testing.faults.provider import FATES, OK, Fate
from testing.faults.schedule import ANN, Driver, Schedule
from testing.faults.virtual_time import seconds_since_epoch

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "tests" / "fixtures" / "histories"
KINDS: dict[str, type[Document]] = {kind.collection: kind for kind in (Job, Account, Transaction)}
FATE_OF_NAME = {fate.name: fate for fate in FATES}
# Rewritten with each commit.
NOT_COMPARED = frozenset({"change_id"})
TASK_STEP = re.compile(r".{22}-\d+")
Json = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One commit: when, because of which event (None: the submission, or the account's opening), and what it wrote.

    `config` is what the live settings, as the event was decided under them, have that is no default.
    """

    now: datetime
    event: Event | None
    documents: tuple[Document, ...]
    config: Json = field(default_factory=dict)

    @property
    def job(self) -> Job | None:
        return next((document for document in self.documents if isinstance(document, Job)), None)


@dataclass
class History:
    """One life."""

    life: str
    release: str
    model: str
    fate: Fate
    config: Json
    entries: list[Entry] = field(default_factory=list)


# --- recording ---


def _refusal(fault: Fault, name: str, number: int = 1) -> Json:
    return {"plan": {Point(name, number): fault}}


LIVES: dict[str, tuple[str, Fate, Json]] = {
    **{f"veo {fate.name}": ("veo-3.1-fast", fate, {}) for fate in FATES},
    "omni ok": ("omni-flash", OK, {}),
    "omni never ends": ("omni-flash", FATE_OF_NAME["never ends"], {}),
    "veo adopted": ("veo-3.1-fast", OK, _refusal(Fault.DIES_AFTER, "provider.create")),
    "veo adopted by its name": ("veo-3.1-fast", OK, _refusal(Fault.FROZEN, "provider.create")),
    "omni uncertain": ("omni-flash", OK, _refusal(Fault.DIES_AFTER, "provider.create")),
    "omni restarted": (
        "omni-flash",
        OK,
        {**_refusal(Fault.DIES_BEFORE, "provider.create"), "config": {"uncertain_policy": "restart_once"}},
    ),
    "veo swept": ("veo-3.1-fast", OK, _refusal(Fault.PURGED, "job.read", 2)),
    "veo canceled at once": ("veo-3.1-fast", OK, _refusal(Fault.CANCELED, "job.read")),
    "veo canceled while generating": ("veo-3.1-fast", OK, _refusal(Fault.CANCELED, "provider.poll")),
    "omni canceled while storing": ("omni-flash", OK, _refusal(Fault.CANCELED, "video.use")),
    "omni stored by another": ("omni-flash", OK, _refusal(Fault.DIES_AFTER, "video.write")),
    "omni refused by the bucket": ("omni-flash", OK, _refusal(Fault.REFUSED, "video.write")),
    "omni waited": ("omni-flash", OK, {"waits": True}),
    "veo deleted": ("veo-3.1-fast", OK, {"deleted": True}),
}


def record(life: str) -> History:
    """Play that life, and write down each of its commits."""
    model, fate, how = LIVES[life]
    schedule = Schedule(how.get("plan", {}), fate, model, config=how.get("config", {}), waits=how.get("waits", False))
    driver = Driver(schedule, lifecycle.TIDY_FOR_S)
    history = History(life, release(), model, fate, dict(schedule.config))
    decided: dict[tuple[str, int], tuple[datetime, Event, Json]] = {}
    watched = driver.world.watch.committed

    def decide(job: Job, account: Account | None, event: Event, now: datetime, config: LiveSettings) -> Change | None:
        change = lifecycle.decide(job, account, event, now, config)
        if change is not None:
            decided[job.id, change.job.version] = now, event, config.model_dump(mode="json", exclude_defaults=True)
        return change

    def committed(documents: Sequence[Document]) -> None:
        watched(documents)
        if not any(document.collection in KINDS for document in documents):
            # The settings that a process found valid are no part of a life.
            return
        job = next((document for document in documents if isinstance(document, Job)), None)
        unknown = driver.world.clock(), None, {}
        now, event, live = decided.get((job.id, job.version), unknown) if job else unknown
        history.entries.append(Entry(now, event, tuple(documents), live))

    async def main() -> None:
        await driver.live()
        if how.get("deleted"):
            await driver.go_on(lambda: _delete(driver))

    with (
        mock.patch.object(driver.world.watch, "committed", committed),
        mock.patch.object(transitions, "decide", decide),
    ):
        driver.world.run(main())
    return history


async def _delete(driver: Driver) -> None:
    world = driver.world
    [job] = world.watch.jobs
    answer = await world.call(
        "client", world.new_process(), lambda: queries.delete(world.services, ANN, job), patience_s=60.0
    )
    assert answer.ok, answer


def release() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


# --- files ---


def save(history: History) -> Path:
    """Write the life into the directory of its release."""
    directory = DIRECTORY / history.release
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{history.life.replace(' ', '-')}.json"
    head = {"life": history.life, "release": history.release, "model": history.model, "fate": history.fate.name}
    lines = [json.dumps({**head, "config": history.config})]
    lines += [json.dumps(_entry_to_json(entry), sort_keys=True) for entry in history.entries]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    return path


def load(path: Path) -> History:
    head, *entries = json.loads(path.read_text())
    history = History(head["life"], head["release"], head["model"], FATE_OF_NAME[head["fate"]], head["config"])
    history.entries = [_entry_from_json(entry) for entry in entries]
    return history


def recorded() -> list[Path]:
    """The lives of all releases."""
    return sorted(DIRECTORY.glob("*/*.json"))


def _entry_to_json(entry: Entry) -> Json:
    event = None if entry.event is None else {"name": type(entry.event).__name__, **_event_to_json(entry.event)}
    documents = [
        {"collection": document.collection, **document.model_dump(mode="json")} for document in entry.documents
    ]
    return {"now": entry.now.isoformat(), "event": event, "config": entry.config, "documents": documents}


def _entry_from_json(saved: Json) -> Entry:
    documents = tuple(KINDS[fields["collection"]].model_validate(fields) for fields in saved["documents"])
    now = datetime.fromisoformat(saved["now"])
    return Entry(now, _event_from_json(saved["event"]), documents, saved["config"])


def _event_to_json(event: Event) -> Json:
    fields: Json = TypeAdapter(type(event)).dump_python(event, mode="json")
    return fields


def _event_from_json(saved: Json | None) -> Event | None:
    if saved is None:
        return None
    fields = dict(saved)
    kind: type[Event] = getattr(events, str(fields.pop("name")))
    return TypeAdapter(kind).validate_python(fields)


# --- what a later release must be able to do ---


def replay(history: History) -> Iterator[tuple[Entry, list[str]]]:
    """Each recorded event, decided on again from the documents before it, and in which fields it came out otherwise."""
    latest: dict[str, Document] = {}
    for entry in history.entries:
        if entry.event is not None:
            config = LiveSettings.model_validate(entry.config)
            assert entry.job is not None
            before, account = latest[entry.job.id], latest[entry.job.account]
            assert isinstance(before, Job)
            assert isinstance(account, Account)
            change = lifecycle.decide(before, account, entry.event, entry.now, config)
            yield entry, ["was not heard"] if change is None else _differences(entry.documents, change.documents)
        latest.update({document.id: document for document in entry.documents})


def _differences(recorded_: Sequence[Document], now: Sequence[Document]) -> list[str]:
    saved = {document.id: _comparable(document.model_dump(mode="json", exclude_unset=True)) for document in recorded_}
    made = {document.id: _comparable(document.model_dump(mode="json")) for document in now}
    found = [f"documents {sorted(made)} instead of {sorted(saved)}"] if set(made) != set(saved) else []
    for id_ in saved.keys() & made.keys():
        found += [
            f"{id_}.{name} is {made[id_].get(name)!r} instead of {value!r}"
            for name, value in saved[id_].items()
            if name not in NOT_COMPARED and value != made[id_].get(name)
        ]
    return found


def _comparable(fields: Json) -> Json:
    """The fields with the name of a task up to its step: what follows is of the commit, as the change_id is."""
    if "task" not in fields:
        return fields
    step = TASK_STEP.match(fields["task"]["name"])
    return {**fields, "task": {**fields["task"], "name": step and step[0]}}


def resume(history: History, entry: int, with_task: bool) -> Job:
    """Go on from the documents after that entry, under the present code, to the end; raises AssertionError.

    `with_task`: the job's task is still in the queue; otherwise the sweeper must find it.
    """
    schedule = Schedule(fate=history.fate, model=history.model, config=history.config)
    driver = Driver(schedule, lifecycle.TIDY_FOR_S)
    world = driver.world
    world.loop.begin_at(history.entries[entry].now)
    latest = {document.id: document for each in history.entries[: entry + 1] for document in each.documents}
    [job] = [document for document in latest.values() if isinstance(document, Job)]

    async def begin() -> None:
        await world.store.commit(list(latest.values()))
        for known in _operations(history, entry):
            began_s = seconds_since_epoch(known.attempt_started_at or known.created_at)
            assert known.operation is not None
            world.provider.accept(known, known.prefix, known.operation, began_s)
        world.provider.calls[job.id] = len(history.fate.refusals if job.attempt else job.rejected_by)
        if with_task and job.due_at is not None:
            await world.queue.create(lifecycle.current_task(job))

    world.watch.resumed = True
    world.run(driver.go_on(begin))
    # What an earlier run stored is not in this one's bucket.
    world.check(LiveSettings.model_validate(history.config), with_files=job.stage is not Stage.COMPLETED)
    [ended] = world.watch.jobs.values()
    assert ended.final, f"it ended in {ended.stage}"
    return ended


def _operations(history: History, until: int) -> list[Job]:
    """The job as it began each generation that the provider knows by then."""
    known: dict[str, Job] = {}
    for entry in history.entries[: until + 1]:
        if entry.job is not None and entry.job.operation is not None:
            known.setdefault(entry.job.operation, entry.job)
    return list(known.values())


def main() -> int:
    """Record all lives of this release."""
    for life in LIVES:
        print(save(record(life)).relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
