"""Chance at every effect: how long it takes, and what goes wrong. One seed decides it all."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from shared.models import Job
from tests.faults.effects import BLOCKING_FAULTS, CURRENT, Fault, Process, with_fault
from tests.faults.names import service_of

T = TypeVar("T")

# Of a thousand calls each, in a bad schedule; a schedule draws how bad it is.
WORST_PER_MILLE = 30.0
# The one point that no queue closes comes once in a job, so it is hit more often.
CREATE_FACTOR = 5.0
USUAL_S = 0.02
SLOW_S = 20.0
WEIGHTS = {
    Fault.DIES_BEFORE: 3,
    Fault.DIES_AFTER: 3,
    Fault.FAILS: 4,
    Fault.ANSWER_LOST: 6,
    Fault.LATE: 1,
    Fault.FROZEN: 2,
    Fault.DELAYED: 2,
}


@dataclass(frozen=True)
class Outage:
    """A time in which one service does not answer, in seconds of the schedule."""

    service: str
    from_s: float
    until_s: float


class Dice:
    """Decides what happens at each effect of one schedule. Nothing goes wrong any more once it is `calm`."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.calm = False
        self.reached: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self._per_mille = self.random.choice((0.0, 5.0, 10.0, WORST_PER_MILLE))
        self._outages = [self._outage() for _ in range(self.random.choice((0, 0, 1, 2)))]
        self._unanswered: dict[Process, set[str]] = {}

    def _outage(self) -> Outage:
        from_s = self.random.uniform(0.0, 600.0)
        service = self.random.choice(("store", "task", "media", "provider"))
        return Outage(service, from_s, from_s + self.random.uniform(5.0, 600.0))

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    async def effect(
        self,
        name: str,
        act: Callable[[], Awaitable[T]],
        failure: type[Exception],
        faults: tuple[Fault, ...],
        refusal: type[Exception] | None = None,
    ) -> T:
        process = CURRENT.get().process
        await self.sleep(self._takes_s())
        if self._is_down(service_of(name)):
            raise (refusal or failure)(f"{name}: outage")
        fault = self._drawn(name, faults)
        if fault is None:
            result = await act()
            process.check()
        else:
            self._count(name, fault)
            result = await with_fault(process, fault, act, failure(f"{name}: {fault.value}"))
        self._recognise(process, result)
        return result

    def blocking(self, name: str, act: Callable[[], T], half: Callable[[], None]) -> T:
        process = CURRENT.get().process
        process.check()
        fault = self._drawn(name, BLOCKING_FAULTS)
        if fault is Fault.DIES_BEFORE:
            raise process.die()
        if fault in (Fault.FAILS, Fault.ANSWER_LOST) or self._is_down(service_of(name)):
            half()
            raise OSError(f"{name}: cut")
        result = act()
        if fault is Fault.DIES_AFTER:
            raise process.die()
        return result

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        process = CURRENT.get().process
        if process.dead or process.frozen_until_s:
            await process.turn()

    def committing(self, process: Process, change_id: str) -> None:
        """A commit is about to be made; should its answer be lost, whoever reads it again recognises it."""
        self._unanswered.setdefault(process, set()).add(change_id)

    def answered(self, process: Process, change_id: str) -> None:
        self._unanswered[process].discard(change_id)

    def _recognise(self, process: Process, result: object) -> None:
        found = result[0] if isinstance(result, tuple) and result else result
        if isinstance(found, Job) and found.change_id in self._unanswered.get(process, ()):
            self.reached["own commit recognised"] += 1

    def _takes_s(self) -> float:
        if not self.calm and self.chance(0.01):
            return self.random.uniform(0.0, SLOW_S)
        return self.random.uniform(0.0, USUAL_S)

    def _is_down(self, service: str) -> bool:
        if self.calm or not self._outages:
            return False
        now_s = asyncio.get_running_loop().time()
        return any(each.service == service and each.from_s <= now_s < each.until_s for each in self._outages)

    def _drawn(self, name: str, faults: tuple[Fault, ...]) -> Fault | None:
        per_mille = self._per_mille * (CREATE_FACTOR if name in ("provider.create", "accepted.commit") else 1.0)
        if self.calm or not self.chance(per_mille / 1_000):
            return None
        possible = [fault for fault in faults if fault in WEIGHTS]
        return self.random.choices(possible, [WEIGHTS[fault] for fault in possible])[0]

    def _count(self, name: str, fault: Fault) -> None:
        self.reached[fault.value] += 1
        if fault in (Fault.DIES_BEFORE, Fault.DIES_AFTER):
            self.crashes[name] += 1
