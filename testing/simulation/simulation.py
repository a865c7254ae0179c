"""One random schedule: five users and some twenty jobs on one virtual cloud, and one seed that decides everything."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from local.memory.queue import Entry
from shared.api.videos import CreateVideo
from shared.core import ledger, lifecycle
from shared.core.documents import Account, Document, Job, LiveSettings, Stage
from shared.core.events import Event, StepEvent, Stored, StoringFailed
from shared.core.lifecycle import Change
from shared.gateways.live_settings import StoredLiveSettings
from shared.jobs import queries, transitions
from shared.platform.identity import Caller
from testing.faults.effects import Process
from testing.faults.gateways import Posted
from testing.faults.provider import CORRUPT_ONCE, OK, Fate, fates_of
from testing.faults.schedule import WEBHOOK
from testing.faults.virtual_time import Alarm, seconds_since_epoch
from testing.faults.watch import Watch
from testing.faults.world import SWEEP_EVERY_S, Answer, World
from testing.simulation.history import History
from testing.simulation.random_choices import RandomChoices

USERS = 5
JOBS_OF_A_USER = 4
CREDITS = 300
PROCESSES = 3
MODELS = ("veo-3.1-fast", "veo-3.1-lite", "omni-flash")
CLIENT_TRIES = 60
# Nothing takes longer than watching abandoned generations for a day, after the jobs themselves.
LONGEST_S = 60 * 3_600.0
MISHAPS_UNTIL_S = 3_600.0
RARE_FATES_SHARE = 0.35

MAY_WAIT: dict[str, Any] = {"plans": {"default": {"may_wait": True, "active_jobs_limit": 2}}}
POLICY: dict[str, Any] = {"uncertain_policy": "restart_once"}
VALID_EDITS: Sequence[dict[str, Any]] = (
    {"credits_per_second": 5},
    {"credits_per_second": 20, "credits_per_second_by_model": {"omni-flash": 7}},
    {"active_jobs_limit": 1},
    {"active_jobs_limit": 5},
    {"generation_timeout_s": 120},
    {"storing_timeout_s": 60},
    {"queue_timeout_s": 120},
    POLICY,
    {"cancel_refund": "none"},
    {"cancel_refund": "full"},
    {"cancel_refund": "full", "refunded_starts_per_day": 1},
    {"enabled": False, "message": "back at noon"},
    {"rollout_percent": 50},
    {"retention_days": 1},
    MAY_WAIT,
    {"daily_credits": 150},
    {"tenant_daily_credits": {"default": 500}},
    {},
)
INVALID_EDITS: Sequence[dict[str, Any]] = (
    {"credits_per_second": -1},
    {"active_jobs_limit": "many"},
    {"uncertain_policy": "never"},
    {"generation_timeout_s": None},
    {"enabled": 3.7},
    {"retention_days": {"days": 3}},
)


class Failed(AssertionError):  # noqa: N818
    """A promise was broken in a random schedule; the message begins with the line that replays it."""


@dataclass(frozen=True)
class Seen:
    """What one schedule did, and which rare branches it reached."""

    seed: int
    jobs: int
    commits: int
    reached: Counter[str]
    crashes: Counter[str]
    recoveries_s: list[float]
    extra_starts: dict[str, int]


def simulate(seed: int) -> Seen:
    """Play the schedule of that seed to its end. Raises Failed."""
    simulation = Simulation(seed)
    try:
        with mock.patch.object(transitions, "decide", simulation.decide):
            simulation.world.run(simulation.live())
        return simulation.judged()
    except AssertionError as error:
        raise Failed(f"python -m testing.simulation --seed {seed}\n    {error}") from error


class RecordingWatch(Watch):
    """A watch that writes the history too."""

    history: History

    def committed(self, documents: Sequence[Document]) -> None:
        self.history.committed(documents)
        super().committed(documents)


class Simulation:
    """Users, an administrator, a queue that misbehaves and a scheduler, on one world."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.choices = RandomChoices(seed)
        self.random = self.choices.random
        self.history = History()
        watch = RecordingWatch()
        watch.history = self.history
        self.world = World(self.choices, self._fate, seed, watch=watch)
        self.world.process_for_event = self._process  # type: ignore[method-assign]
        self.world.config_of = self._config_of  # type: ignore[method-assign]
        self.reached = self.choices.reached
        self._fates: dict[str, Fate] = {}
        self._processes = [self.world.new_process() for _ in range(PROCESSES)]
        self._changed = Alarm(self.world.loop)
        self._config_by_process: dict[Process, StoredLiveSettings] = {}
        self._configs: list[LiveSettings] = [LiveSettings()]

    # --- what is drawn ---

    def _fate(self, job: Job) -> Fate:
        fate = self._fates.get(job.id)
        if fate is None:
            possible = [each for each in (*fates_of(job.request.model), CORRUPT_ONCE) if each.count == 1]
            fate = self.random.choice(possible) if self.choices.chance(RARE_FATES_SHARE) else OK
            filtered = self.random.randrange(2) if job.request.count == 2 else 0
            takes_s = self.random.uniform(10.0, 90.0) if fate.takes_s == OK.takes_s else fate.takes_s
            fate = self._fates[job.id] = replace(fate, count=job.request.count, filtered=filtered, takes_s=takes_s)
        return fate

    def _process(self) -> Process:
        """One of the instances that live; a dead one has been replaced."""
        index = self.random.randrange(PROCESSES)
        if self._processes[index].dead:
            self._processes[index] = self.world.new_process()
        return self._processes[index]

    def _config_of(self, process: Process) -> StoredLiveSettings:
        """Each instance has read the settings at another time."""
        if process not in self._config_by_process:
            self._config_by_process[process] = self.world.new_config()
        return self._config_by_process[process]

    # --- everything that runs ---

    async def live(self) -> None:
        world = self.world
        world.queue.on_change = self._changed.ring
        callers = [await self._open(f"user{number}") for number in range(USERS)]
        clients = [world.loop.create_task(self._client(caller)) for caller in callers]
        beside = [world.loop.create_task(each) for each in (self._dispatch(), self._administer(), self._purge())]
        while not (world.idle and all(client.done() for client in clients)):
            await asyncio.sleep(SWEEP_EVERY_S)
            self._sweep()
            self.choices.calm = world.loop.time() > MISHAPS_UNTIL_S
            assert world.loop.time() < LONGEST_S, "not ended: {list(world.watch.due.values())}"
            for task in (*clients, *beside):
                if task.done():
                    task.result()
        for task in beside:
            task.cancel()

    async def _open(self, name: str) -> Caller:
        now = self.world.clock()
        fresh = Account(id=name, issuer="i", sub=name, tenant="default", created_at=now)
        account, entry = ledger.post(fresh, f"{name}-signup", "signup", CREDITS, "Credits", now)
        await self.world.store.commit([account, entry])
        return Caller(name, "default", "user", "default", None)

    async def _dispatch(self) -> None:
        queue = self.world.queue
        while True:
            for entry in queue.take():
                self._go(self._deliver(entry))
            await self._changed.wait(queue.wait_s())

    def _go(self, work: Coroutine[Any, Any, Any]) -> None:
        running = self.world.loop.create_task(work)
        self.world.runs.add(running)
        running.add_done_callback(self.world.runs.discard)

    async def _deliver(self, entry: Entry) -> None:
        calm = self.choices.calm
        if not calm and self.choices.chance(0.05):
            self.reached["delivered late"] += 1
            await asyncio.sleep(self.random.uniform(1.0, 200.0))
        if not calm and self.choices.chance(0.08):
            self.reached["delivered twice at once"] += 1
            self._go(self.world.deliver(entry.task, self._process()))
        await self.world.deliver_entry(entry, self._process())
        if not calm and self.choices.chance(0.08):
            self.reached["delivered again later"] += 1
            await asyncio.sleep(self.random.uniform(0.0, 300.0))
            await self.world.deliver(entry.task, self._process())

    def _sweep(self) -> None:
        if self.world.something_is_overdue():
            for _ in range(2 if self.choices.chance(0.2) else 1):
                self._go(self.world.sweep(self._process()))

    async def _purge(self) -> None:
        if self.choices.chance(0.4):
            await asyncio.sleep(self.random.uniform(1.0, 300.0))
            self.reached["queue purged"] += bool(self.world.queue.purge(self.random.choice((None, "poll"))))

    async def _administer(self) -> None:
        """Edit the live settings at random, some of the edits not valid; the last one is none at all."""
        if self.choices.chance(0.3):
            self._edit(MAY_WAIT)
        for _ in range(self.random.choice((0, 0, 1, 2, 4))):
            await asyncio.sleep(self.random.uniform(0.0, 120.0))
            valid = self.choices.chance(0.7)
            fields = self.random.choice(VALID_EDITS if valid else INVALID_EDITS)
            self._edit(fields)
            if not valid:
                self.reached["settings that are not valid"] += 1
        await asyncio.sleep(self.random.uniform(0.0, 120.0))
        if self.choices.chance(0.3):
            self._edit(POLICY)
        await asyncio.sleep(MISHAPS_UNTIL_S)
        self._edit({})

    def _edit(self, fields: dict[str, Any]) -> None:
        self.world.store.edit_config("video", fields)
        if fields in VALID_EDITS:
            self._configs.append(LiveSettings.model_validate(fields))

    # --- a user ---

    async def _client(self, caller: Caller) -> None:
        for number in range(JOBS_OF_A_USER):
            await asyncio.sleep(self.random.expovariate(1 / 30.0))
            body = self._body(f"film {number}")
            key = f"key{number}" if self.choices.chance(0.9) else None
            job_id = await self._submit(caller, body, key)
            if job_id is None:
                continue
            if key is not None and self.choices.chance(0.1):
                await self._submit_once(caller, self._body("another film"), key)
            self._go(self._follow(caller, job_id))

    def _body(self, prompt: str) -> CreateVideo:
        model = self.random.choice(MODELS)
        on_limit = self.random.choice(("fail", "fail", "wait"))
        webhook_url = WEBHOOK if self.choices.chance(0.3) else None
        if model == "omni-flash":
            return CreateVideo(
                prompt=prompt, model=model, seconds=3, size="640x360", on_limit=on_limit, webhook_url=webhook_url
            )
        count = self.random.choice((1, 1, 1, 2))
        failover = self.random.random() < 0.3
        return CreateVideo(
            prompt=prompt,
            model=model,
            seconds=4,
            count=count,
            on_limit=on_limit,
            webhook_url=webhook_url,
            failover=failover,
        )

    async def _submit(self, caller: Caller, body: CreateVideo, key: str | None) -> str | None:
        """The id of the job; None if there is none or the outcome is unknown."""
        for tries in range(CLIENT_TRIES):
            answer = await self._submit_once(caller, body, key)
            if answer.ok:
                job: Job = answer.value.job
                return job.id
            code = answer.error.code if answer.error else None
            if code in ("INSUFFICIENT_CREDITS", "DAILY_LIMIT", "IDEMPOTENCY_KEY_REUSED", "GONE"):
                return None
            if key is None and (answer.unknown or code == "UNAVAILABLE"):
                return None
            if tries > 4 and code in ("TOO_MANY_ACTIVE_JOBS", "GENERATION_DISABLED"):
                return None
            await asyncio.sleep(self.random.uniform(1.0, 30.0))
        return None

    async def _submit_once(self, caller: Caller, body: CreateVideo, key: str | None) -> Answer:
        call = self.history.begin("submit", caller.account, key)
        answer = self.history.end(call, await self.world.submit(caller, body, key, self._process()))
        if answer.ok:
            call.job = answer.value.job.id
        return answer

    async def _follow(self, caller: Caller, job_id: str) -> None:
        """Look at it now and then; perhaps cancel it, perhaps delete it."""
        world = self.world
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(self.random.uniform(0.0, 60.0))
            await self._ask("get", caller, job_id, lambda: queries.own_job(world.services, caller, job_id))
        await self._ask("account", caller, None, lambda: queries.own_account(world.services, caller))
        if self.choices.chance(0.15):
            await asyncio.sleep(self.random.uniform(0.0, 60.0))
            call = self.history.begin("cancel", caller.account, job=job_id)
            self.history.end(call, await world.cancel(caller, job_id, self._process()))
        if self.choices.chance(0.2):
            await asyncio.sleep(self.random.uniform(0.0, 300.0))
            await self._ask("delete", caller, job_id, lambda: queries.delete(world.services, caller, job_id))

    async def _ask(self, op: str, caller: Caller, job: str | None, handler: Callable[[], Awaitable[Any]]) -> None:
        call = self.history.begin(op, caller.account, job=job)
        self.history.end(call, await self.world.call("client", self._process(), handler, 60.0))

    # --- what is noticed ---

    def decide(self, job: Job, account: Account | None, event: Event, now: Any, config: LiveSettings) -> Change | None:
        """The core's own decision; what it did not hear is counted."""
        change = lifecycle.decide(job, account, event, now, config)
        if change is None:
            if isinstance(event, StepEvent) and event.step != job.step:
                self.reached["stale step"] += 1
            if isinstance(event, (Stored, StoringFailed)) and (job.lease is None or job.lease.holder != event.holder):
                self.reached["lease lost while storing"] += 1
        return change

    def judged(self) -> Seen:
        """Everything that must hold in the end; raises AssertionError."""
        world, watch = self.world, self.world.watch
        world.check()
        self.history.check(self._configs)
        for job in watch.jobs.values():
            assert job.final, f"{job.id} is {job.stage}"
        extra = self._check_starts()
        self._check_leftovers()
        self._check_told()
        reached = self.reached + Counter({name: world.signals[name] for name in SIGNALS if world.signals[name]})
        reached["restarted"] += self.choices.names["restarted.commit"]
        reached["waited and entered"] += self.choices.names["entered.commit"]
        reached["webhook repeated"] += len(world.posted) - len(set(world.posted))
        return Seen(self.seed, len(watch.jobs), watch.commits, reached, self.choices.crashes, self._recoveries(), extra)

    def _check_starts(self) -> dict[str, int]:
        """No job is charged twice, unless the settings allowed it once."""
        allowed = 2 if any(config.uncertain_policy == "restart_once" for config in self._configs) else 1
        extra = 0
        for job in self.world.watch.jobs.values():
            paid = sum(each.job.id == job.id for each in self.world.provider.generations.values())
            assert paid <= allowed, f"{job.id}: {paid} generations were paid for"
            extra += max(0, paid - 1)
        return {"restart_once" if allowed == 2 else "at_most_once": extra}

    def _check_leftovers(self) -> None:
        meant: set[str] = set()
        kept: list[str] = []
        for job in self.world.watch.jobs.values():
            meant |= {name for output in job.outputs for name in (output.object, output.poster) if name}
            if job.stage is Stage.COMPLETED and job.attempt > 1:
                # The first attempt's files go with the video.
                kept.append(job.files_prefix)
        left = [name for name in self.world.objects() if name not in meant and not name.startswith(tuple(kept))]
        assert not left, f"left in the bucket: {left}"

    def _check_told(self) -> None:
        """Every webhook for an end was sent, unless the video was deleted first."""
        posted = set(self.world.posted)
        for job in self.world.watch.jobs.values():
            told = {each for each in posted if each.job == job.id}
            assert len(told) <= 1, f"{job.id} was told under several ids: {told}"
            assert told <= {Posted(each.id, f"video.{job.status}", job.id) for each in told}, f"{job.status}: {told}"
            assert told or job.webhook_url is None, f"{job.id} ended, and nobody was told"

    def _recoveries(self) -> list[float]:
        """Virtual seconds from the first death in a delivery of a job to that job's end."""
        ended_s = {
            job.id: seconds_since_epoch(job.completed_at) for job in self.world.watch.jobs.values() if job.completed_at
        }
        died_s = self.choices.died_at_s
        return [ended_s[job] - at_s for job, at_s in died_s.items() if ended_s.get(job, 0.0) >= at_s]


SIGNALS = ("uncertain_start", "adopted", "swept", "late_success", "abandoned_generation", "config_not_valid")
