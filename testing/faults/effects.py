"""Every effect on the outside world has a name and a number, and at each of them something can go wrong.

The cuts are made here, between the handlers and their gateways; the code that is tested knows nothing of them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from shared.core.errors import StorageRefused
from shared.platform.commits import Turn
from testing.faults.virtual_time import Alarm

T = TypeVar("T")

# Longer than a lease, so that another process may take over.
LATE_S = 150.0
FROZEN_S = 200.0
# Longer than a caller waits for an answer, shorter than a lease.
DELAYED_S = 60.0
OUTAGE_S = 600.0
REFUSED_S = 60.0


class Death(BaseException):
    """The process crashed: nothing can catch this, and its remaining code has no effect."""


class Fault(Enum):
    """What may happen at one effect."""

    DIES_BEFORE = "dies before"
    DIES_AFTER = "dies after"
    FAILS = "fails"
    ANSWER_LOST = "answer lost"
    LATE = "late"
    FROZEN = "frozen"
    DELAYED = "delayed"
    # Concurrent with the call, which itself succeeds: the user cancels, the queue loses all its tasks.
    CANCELED = "canceled at"
    PURGED = "queue purged at"
    # The service does not answer, from this call on, for ten minutes.
    OUTAGE = "outage from"
    # The bucket answers 403, from this call on, for a minute: a permission is being edited, or the rate is too high.
    REFUSED = "refused from"


# A read changes nothing: to die after it is to die before the next effect, and a lost answer is a failure.
READ_FAULTS = (Fault.DIES_BEFORE, Fault.FAILS, Fault.FROZEN, Fault.CANCELED, Fault.PURGED, Fault.OUTAGE)
WRITE_FAULTS = tuple(fault for fault in Fault if fault is not Fault.REFUSED)
# Only the bucket refuses.
BUCKET_READ_FAULTS = (*READ_FAULTS, Fault.REFUSED)
BUCKET_WRITE_FAULTS = (*WRITE_FAULTS, Fault.REFUSED)
# Faults that outlast the call at which they began, and for how many seconds.
LASTING = {Fault.OUTAGE: OUTAGE_S, Fault.REFUSED: REFUSED_S}
# A blocking call inside of another one; it can be cut, and not made to wait.
BESIDE = frozenset({Fault.CANCELED, Fault.PURGED})
BLOCKING_FAULTS = (Fault.DIES_BEFORE, Fault.DIES_AFTER, Fault.FAILS, Fault.ANSWER_LOST)


@dataclass(frozen=True, order=True)
class Point:
    """The effect of that name which came as number `number`, from 1."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}#{self.number}"


@dataclass(frozen=True)
class Effect:
    """One effect that took place, or was meant to; `faults` can happen at it."""

    point: Point
    faults: tuple[Fault, ...]


Plan = Mapping[Point, Fault]


@dataclass(eq=False)
class Process:
    """One instance of a function: it crashes and freezes as a whole, and has its own turns."""

    dead: bool = False
    frozen_until_s: float = 0.0
    turns: dict[str, Turn] = field(default_factory=dict)
    callers: list[Alarm] = field(default_factory=list)

    def die(self) -> Death:
        self.dead = True
        return Death()

    def freeze(self, seconds: float) -> None:
        """Freeze; callers waiting for an answer fail at once, as if the connection broke."""
        self.frozen_until_s = asyncio.get_running_loop().time() + seconds
        for caller in self.callers:
            caller.ring()

    async def turn(self) -> None:
        """Let others run; then continue, unless the process is dead or frozen."""
        await asyncio.sleep(0)
        while not self.dead and self.frozen_until_s > (now_s := asyncio.get_running_loop().time()):
            await asyncio.sleep(self.frozen_until_s - now_s)
        self.check()

    def check(self) -> None:
        if self.dead:
            raise Death


@dataclass(eq=False)
class Run:
    """One call of a handler in a process. `kind` is the first part of its effects' names, unless it is a step."""

    kind: str
    process: Process
    # The job that it was called for, when the caller knows.
    job: str | None = None

    def named(self, name: str) -> str:
        return name if self.kind == "step" else f"{self.kind}/{name}"


CURRENT: ContextVar[Run] = ContextVar("run")


