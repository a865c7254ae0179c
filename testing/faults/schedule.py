"""One job through one schedule: what goes wrong where, and how often and in which order its tasks are delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from local.memory.queue import Entry
from shared.api.videos import CreateVideo
from shared.core import ledger
from shared.core.catalog import MODELS
from shared.core.documents import Account, Job, LiveSettings, Stage
from shared.core.lifecycle import Task
from shared.core.schedule import UNCERTAIN_STEP_S
from shared.platform.identity import Caller
from testing.faults.effects import Conductor, Effect, Fault, Plan, Point, Process
from testing.faults.names import is_final_commit, service_of
from testing.faults.provider import OK, Fate
from testing.faults.virtual_time import Alarm, seconds_since_epoch
from testing.faults.world import SWEEP_EVERY_S, TIDY_FOR_S, World

# Nothing takes longer than to watch a given-up generation for a day.
LONGEST_S = 40 * 3_600.0
LATE_DELIVERY_S = 200.0
REPEATED = 6
# At most every half a minute, for longer than two outages.
CLIENT_TRIES = 60
CREDITS = 1_000
WEBHOOK = "https://example.com/rushes"
NONE_MAY_BE_ACTIVE = {"plans": {"default": {"may_wait": True, "active_jobs_limit": 0}}}
# So short that any fault during storing lasts longer.
STOPPED = {"storing_timeout_s": 60}
# The settings are cached for a minute, so that a job that waits asks for its turn several times.
ALLOWED_AFTER_S = 45.0
ANN = Caller("ann", "default", "user", "default", None)


class Deliveries(Enum):
    """How often and when tasks are delivered."""

    ONCE = "once"
    TWICE = "twice in a row"
    TOGETHER = "twice interleaved"
    DISORDERLY = "late and out of order"


@dataclass(frozen=True)
class Schedule:
    """One course that a job can take."""

    plan: Plan = field(default_factory=dict)
    fate: Fate = OK
    model: str = "veo-3.1-fast"
    deliveries: Deliveries = Deliveries.ONCE
    config: Mapping[str, Any] = field(default_factory=dict)
    # Whether the user has a webhook for the end.
    webhook: bool = False
    # Whether the job has to wait for its turn first: no job may be active until an administrator allows it.
    waits: bool = False

    def __str__(self) -> str:
        faults = ", ".join(f"{fault.value} {point}" for point, fault in sorted(self.plan.items()))
        live = "".join(f", {name}={value}" for name, value in self.config.items())
        told = ", with a webhook" if self.webhook else ""
        waits = ", after waiting" if self.waits else ""
        how = f"delivered {self.deliveries.value}{live}{told}{waits}"
        return f"{self.fate} of {self.model}, {how}: {faults or 'no fault'}"

    def with_fault(self, point: Point, fault: Fault) -> Schedule:
        return replace(self, plan={**self.plan, point: fault})


@dataclass(frozen=True)
class Played:
    """The result of a schedule that kept every promise."""

    trace: list[Effect]
    job: Job
    accepted: int
    deliveries: int
    disorderly: int
    commits: int
    restarts: int
    recovery_s: float | None


class Broken(AssertionError):  # noqa: N818
    """A promise was broken; the message begins with the schedule that shows it."""


def play(schedule: Schedule) -> Played:
    """Run the schedule to its end. Raises Broken."""
    driver = Driver(schedule)
    try:
        driver.world.run(driver.live())
        return driver.judged()
    except AssertionError as error:
        raise Broken(f"{schedule}\n    {error}") from error


# The caller does not learn whether its call took effect.
UNKNOWN = frozenset({Fault.FAILS, Fault.ANSWER_LOST, Fault.LATE, Fault.DELAYED, Fault.OUTAGE})


class Driver:
    """The client, the queue, the scheduler's timer and the clock of one schedule."""

    def __init__(self, schedule: Schedule, tidy_for_s: float = TIDY_FOR_S) -> None:
        self.schedule = schedule
        self.conductor = Conductor(schedule.plan, service_of)
        self.conductor.beside = self._beside
        hinted = schedule.deliveries in (Deliveries.TWICE, Deliveries.TOGETHER)
        self.world = World(self.conductor, lambda job: schedule.fate, hinted=hinted, tidy_for_s=tidy_for_s)
        self.deliveries = 0
        self.disorderly = 0
        # Whether the user's cancel was answered well; None when its answer was lost.
        self.canceled: bool | None = False
        self._delivered: list[Task] = []
        self._changed = Alarm(self.world.loop)

    async def live(self) -> None:
        """From the submission until nothing is left to do."""
        world = self.world
        fresh = Account(id=ANN.account, issuer="i", sub="ann", tenant=ANN.tenant, created_at=world.clock())
        account, entry = ledger.post(fresh, "ann-signup", "signup", CREDITS, "Credits", world.clock())
        await world.store.commit([account, entry])
        await self.go_on(self._submit)

    async def go_on(self, begin: Callable[[], Awaitable[None]]) -> None:
        """Do that, and keep everything running until nothing is left to do."""
        world = self.world
        if self.schedule.waits:
            world.store.edit_config("video", {**self.schedule.config, **NONE_MAY_BE_ACTIVE})
            world.loop.call_later(ALLOWED_AFTER_S, world.store.edit_config, "video", self.schedule.config)
        elif self.schedule.config:
            world.store.edit_config("video", self.schedule.config)
        world.queue.on_change = self._changed.ring
        dispatching = asyncio.ensure_future(self._dispatch())
        latest_s = world.loop.time() + LONGEST_S
        await begin()
        while not world.idle:
            await asyncio.sleep(SWEEP_EVERY_S)
            assert world.loop.time() < latest_s, f"it has not ended after {LONGEST_S} s: {world.watch.jobs}"
            if dispatching.done():
                dispatching.result()
            if world.something_is_overdue():
                await world.sweep(world.new_process())
        dispatching.cancel()

    async def _submit(self) -> None:
        """As a client does: again with the same key until there is an answer."""
        seconds = 3 if self.schedule.model == "omni-flash" else 4
        size = "640x360" if self.schedule.model == "omni-flash" else None
        body = CreateVideo(
            prompt="a paper boat",
            model=self.schedule.model,
            seconds=seconds,
            size=size,
            count=self.schedule.fate.count,
            failover=self.schedule.fate.failover,
            webhook_url=WEBHOOK if self.schedule.webhook else None,
            on_limit="wait" if self.schedule.waits else "fail",
        )
        for tries in range(CLIENT_TRIES):
            answer = await self.world.submit(ANN, body, "key", self.world.new_process())
            if answer.ok:
                assert answer.value.job.id in self.world.watch.jobs, "a job was promised and is not there"
                return
            if answer.error is not None:
                assert answer.error.code == "UNAVAILABLE", f"the client got {answer.error!r}"
            await asyncio.sleep(min(2.0 * tries, 30.0))
        raise AssertionError("the client got no answer")

    async def _dispatch(self) -> None:
        queue = self.world.queue
        while True:
            for entry in queue.take():
                self._start(entry)
            await self._changed.wait(queue.wait_s())

    def _start(self, entry: Entry) -> None:
        running = self.world.loop.create_task(self._deliver(entry))
        self.world.runs.add(running)
        running.add_done_callback(self.world.runs.discard)

    async def _deliver(self, entry: Entry) -> None:
        self.deliveries += 1
        match self.schedule.deliveries:
            case Deliveries.ONCE:
                await self._once(entry)
            case Deliveries.TWICE:
                await self._once(entry)
                await self._again(entry.task)
            case Deliveries.TOGETHER:
                self.world.queue.begin(entry)
                self.disorderly += 1
                await asyncio.gather(self._once(entry), self._once(entry))
            case Deliveries.DISORDERLY:
                await asyncio.sleep(LATE_DELIVERY_S)
                self._delivered.append(entry.task)
                await self._once(entry)
                for task in reversed(self._delivered[-REPEATED:]):
                    await self._again(task)

    async def _once(self, entry: Entry) -> None:
        await self.world.deliver_entry(entry, self._process())

    async def _again(self, task: Task) -> None:
        self.disorderly += 1
        await self.world.deliver(task, self._process())

    def _process(self) -> Process:
        return self.world.new_process()

    async def _beside(self, fault: Fault) -> None:
        if fault is Fault.PURGED:
            self.world.queue.purge()
            return
        # The user waits for the answer, whatever the result of the concurrent call.
        canceling = self.world.loop.create_task(self._cancel())
        self.world.runs.add(canceling)
        canceling.add_done_callback(self.world.runs.discard)
        await asyncio.shield(canceling)

    async def _cancel(self) -> None:
        for job in list(self.world.watch.jobs.values()):
            answer = await self.world.cancel(ANN, job.id, self.world.new_process())
            if answer.ok:
                assert answer.value.stage is Stage.CANCELED, f"a canceled job is {answer.value.stage}"
                self.canceled = True
            elif answer.error is not None and answer.error.code == "NOT_CANCELABLE":
                assert self.world.watch.jobs[job.id].final, "a job that goes on was not cancelable"
            else:
                self.canceled = None

    # --- the judgment ---

    def judged(self) -> Played:
        """Check the result; raises AssertionError."""
        world, watch = self.world, self.world.watch
        config = LiveSettings.model_validate(self.schedule.config)
        world.check(config)
        assert len(watch.jobs) == 1, f"one request made {len(watch.jobs)} jobs"
        [job] = watch.jobs.values()
        assert job.final, f"it ended in {job.stage}"
        missed = [str(point) for point in self.schedule.plan if point not in self.conductor.hit_at_s]
        assert not missed, f"never came to {missed}"
        restarts = self._check_starts(job, config)
        self._check_ending(job, config)
        self._check_signals(job)
        self._check_leftovers(job)
        self._check_told(job)
        return Played(
            self.conductor.trace,
            job,
            len(world.provider.generations),
            self.deliveries,
            self.disorderly,
            watch.commits,
            restarts,
            self._recovery_s(job),
        )

    def _check_starts(self, job: Job, config: LiveSettings) -> int:
        accepted = len(self.world.provider.generations)
        allowed = 2 if config.uncertain_policy == "restart_once" else 1
        assert accepted <= allowed, f"{accepted} generations were paid for"
        return max(0, accepted - 1)

    def _expected(self) -> tuple[Stage, str | None]:
        name = self.schedule.fate.name
        if name == "503 after it began" and "gemini" in MODELS[self.schedule.model].providers:
            # Nothing shows of it but its event, which names no job.
            return Stage.FAILED, "START_UNCERTAIN"
        if name == "retired, but not its successor" and self.schedule.model == "omni-flash":
            # It has none.
            return Stage.FAILED, "MODEL_RETIRED"
        return _EXPECTED[name]

    def _check_ending(self, job: Job, config: LiveSettings) -> None:
        """Check the outcome this scenario must have, unless the schedule's faults explain another."""
        code = job.error.code if job.error else None
        if self.canceled:
            assert job.stage is Stage.CANCELED, f"it was canceled and ended {job.stage} {code}"
        if job.stage is Stage.CANCELED:
            assert self.canceled is not False, "nobody canceled it"
            return
        if (job.stage, code) == self._expected():
            return
        if self.schedule.fate.name == "late success" and job.stage is Stage.COMPLETED:
            assert self.schedule.plan, "a success came after the deadline, and was taken"
            # No poll was possible at the deadline; the first one afterwards finds it.
            return
        if code in ("STORING_FAILED", "STORAGE_REFUSED"):
            assert STOPPED["storing_timeout_s"] == config.storing_timeout_s, f"{code} long before the deadline"
            assert {Fault.OUTAGE, Fault.REFUSED} & set(self.schedule.plan.values()), "the last try went well"
            return
        if code == "GENERATION_TIMEOUT" and list(self.schedule.plan.values()).count(Fault.OUTAGE) > 1:
            # Two outages of ten minutes are longer than the deadline.
            return
        assert (job.stage, code) == (Stage.FAILED, "START_UNCERTAIN"), f"{self.schedule.fate} ended {job.stage} {code}"
        assert self._start_was_disturbed(), "the start went well, and was held to be uncertain"
        assert not self._showed_in_time(), "a paid video was there, and was not adopted"

    def _start_was_disturbed(self) -> bool:
        """Whether a fault hit between a lease and the commit of the create's result."""
        names = [effect.point.name.rpartition("/")[2] for effect in self.conductor.trace]
        during = False
        for effect, name in zip(self.conductor.trace, names, strict=True):
            during = during or name == "claim.commit"
            if during and effect.point in self.schedule.plan:
                return True
            if name in ("accepted.commit", "deferred.commit", "switched.commit", "failed.commit"):
                during = False
        # A lasting fault may have begun before the lease.
        return Fault.OUTAGE in self.schedule.plan.values()

    def _showed_in_time(self) -> bool:
        """Whether the videos of an accepted generation were in our bucket while the job still looked for them."""
        latest_s = MODELS[self.schedule.model].longest_s - UNCERTAIN_STEP_S
        generations = self.world.provider.generations.values()
        return any(
            uri.startswith("gs://") and each.ends_s is not None and each.ends_s - each.began_s < latest_s
            for each in generations
            for uri in each.uris
        )

    def _check_signals(self, job: Job) -> None:
        """Abandoned and late generations are logged, unless the process died while logging."""
        signals, world = self.world.signals, self.world
        code = job.error.code if job.error else None
        untold = any(fault in (Fault.DIES_AFTER, Fault.FROZEN) for fault in self.schedule.plan.values())
        if code == "START_UNCERTAIN" and not untold:
            assert signals["abandoned_generation"] >= 1, "an abandoned generation was not told"
        succeeded = [each for each in world.provider.generations.values() if each.succeeded(world.loop.time())]
        shows = job.operation is not None or any(uri.startswith("gs://") for each in succeeded for uri in each.uris)
        late = code in ("GENERATION_TIMEOUT", "START_UNCERTAIN") and bool(succeeded) and shows
        assert job.late_success == late, f"late success is {job.late_success} of {code}, and {late}"
        if late and not untold:
            # A process unsure of its own commit logs what another may log too.
            most = 2 if UNKNOWN & set(self.schedule.plan.values()) else 1
            told = signals["late_success"]
            assert 1 <= told <= most, f"a late success was told {told} times"

    def _check_leftovers(self, job: Job) -> None:
        """The bucket holds what the job says, and nothing else."""
        there = set(self.world.objects())
        meant = {name for output in job.outputs for name in (output.object, output.poster) if name}
        assert there <= meant, f"{job.stage}, and left in the bucket: {sorted(there - meant)}"

    def _check_told(self, job: Job) -> None:
        """Every webhook for the end was sent at least once, always under one id."""
        posted = set(self.world.posted)
        if not self.schedule.webhook:
            assert not posted, f"nobody wanted to hear of {posted}"
            return
        assert {each.type for each in posted} == {f"video.{job.status}"}, f"{job.status}, and was told {posted}"
        assert len(posted) == 1, f"was told under several ids: {posted}"

    def _recovery_s(self, job: Job) -> float | None:
        """Virtual seconds from the first death to the final state."""
        deaths = [
            at_s
            for point, at_s in self.conductor.hit_at_s.items()
            if self.schedule.plan[point] in (Fault.DIES_BEFORE, Fault.DIES_AFTER, Fault.FROZEN)
        ]
        if not deaths or job.completed_at is None:
            return None
        ended_s = seconds_since_epoch(job.completed_at)
        return ended_s - min(deaths) if ended_s >= min(deaths) else None


