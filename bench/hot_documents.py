"""Many submissions that write the same document, at a region's latencies: one account's, and a capped tenant's.

`python -m bench.hot_documents` plays them in virtual time over the store in memory, each read after 20 ms and each
commit after 50 ms, and writes the table of docs/scaling.md. Work of the processor takes no time here: what is measured
is what the documents allow, and how fairly it is shared.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
from collections import Counter
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, cast
from unittest import mock

from bench import report
from local.memory.live import MemoryChangeFeed
from local.memory.media import MemoryObjectStore
from local.memory.queue import MemoryTaskQueue
from local.memory.region import REGION, DistantStore, Latencies
from local.memory.store import MemoryFirestore
from shared.api.videos import CreateVideo
from shared.core import ledger
from shared.core.documents import Account, LiveSettings
from shared.core.errors import ApiError
from shared.jobs import submission
from shared.media.image_workers import ImageWorkers
from shared.platform import commits, log
from shared.platform.identity import Caller
from shared.platform.ports import Services
from shared.platform.provider import Providers
from shared.platform.settings import Settings
from testing.faults.virtual_time import VirtualLoop

PAGE: Final = Path(__file__).parents[1] / "docs" / "scaling.md"
BODY: Final = CreateVideo(prompt="a paper boat", model="omni-flash", seconds=3, resolution="360p")
COST: Final = 30
USERS: Final = 200
TENANT: Final = "default"
# A cap that is not reached: the tenant's counter is what is measured.
AMPLE: Final = 10_000_000


@dataclass(frozen=True)
class Offer:
    """So many submissions, at random moments, over the users and the instances in turn."""

    name: str
    per_s: float
    users: int = 1
    instances: int = 1
    cap: int | None = None
    count: int = 600


@dataclass
class Came:
    """What came of an offer: the seconds of each accepted one, and the codes of the others."""

    seconds: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    wall_s: float = 0.0
    commits: int = 0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(math.ceil(share * len(ordered)), len(ordered)) - 1] if ordered else math.nan

    @property
    def accepted_per_s(self) -> float:
        return len(self.seconds) / self.wall_s


_instance: ContextVar[int] = ContextVar("instance", default=0)


class _Turns(MutableMapping[str, Any]):
    """Each instance has its own memory, and so its own turns."""

    def __init__(self) -> None:
        self._turns: dict[tuple[int, str], Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self._turns[_instance.get(), name]

    def __setitem__(self, name: str, turn: Any) -> None:
        self._turns[_instance.get(), name] = turn

    def __delitem__(self, name: str) -> None:
        del self._turns[_instance.get(), name]

    def __iter__(self) -> Iterator[str]:
        return (name for instance, name in self._turns if instance == _instance.get())

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True)
class _Settings:
    config: LiveSettings

    async def get(self) -> LiveSettings:
        return self.config


class _CountedStore(MemoryFirestore):
    commits = 0

    async def commit(self, documents: Any) -> Any:
        committed = await super().commit(documents)
        self.commits += 1
        return committed


def play(offer: Offer, latencies: Latencies = REGION) -> Came:
    """Make the offer, to its last answer."""
    loop = VirtualLoop()
    with _alone():
        try:
            return loop.run_until_complete(_play(loop, offer, latencies))
        finally:
            loop.close()


@contextmanager
def _alone() -> Iterator[None]:
    state = random.getstate()
    random.seed(0)
    try:
        with mock.patch.object(commits, "_turns", _Turns()), mock.patch.object(log, "_emit", lambda *_: None):
            yield
    finally:
        random.setstate(state)


async def _play(loop: VirtualLoop, offer: Offer, latencies: Latencies) -> Came:
    store = _CountedStore(loop.clock)
    services = _services(loop, store, offer, latencies)
    callers = [await _open(store, loop, number) for number in range(offer.users)]
    store.commits = 0
    came = Came()

    moments_s = list(accumulate(random.expovariate(offer.per_s) for _ in range(offer.count)))

    async def submit(number: int) -> None:
        await asyncio.sleep(moments_s[number])
        _instance.set(number % offer.instances)
        began_s = loop.time()
        try:
            await submission.submit(services, callers[number % offer.users], BODY, None)
        except ApiError as error:
            came.refused[error.code] += 1
        else:
            came.seconds.append(loop.time() - began_s)

    began_s = loop.time()
    await asyncio.gather(*(loop.create_task(submit(number)) for number in range(offer.count)))
    came.wall_s, came.commits = loop.time() - began_s, store.commits
    return came


def _services(loop: VirtualLoop, store: MemoryFirestore, offer: Offer, latencies: Latencies) -> Services:
    caps = {} if offer.cap is None else {TENANT: offer.cap}
    # More than the live settings allow: no job ends here.
    config = LiveSettings(tenant_daily_credits=caps).model_copy(update={"active_jobs_limit": offer.count})
    numbers = iter(range(10**9))
    return Services(
        settings=Settings(google_cloud_project="rushes", bucket="videos"),
        firestore=cast(Any, DistantStore(store, latencies)),
        changes=MemoryChangeFeed(store),
        tasks=MemoryTaskQueue(loop.clock),
        objects=MemoryObjectStore("videos", clock=loop.clock),
        providers=Providers({"gemini": cast(Any, None)}),
        live_settings=_Settings(config),
        verifier=cast(Any, None),
        images=ImageWorkers(),
        clock=loop.clock,
        ids=lambda: f"{next(numbers):022d}",
        sleep=asyncio.sleep,
    )


async def _open(store: MemoryFirestore, loop: VirtualLoop, number: int) -> Caller:
    name = f"user{number}"
    fresh = Account(id=name, issuer="i", sub=name, tenant=TENANT, created_at=loop.clock())
    await store.commit(ledger.post(fresh, f"grant-{name}", "grant", AMPLE, "Credits", loop.clock()))
    return Caller(name, TENANT, "user", "default", None)


OFFERS: Final = (
    *(Offer("one account, one instance", per_s) for per_s in (12, 20, 40, 100, 200)),
    *(Offer("one account, four instances", per_s, instances=4) for per_s in (20, 40, 100)),
    *(Offer("a capped tenant of 200 users, one instance", per_s, USERS, cap=AMPLE) for per_s in (20, 40, 100)),
    *(Offer("a capped tenant of 200 users, four instances", per_s, USERS, 4, AMPLE) for per_s in (40, 100)),
    Offer("the same, and the cap is reached halfway", 40, USERS, 4, 300 * COST),
)
HEAD: Final = (
    "",
    "offered per second",
    "accepted per second",
    "p50, s",
    "p95, s",
    "commits",
    "503",
    "rejected by the cap",
)


def row(offer: Offer, came: Came) -> tuple[str, ...]:
    return (
        offer.name,
        f"{offer.per_s:g}",
        f"{came.accepted_per_s:.0f}",
        f"{came.percentile(0.5):.2f}",
        f"{came.percentile(0.95):.2f}",
        str(came.commits),
        str(came.refused["UNAVAILABLE"]),
        str(came.refused["DAILY_LIMIT"]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.hot_documents", description=__doc__.partition("\n")[0])
    parser.add_argument("--no-report", action="store_true", help="only print")
    options = parser.parse_args()
    text = report.table([row(offer, play(offer)) for offer in OFFERS], HEAD)
    print(text)
    if not options.no_report:
        report.replace("hot-documents", text, PAGE)


if __name__ == "__main__":
    main()
