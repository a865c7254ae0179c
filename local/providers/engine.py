"""A video provider in memory, in neither protocol's words: create, look, cancel, and outputs that are real films.

A generation renders and waits out its duration as one task on the running event loop; clock, sleep, chance, bucket
and renderer are given, so that a simulation can own time. State lives in this object alone: a process that ends
forgets its generations, those under way included.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from local.providers.buckets import BucketError, Buckets
from local.providers.durations import Durations
from local.providers.faults import Faults, faults_in, refusal_at
from local.providers.render import Film, UnreadableMediaError
from local.providers.stats import Stats

State = Literal["running", "succeeded", "failed", "cancelled"]
Render = Callable[[Film], Awaitable[bytes]]

_LOG = logging.getLogger(__name__)
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_KEPT_GENERATIONS = 20_000
_KEPT_BYTES = 1 << 30
_INVALID_ARGUMENT, _PERMISSION_DENIED, _INTERNAL = 3, 7, 13
_FILTERED = (
    "The video could not be generated because the prompt or the result violates usage guidelines. You will not be "
    "charged for this attempt. Try rephrasing the prompt. Support codes: {code}"
)
_REFUSALS = {
    400: "Request contains an invalid argument.",
    401: "Request had invalid authentication credentials.",
    403: "The caller does not have permission.",
    404: "Requested entity was not found.",
    429: "Resource has been exhausted (e.g. check quota).",
    500: "Internal error encountered.",
    502: "The server encountered a temporary error and could not complete your request.",
    503: "The model is overloaded. Please try again later.",
    504: "Deadline expired before operation could complete.",
}


class RefusedError(Exception):
    """The provider says no: an HTTP status, a message, a reason ("retired", "content_blocked" or ""), a Retry-After."""

    def __init__(self, status: int, message: str = "", reason: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message or _REFUSALS[status])
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s


class AnswerLostError(Exception):
    """The generation was accepted and runs, but its caller shall not learn of it: the connection is cut, or the answer
    is `refusal`, as of a service in front of the model that gave up waiting."""

    def __init__(self, generation: Generation, refusal: RefusedError | None = None) -> None:
        super().__init__(f"{refusal.status}: {refusal}" if refusal else "the connection was closed without an answer")
        self.generation = generation
        self.refusal = refusal


class UnknownGenerationError(KeyError):
    """No generation or output has this id (any more)."""


@dataclass(frozen=True)
class Request:
    """One create. Sizes in pixels; `storage_uri` (gs://bucket/prefix) is where outputs go, else they are kept here."""

    model: str
    prompt: str
    seconds: float
    width: int
    height: int
    count: int = 1
    seed: int | None = None
    audio: bool = True
    first_frame: bytes | None = None
    last_frame: bytes | None = None
    extends: bytes | None = None
    storage_uri: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def job(self) -> str | None:
        return self.labels.get("job")


@dataclass
class Output:
    """One film: its bytes, or where in a bucket it is. `id` fits [a-z0-9]+; `size` in bytes."""

    id: str
    size: int
    finished_at: float
    data: bytes | None = None
    uri: str | None = None
    downloads: int = 0


@dataclass
class Generation:
    """A generation and its outcome. `filtered` has one text per film that was withheld; `error` is (google.rpc code,
    message). A succeeded generation may have no outputs: all filtered, or an empty answer. `context` is the caller's.
    """

    id: str
    request: Request
    faults: Faults
    created_at: float
    updated_at: float
    state: State = "running"
    outputs: list[Output] = field(default_factory=list)
    filtered: list[str] = field(default_factory=list)
    error: tuple[int, str] | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    looks: int = 0
    context: Any = None


class Engine:
    """See the module. `listeners` are called with each generation that has come to its end; they must not raise."""

    def __init__(
        self,
        render: Render,
        buckets: Buckets | None = None,
        *,
        durations: Durations | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: random.Random | None = None,
    ) -> None:
        self.durations = durations or Durations()
        self.buckets = buckets
        self.clock = clock
        self.stats = Stats()
        self.listeners: list[Callable[[Generation], None]] = []
        self._render = render
        self._sleep = sleep
        self._chance = chance or random.Random()
        self._generations: OrderedDict[str, Generation] = OrderedDict()
        self._outputs: dict[str, tuple[Generation, Output]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._creates: Counter[tuple[str, str | None]] = Counter()
        self._accepted: Counter[tuple[str, str | None]] = Counter()
        self._kept_bytes = 0

    async def create(self, request: Request) -> Generation:
        """Start a generation. Raises RefusedError or AnswerLostError, as the prompt's words say."""
        faults = faults_in(request.prompt)
        # Counted per job where one is named: a prompt used again in another job meets its faults again.
        scope = request.prompt, request.job
        call = self._creates[scope]
        if faults.create_refusals:
            self._creates[scope] += 1
        self._count("creates", request)
        try:
            _refuse(faults, call, request.model)
        except RefusedError:
            self._count("refused", request)
            raise
        generation = self._start(request, faults)
        if faults.lost_answers or faults.accepted_refusals:
            accepted = self._accepted[scope]
            self._accepted[scope] += 1
            if accepted < faults.lost_answers:
                raise AnswerLostError(generation)
            status = refusal_at(faults.accepted_refusals, accepted)
            if status is not None:
                raise AnswerLostError(generation, RefusedError(status))
        return generation

    async def poll(self, generation_id: str) -> Generation:
        """The generation as it is now. Raises UnknownGenerationError, or RefusedError as the prompt's words say."""
        generation = self.get(generation_id)
        self._count("looks", generation.request)
        status = refusal_at(generation.faults.look_refusals, generation.looks)
        generation.looks += 1
        if generation.faults.retired_midway:
            raise _retired(generation.request.model)
        if status is not None:
            raise RefusedError(status)
        return generation

    def get(self, generation_id: str) -> Generation:
        """The generation without counting a look. Raises UnknownGenerationError."""
        if generation_id not in self._generations:
            raise UnknownGenerationError(generation_id)
        return self._generations[generation_id]

    async def wait(self, generation_id: str) -> Generation:
        """The generation once it is finished. Raises UnknownGenerationError."""
        generation = self.get(generation_id)
        await generation.finished.wait()
        return generation

    def cancel(self, generation_id: str) -> Generation:
        """Stop a running generation; a finished one is left as it is. Raises UnknownGenerationError."""
        generation = self.get(generation_id)
        self._count("cancels", generation.request)
        if generation.state == "running":
            self._finish(generation, "cancelled")
            self._tasks[generation_id].cancel()
        return generation

    def delete(self, generation_id: str) -> None:
        """Forget a generation and its outputs, stopping it first. Raises UnknownGenerationError."""
        generation = self.get(generation_id)
        if generation.state == "running":
            self.cancel(generation_id)
        self._forget(generation)

    def output(self, output_id: str) -> Output:
        """An output that is kept here. Raises UnknownGenerationError."""
        if output_id not in self._outputs:
            raise UnknownGenerationError(output_id)
        return self._outputs[output_id][1]

    def download(self, output_id: str) -> tuple[bytes, bool]:
        """The bytes of an output and whether this download is to be cut short. Raises UnknownGenerationError."""
        output = self.output(output_id)
        generation = self._outputs[output_id][0]
        self._count("downloads", generation.request)
        output.downloads += 1
        return output.data or b"", output.downloads <= generation.faults.truncated_downloads

    def delete_output(self, output_id: str) -> None:
        """Forget the bytes of an output. Raises UnknownGenerationError."""
        output = self.output(output_id)
        self._kept_bytes -= output.size
        del self._outputs[output_id]

    async def close(self) -> None:
        """Stop everything under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def new_id(self, length: int = 24) -> str:
        """A random id of lower-case letters and digits."""
        return "".join(self._chance.choices(_ID_LETTERS, k=length))

    def _count(self, event: str, request: Request) -> None:
        self.stats.count(event, request.prompt, request.job)

    def _start(self, request: Request, faults: Faults) -> Generation:
        now = self.clock()
        generation = Generation(self.new_id(), request, faults, now, now)
        self._generations[generation.id] = generation
        self._count("accepted", request)
        task = asyncio.get_running_loop().create_task(self._run(generation))
        self._tasks[generation.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(generation.id, None))
        return generation

    async def _run(self, generation: Generation) -> None:
        faults = generation.faults
        if faults.never_finishes:
            await asyncio.Event().wait()
        duration_s = faults.slow_s if faults.slow_s is not None else self.durations.draw(self._chance)
        try:
            films = await self._films_after(generation, duration_s)
            if faults.operation_error is not None:
                raise _OperationError(faults.operation_error, _REFUSALS[500])
            for film in films:
                generation.outputs.append(await self._delivered(generation, film))
        except _OperationError as failure:
            generation.error = failure.code, str(failure)
        except UnreadableMediaError as error:
            generation.error = _INVALID_ARGUMENT, str(error)
        except BucketError as error:
            generation.error = _PERMISSION_DENIED, str(error)
        except Exception:  # noqa: BLE001  whatever happens, a generation ends
            _LOG.exception("the generation %s failed", generation.id)
            generation.error = _INTERNAL, _REFUSALS[500]
        self._finish(generation, "failed" if generation.error else "succeeded")

    async def _films_after(self, generation: Generation, duration_s: float) -> list[bytes]:
        rendering = asyncio.ensure_future(self._films(generation))
        try:
            await self._sleep(duration_s)
            return await rendering
        finally:
            rendering.cancel()

    async def _films(self, generation: Generation) -> list[bytes]:
        """The bytes of each film that passes the filter, damaged as the prompt's words say."""
        request, faults = generation.request, generation.faults
        count = request.count
        if faults.operation_error is not None or faults.empty:
            return []
        if faults.blocked is not None:
            generation.filtered = [_FILTERED.format(code=faults.blocked)] * count
            return []
        if faults.partly_blocked and count > 1:
            generation.filtered = [_FILTERED.format(code="64151117")]
            count -= 1
        seed = request.seed if request.seed is not None else self._chance.randrange(1 << 32)
        films = [await self._render(_film(request, faults, seed + number)) for number in range(count)]
        return [_damaged(film, faults, truncate=request.storage_uri is not None) for film in films]

    async def _delivered(self, generation: Generation, film: bytes) -> Output:
        request = generation.request
        output = Output(self.new_id(12), len(film), self.clock())
        if request.storage_uri is None:
            output.data = film
            self._outputs[output.id] = generation, output
            self._kept_bytes += output.size
            return output
        if self.buckets is None:
            raise BucketError(f"{request.storage_uri} cannot be accessed: no storage service is configured.")
        # The provider chooses a folder of its own below the prefix it is given.
        folder = generation.outputs[0].uri if generation.outputs else None
        if folder is not None:
            folder = folder.rpartition("/")[0]
        else:
            folder = f"{request.storage_uri.rstrip('/')}/{self._chance.randrange(10**18, 10**19)}"
        output.uri = f"{folder}/sample_{len(generation.outputs)}.mp4"
        await self.buckets.write(output.uri, film, "video/mp4")
        return output

    def _finish(self, generation: Generation, state: State) -> None:
        if generation.state != "running":
            return
        generation.state = state
        # Inputs may be large, and finished generations are kept for long.
        generation.request = replace(generation.request, first_frame=None, last_frame=None, extends=None)
        generation.updated_at = self.clock()
        generation.finished.set()
        self._count(state, generation.request)
        for listener in self.listeners:
            listener(generation)
        self._shrink()

    def _shrink(self) -> None:
        while len(self._generations) > _KEPT_GENERATIONS or self._kept_bytes > _KEPT_BYTES:
            oldest = next((each for each in self._generations.values() if each.state != "running"), None)
            if oldest is None:
                return
            self._forget(oldest)

    def _forget(self, generation: Generation) -> None:
        del self._generations[generation.id]
        for output in generation.outputs:
            if output.id in self._outputs:
                self.delete_output(output.id)


class _OperationError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def _refuse(faults: Faults, call: int, model: str) -> None:
    if faults.retired:
        raise _retired(model)
    if faults.retired_as_denial:
        resource = f"//aiplatform.googleapis.com/publishers/google/models/{model}"
        said = f"Permission 'aiplatform.endpoints.predict' denied on resource '{resource}' (or it may not exist)."
        raise RefusedError(403, said, "retired")
    if faults.content_blocked:
        raise RefusedError(400, "The prompt was blocked because it violates usage guidelines.", "content_blocked")
    status = refusal_at(faults.create_refusals, call)
    if status is not None:
        raise RefusedError(status, retry_after_s=faults.retry_after_s)


def _retired(model: str) -> RefusedError:
    return RefusedError(404, f"This model models/{model} is no longer available. Please use a newer model.", "retired")


def _film(request: Request, faults: Faults, seed: int) -> Film:
    return Film(
        prompt=faults.title,
        width=request.width,
        height=request.height,
        seconds=request.seconds / 2 if faults.wrong_length else request.seconds,
        seed=seed % (1 << 32),
        audio=request.audio,
        caption=request.model,
        first_frame=request.first_frame,
        last_frame=request.last_frame,
        extends=request.extends,
    )


def _damaged(film: bytes, faults: Faults, *, truncate: bool) -> bytes:
    if faults.tiny_file:
        return film[:600]
    if faults.corrupt_file:
        # The first box stays, so that it still looks like an MP4 from outside.
        return film[:32] + random.Random(len(film)).randbytes(len(film) - 32)
    if truncate and faults.truncated_downloads:
        return film[: len(film) // 2]
    return film