_EXPECTED: dict[str, tuple[Stage, str | None]] = {
    "ok": (Stage.COMPLETED, None),
    "error": (Stage.FAILED, "PROVIDER_ERROR"),
    "empty": (Stage.FAILED, "PROVIDER_ERROR"),
    "all filtered": (Stage.FAILED, "SAFETY_BLOCKED"),
    "partly filtered": (Stage.COMPLETED, None),
    "never ends": (Stage.FAILED, "GENERATION_TIMEOUT"),
    "late success": (Stage.FAILED, "GENERATION_TIMEOUT"),
    "429 then ok": (Stage.COMPLETED, None),
    "429 with Retry-After": (Stage.COMPLETED, None),
    "503": (Stage.FAILED, "START_UNCERTAIN"),
    "503 after it began": (Stage.COMPLETED, None),
    "retired midway": (Stage.COMPLETED, None),
    "half an emoji": (Stage.FAILED, "PROVIDER_ERROR"),
    "retired": (Stage.FAILED, "MODEL_RETIRED"),
    "retired, but not its successor": (Stage.COMPLETED, None),
    "busy, another is not": (Stage.COMPLETED, None),
    "corrupt": (Stage.FAILED, "INVALID_VIDEO"),
    "corrupt once": (Stage.COMPLETED, None),
}


def cycles(trace: list[Effect], most: int = 2) -> Iterator[Effect]:
    """The effects of a trace; of one that comes again and again the first `most` and the last."""
    last = {effect.point.name: effect.point.number for effect in trace}
    for effect in trace:
        if effect.point.number <= most or effect.point.number == last[effect.point.name]:
            yield effect


def ended(trace: list[Effect]) -> int:
    """The index of the first commit that ended the job."""
    return next(index for index, effect in enumerate(trace) if is_final_commit(effect.point.name.rpartition("/")[2]))
