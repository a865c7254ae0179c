"""A provider on virtual time: accepted generations run on their own, polled or not.

Vertex AI writes its files into the bucket when they are done; the Gemini API keeps them to be fetched, sends an event,
and can be stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import BinaryIO, Literal

from local.memory.media import MemoryObjectStore
from shared.core.catalog import MODELS
from shared.core.documents import Job
from shared.platform.provider import Create, Failed, Finished, PollResult, Rejected, Running, Throttled
from testing.faults import films
from testing.faults.virtual_time import VirtualLoop

Ending = Literal["video", "error", "filtered", "nothing"]


@dataclass(frozen=True)
class Fate:
    """The outcome of a request. `takes_s` None: it never ends.

    `refusals` are raised by the first creates, in their order, and nothing begins; `answers` by the first that are
    accepted, after the generation has begun. `retired`: so is the model once the generation has begun, and its endpoint
    too, so that no look is answered. `says` is what an error says. `filtered` of `count` videos are kept back.
    `corrupt` of the files, counted by fetch or by generation, are no films; -1: all of them. `failover`: the request
    allows another provider's model.
    """

    name: str = "ok"
    takes_s: float | None = 50.0
    ending: Ending = "video"
    count: int = 1
    filtered: int = 0
    refusals: tuple[Callable[[], Exception], ...] = ()
    answers: tuple[Callable[[], Exception], ...] = ()
    retired: bool = False
    says: str = "internal error"
    corrupt: int = 0
    failover: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass
class Generation:
    """An accepted generation, which is billed."""

    job: Job
    operation: str
    prefix: str
    fate: Fate
    began_s: float
    ends_s: float | None
    stopped: bool = False
    uris: tuple[str, ...] = ()

    def succeeded(self, now_s: float) -> bool:
        return not self.stopped and self.fate.ending == "video" and self.ends_s is not None and now_s >= self.ends_s


@dataclass
class Provider:
    """Both providers in one; the job's model says which it is."""

    loop: VirtualLoop
    media: MemoryObjectStore
    fate_of: Callable[[Job], Fate]
    finished: Callable[[Generation], None] = lambda generation: None
    generations: dict[str, Generation] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    fetched: int = 0

    async def prepare(self, job: Job) -> Create:
        return self.start

    async def start(self, job: Job, prefix: str) -> str:
        fate = self.fate_of(job)
        call = self.calls.get(job.id, 0)
        self.calls[job.id] = call + 1
        if call < len(fate.refusals):
            raise fate.refusals[call]()
        operation = f"operations/{job.id}-{call}"
        self.accept(job, prefix, operation, self.loop.time())
        accepted = call - len(fate.refusals)
        if accepted < len(fate.answers):
            raise fate.answers[accepted]()
        return operation

    def accept(self, job: Job, prefix: str, operation: str, began_s: float) -> None:
        """Resume a generation started at that time; what it would have delivered by now is there at once."""
        fate = self.fate_of(job)
        ends_s = None if fate.takes_s is None else began_s + fate.takes_s
        generation = Generation(job, operation, prefix, fate, began_s, ends_s)
        self.generations[operation] = generation
        if ends_s is None:
            return
        if ends_s <= self.loop.time():
            self._end(generation)
        else:
            self.loop.call_at(ends_s, self._end, generation)

    async def poll(self, operation: str) -> PollResult:
        generation = self.generations[operation]
        if generation.fate.retired:
            raise LookupError("404: the model is no longer available")
        if generation.stopped:
            return Failed("PROVIDER_ERROR", "the generation was cancelled")
        if generation.ends_s is None or self.loop.time() < generation.ends_s:
            return Running()
        fate = generation.fate
        if fate.ending == "error":
            return Failed("PROVIDER_ERROR", f"13: {fate.says}")
        if fate.ending == "nothing":
            return Failed("PROVIDER_ERROR", "the generation ended without a video")
        if fate.ending == "filtered":
            return Finished((), fate.count, "support code 42237218")
        return Finished(generation.uris, fate.filtered, "support code 42237218" if fate.filtered else None)

    def download(self, uri: str, destination: BinaryIO) -> None:
        generation = next(each for each in self.generations.values() if uri in each.uris)
        self.fetched += 1
        destination.write(self._bytes(generation.fate, generation.job, self.fetched))

    async def cancel(self, operation: str) -> None:
        generation = self.generations.get(operation)
        if generation is None or not self._is_fetched(generation.job):
            return
        if generation.ends_s is None or self.loop.time() < generation.ends_s:
            generation.stopped = True

    @property
    def busy(self) -> bool:
        """Whether a generation that will end is still running."""
        now_s = self.loop.time()
        return any(
            each.ends_s is not None and each.ends_s > now_s and not each.stopped for each in self.generations.values()
        )

    def _end(self, generation: Generation) -> None:
        if generation.stopped:
            return
        if generation.fate.ending == "video":
            shown = range(generation.fate.count - generation.fate.filtered)
            generation.uris = tuple(self._deliver(generation, index) for index in shown)
        self.finished(generation)

    def _deliver(self, generation: Generation, index: int) -> str:
        job = generation.job
        if self._is_fetched(job):
            return f"https://files/{generation.operation.rpartition('/')[2]}-{index}"
        name = f"{generation.prefix}1/sample_{index}.mp4"
        data = self._bytes(generation.fate, job, int(generation.operation.rpartition("-")[2]) + 1)
        _at_once(self.media, name, data)
        return f"gs://{self.media.bucket}/{name}"

    def _bytes(self, fate: Fate, job: Job, number: int) -> bytes:
        if fate.corrupt == -1 or number <= fate.corrupt:
            return films.CORRUPT
        return films.film(job.request.seconds, *job.request.dimensions_px)

    def _is_fetched(self, job: Job) -> bool:
        return job.provider == "gemini"