class Conductor:
    """Numbers the effects, keeps their trace, and lets the planned faults happen.

    `beside` does what happens concurrently with a call; `service_of` names the service of an effect.
    """

    def __init__(self, plan: Plan, service_of: Callable[[str], str]) -> None:
        self._plan = plan
        self._service_of = service_of
        self._down: dict[str, tuple[Fault, float]] = {}
        self._numbers: Counter[str] = Counter()
        self.beside: Callable[[Fault], Awaitable[None]] = _nothing
        self.trace: list[Effect] = []
        self.hit_at_s: dict[Point, float] = {}

    async def effect(
        self,
        name: str,
        act: Callable[[], Awaitable[T]],
        failure: type[Exception],
        faults: tuple[Fault, ...],
        refusal: type[Exception] | None = None,
        change_id: str = "",
    ) -> T:
        """Do it, with the faults planned for it.

        `failure` is what the caller sees of a failed call, `refusal` of one that was not accepted; `change_id` is
        that of a commit.
        """
        process = CURRENT.get().process
        await process.turn()
        fault = self._next(name, faults)
        if fault in BESIDE:
            await self.beside(fault)
            fault = None
        if fault is None:
            result = await act()
            await process.turn()
            return result
        raised = refusal if fault is Fault.OUTAGE and refusal is not None else failure
        return await with_fault(process, fault, act, raised(f"{name}: {fault.value}"))

    def blocking(self, name: str, act: Callable[[], T], half: Callable[[], None]) -> T:
        """The same for a call that cannot wait; `half` is what a broken one leaves behind."""
        process = CURRENT.get().process
        process.check()
        fault = self._next(name, BLOCKING_FAULTS)
        if fault in (Fault.FAILS, Fault.OUTAGE):
            raise OSError(f"{name}: {fault.value}")
        if fault is Fault.ANSWER_LOST:
            half()
            raise OSError(f"{name}: {fault.value}")
        if fault is Fault.DIES_BEFORE:
            raise process.die()
        result = act()
        if fault is Fault.DIES_AFTER:
            raise process.die()
        return result

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await CURRENT.get().process.turn()

    def _next(self, name: str, faults: tuple[Fault, ...]) -> Fault | None:
        name = CURRENT.get().named(name)
        self._numbers[name] += 1
        point = Point(name, self._numbers[name])
        self.trace.append(Effect(point, faults))
        fault = self._plan.get(point)
        now_s = asyncio.get_running_loop().time()
        if fault is not None:
            self.hit_at_s[point] = now_s
        service = self._service_of(point.name)
        if fault in LASTING:
            self._down[service] = fault, now_s + LASTING[fault]
        if fault is None and service in self._down:
            lasting, until_s = self._down[service]
            return lasting if now_s < until_s else None
        return fault


async def with_fault(process: Process, fault: Fault, act: Callable[[], Awaitable[T]], failure: Exception) -> T:
    """What the caller gets of a call at which that goes wrong."""
    if fault is Fault.DIES_BEFORE:
        raise process.die()
    if fault is Fault.REFUSED:
        raise StorageRefused(str(failure))
    if fault in (Fault.FAILS, Fault.OUTAGE):
        raise failure
    if fault is Fault.DELAYED:
        asyncio.get_running_loop().call_later(DELAYED_S, _in_background, act)
        raise failure
    try:
        result = await act()
    except Exception:
        if fault is Fault.DIES_AFTER:
            raise process.die() from None
        if fault is Fault.ANSWER_LOST:
            raise failure from None
        raise
    if fault is Fault.DIES_AFTER:
        raise process.die()
    if fault is Fault.ANSWER_LOST:
        raise failure
    if fault is Fault.LATE:
        await asyncio.sleep(LATE_S)
    if fault is Fault.FROZEN:
        process.freeze(FROZEN_S)
    await process.turn()
    return result


async def _nothing(fault: Fault) -> None:
    """Nothing happens concurrently with the call."""


_background: set[asyncio.Task[None]] = set()


def _in_background(act: Callable[[], Awaitable[object]]) -> None:
    """Let an abandoned call take effect after all; its result is dropped."""

    async def belated() -> None:
        try:
            await act()
        except Exception:  # noqa: BLE001 - the caller is gone
            return

    task = asyncio.ensure_future(belated())
    _background.add(task)
    task.add_done_callback(_background.discard)
