"""Random choices at every effect: its duration and its faults. One seed determines them all."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from shared.core.documents import Job
from testing.faults.effects import BLOCKING_FAULTS, CURRENT, Fault, Process, with_fault
from testing.faults.names import service_of

T = TypeVar("T")

# Of a thousand calls each, in a bad schedule; a schedule draws how bad it is.
WORST_PER_MILLE = 30.0
# The one point that no queue closes comes once in a job, so it is hit more often.
CREATE_FACTOR = 5.0
USUAL_SHARE = 0.4
USUAL_S = 0.05
SLOW_SHARE = 0.01
SLOW_S = 20.0
WEIGHTS = {
    Fault.DIES_BEFORE: 3,
    Fault.DIES_AFTER: 3,
    Fault.FAILS: 4,
    Fault.ANSWER_LOST: 6,
    Fault.LATE: 1,
    Fault.FROZEN: 2,
    Fault.DELAYED: 2,
    Fault.REFUSED: 1,
}


@dataclass(frozen=True)
class Outage:
    """A time in which one service does not answer, in seconds of the schedule."""

    service: str
    from_s: float
    until_s: float


class RandomChoices:
    """Decides what happens at each effect of one schedule. No more faults once it is `calm`."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.calm = False
        self.reached: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.names: Counter[str] = Counter()
        # When a delivery of that job first crashed or froze.
        self.died_at_s: dict[str, float] = {}
        self._per_mille = self.random.choice((0.0, 5.0, 10.0, WORST_PER_MILLE))
        self._outages = [self._outage() for _ in range(self.random.choice((0, 0, 1, 2)))]
        # The change_ids of commits whose answer was lost, by the process that made them.
        self._unanswered: dict[Process, set[str]] = {}

    def _outage(self) -> Outage:
        from_s = self.random.uniform(0.0, 600.0)
        service = self.random.choice(("store", "task", "media", "provider", "webhook"))
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
        change_id: str = "",
    ) -> T:
        self.names[name] += 1
        process = CURRENT.get().process
        await self._take_a_while(process)
        if self._is_down(service_of(name)):
            raise (refusal or failure)(f"{name}: outage")
        fault = self._drawn(name, faults)
        if fault is None:
            result = await act()
            process.check()
        else:
            self._count(name, fault)
            if fault is Fault.ANSWER_LOST and change_id:
                self._unanswered.setdefault(process, set()).add(change_id)
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
        await _go_on(CURRENT.get().process)

    async def _take_a_while(self, process: Process) -> None:
        """Most calls let others go first; some of them for a time."""
        drawn = self.random.random()
        if drawn < SLOW_SHARE and not self.calm:
            await asyncio.sleep(self.random.uniform(0.0, SLOW_S))
        else:
            await asyncio.sleep(USUAL_S * drawn if drawn < USUAL_SHARE else 0)
        await _go_on(process)

    def _recognise(self, process: Process, result: object) -> None:
        unanswered = self._unanswered.get(process, ())
        for found in result if isinstance(result, list) else (result,):
            if isinstance(found, Job) and found.change_id in unanswered:
                self.reached["own commit recognized"] += 1
                return

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
        if fault in (Fault.DIES_BEFORE, Fault.DIES_AFTER, Fault.FROZEN):
            self.crashes[name] += 1
            job = CURRENT.get().job
            if job is not None:
                self.died_at_s.setdefault(job, asyncio.get_running_loop().time())


async def _go_on(process: Process) -> None:
    if process.dead or process.frozen_until_s:
        await process.turn()