def _at_once(media: MemoryObjectStore, name: str, data: bytes) -> None:
    """Write without waiting: the bucket in memory never does."""

    def produce(destination: BinaryIO) -> None:
        destination.write(data)

    writing = media.write(name, produce, "video/mp4")
    try:
        writing.send(None)
    except StopIteration:
        return
    raise AssertionError("the bucket in memory waited")


OK = Fate()
RETIRED_MIDWAY = Fate("retired midway", retired=True)
FATES: tuple[Fate, ...] = (
    OK,
    Fate("error", ending="error"),
    Fate("empty", ending="nothing"),
    Fate("all filtered", ending="filtered"),
    Fate("partly filtered", count=2, filtered=1),
    Fate("never ends", takes_s=None),
    Fate("late success", takes_s=1_500.0),
    Fate("429 then ok", refusals=(partial(Throttled, "429"),)),
    Fate("429 with Retry-After", refusals=(partial(Throttled, "429", 7.0), partial(Throttled, "429", 600.0))),
    Fate("503", refusals=(partial(ConnectionError, "503"),)),
    Fate("503 after it began", answers=(partial(ConnectionError, "503"),)),
    RETIRED_MIDWAY,
    Fate("half an emoji", ending="error", says="half an emoji \ud83d"),
    Fate("retired", refusals=(partial(Rejected, "MODEL_RETIRED", "404"),) * 9),
    Fate("retired, but not its successor", refusals=(partial(Rejected, "MODEL_RETIRED", "404"),)),
    Fate("busy, another is not", refusals=(partial(Throttled, "429"),), failover=True),
    Fate("corrupt", corrupt=-1),
)
CORRUPT_ONCE = replace(OK, name="corrupt once", corrupt=1)


def fates_of(model: str) -> tuple[Fate, ...]:
    """The possible outcomes of a model's requests."""
    if "gemini" in MODELS[model].providers:
        # Nothing shows what a retired endpoint of the Gemini API has made: that is the deadline's, as "never ends".
        return (*(fate for fate in FATES if fate.count == 1 and fate is not RETIRED_MIDWAY), CORRUPT_ONCE)
    return FATES
