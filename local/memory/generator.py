"""The providers without HTTP: an engine that renders real films, and a script that plays outcomes back.

They keep the promises of the real ones: Vertex AI writes files under the prefix it is given, the Gemini API keeps them
until they are fetched, and only Omni can be stopped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import BinaryIO, Final, Literal

from local.memory.media import MemoryObjectStore
from local.providers.buckets import BucketError, split_uri
from local.providers.engine import (
    AnswerLostError,
    Engine,
    Generation,
    RefusedError,
    Request,
    UnknownGenerationError,
)
from shared.core.catalog import MODELS
from shared.core.documents import Job
from shared.platform.ports import ObjectExists, ObjectStore
from shared.platform.provider import Create, Failed, Finished, PollResult, Rejected, Running, Throttled
from shared.providers import errors
from shared.providers.vertex import label

Provider = Literal["vertex", "vertex-omni", "gemini"]

CHUNK_BYTES: Final = 1 << 20
FILES_URL: Final = "https://generativelanguage.googleapis.com/v1beta/files/"
_FILE_ID: Final = re.compile(r"files/([A-Za-z0-9]+)")
# What the providers' HTTP statuses mean for a create; the message of a 400 says more.
_REFUSALS: Final = {401: "PROVIDER_DENIED", 403: "PROVIDER_DENIED", 404: "MODEL_RETIRED"}
# Nothing else proves that nothing began.
_BUSY: Final = 429


class MediaBuckets:
    """The bucket of a MemoryObjectStore, as the engine writes to it: by gs:// URI."""

    def __init__(self, media: MemoryObjectStore) -> None:
        self._media = media

    async def read(self, uri: str) -> bytes:
        try:
            return await self._media.use(self._name(uri), lambda reader: reader.read())
        except FileNotFoundError:
            raise BucketError(f"The object {uri} was not found.") from None

    async def write(self, uri: str, data: bytes, content_type: str) -> None:
        try:
            await self._media.write(self._name(uri), _writing(data), content_type)
        except ObjectExists as error:
            raise BucketError(f"{uri} exists already.") from error

    def _name(self, uri: str) -> str:
        bucket, name = split_uri(uri)
        if bucket != self._media.bucket:
            raise BucketError(f"The bucket {bucket} does not exist.")
        return name


class MemoryGenerator:
    """One provider over an engine. `accepted` gets each generation and its operation's name, as by webhook."""

    def __init__(
        self,
        provider: Provider,
        engine: Engine,
        media: ObjectStore,
        accepted: Callable[[Generation, str], None] = lambda generation, name: None,
    ) -> None:
        self._writes = provider != "gemini"
        self._interacts = provider != "vertex"
        self._engine = engine
        self._media = media
        self._accepted = accepted

    async def prepare(self, job: Job) -> Create:
        return partial(self._start, await self._request(job))

    async def _start(self, request: Request, job: Job, prefix: str) -> str:
        if self._writes:
            request = replace(request, storage_uri=f"gs://{self._media.bucket}/{prefix}")
        try:
            generation = await self._engine.create(request)
        except AnswerLostError as lost:
            self._accepted(lost.generation, self._name(lost.generation))
            raise ConnectionError(str(lost)) from lost
        except RefusedError as refusal:
            raise _translated(refusal) from refusal
        name = self._name(generation)
        self._accepted(generation, name)
        return name

    async def poll(self, operation: str) -> PollResult:
        generation = await self._engine.poll(_generation_id(operation))
        if generation.state == "running":
            return Running()
        if generation.error is not None:
            return errors.broken(*generation.error)
        if generation.state == "cancelled":
            return Failed("PROVIDER_ERROR", "the generation was cancelled")
        outputs = [] if generation.faults.unnamed else generation.outputs
        uris = tuple(output.uri or f"{FILES_URL}{output.id}:download?alt=media" for output in outputs)
        reason = errors.readable_all(generation.filtered)
        if self._interacts and not uris and generation.filtered:
            return Failed("SAFETY_BLOCKED", reason or "the prompt was refused")
        if self._interacts and self._writes and not uris:
            raise LookupError("the interaction completed without a video")
        if uris or generation.filtered:
            return Finished(uris, len(generation.filtered), reason)
        return Failed("PROVIDER_ERROR", "the generation ended without a video")

    def download(self, uri: str, destination: BinaryIO) -> None:
        data, cut = self._engine.download(_file_id(uri))
        end = len(data) // 2 if cut else len(data)
        _write_in_pieces(data[:end], destination)
        if cut:
            raise ConnectionError(f"the download ended after {end} of {len(data)} bytes")

    async def cancel(self, operation: str) -> None:
        if self._interacts:
            try:
                self._engine.cancel(_generation_id(operation))
            except UnknownGenerationError:
                return

    async def _request(self, job: Job) -> Request:
        """Raises Refused when what the video is to be made from is not there any more."""
        wanted = job.request
        try:
            images = {each.role: await self._media.use(each.object, _bytes) for each in wanted.inputs}
            extends = await self._media.use(wanted.extends.object, _bytes) if wanted.extends else None
        except FileNotFoundError as error:
            raise Rejected("INPUT_GONE", f"{error} is not in the bucket any more") from error
        width, height = wanted.dimensions_px
        return Request(
            model=MODELS[wanted.model].remote,
            prompt=wanted.prompt,
            seconds=wanted.seconds,
            width=width,
            height=height,
            count=wanted.count,
            seed=wanted.seed,
            audio=wanted.generate_audio,
            # As on the wire: only Vertex AI gets a bucket and the job.
            first_frame=images.get("first_frame"),
            last_frame=images.get("last_frame"),
            extends=extends,
            labels={"job": label(job.id)} if self._writes else {},
        )

    def _name(self, generation: Generation) -> str:
        if self._interacts:
            return f"v1_{generation.id}"
        parent = f"projects/local/locations/us-central1/publishers/google/models/{generation.request.model}"
        return f"{parent}/operations/{generation.id}"


@dataclass(frozen=True)
class Videos:
    """A look's outcome: the generation is done, and this many of its videos are there."""

    count: int = 1
    filtered: int = 0
    reason: str | None = None


@dataclass
class Script:
    """What one job's creates and looks come to, in their order; the last look's outcome stands for all later ones.

    A create is accepted (None) or raises; a LostAnswer is raised after the generation was accepted. Preparations and
    creates beyond their lists go well.
    """

    prepares: Sequence[Exception | None] = ()
    creates: Sequence[Exception | None] = ()
    looks: Sequence[PollResult | Videos | Exception] = (Videos(),)
    fetches: Sequence[Exception | None] = ()


class LostAnswer(ConnectionError):  # noqa: N818 - reads as the state it names
    """The create was accepted, but its answer is lost."""


@dataclass
class Started:
    """One generation that was accepted."""

    job: Job
    prefix: str
    operation: str
    script: Script
    looks: int = 0
    uris: tuple[str, ...] = ()
    cancelled: bool = False


@dataclass
class ScriptedGenerator:
    """Plays scripts back, without rendering: every finished video is `video`, the bytes of a small MP4.

    `script` is that of every job, or chosen by job. With `media` it writes videos there itself, as Vertex AI does, at
    the look that finds them done, or at once when the create's answer is lost; without, they are there to be fetched.
    """

    script: Script | Callable[[Job], Script] = field(default_factory=Script)
    video: bytes = b""
    media: MemoryObjectStore | None = None
    prepared: list[Job] = field(default_factory=list)
    creates: list[Job] = field(default_factory=list)
    started: dict[str, Started] = field(default_factory=dict)
    fetches: list[str] = field(default_factory=list)

    async def prepare(self, job: Job) -> Create:
        outcomes = self._script(job).prepares
        number = sum(prepared.id == job.id for prepared in self.prepared)
        self.prepared.append(job)
        outcome = outcomes[number] if number < len(outcomes) else None
        if outcome is not None:
            raise outcome
        return self.start

    def _script(self, job: Job) -> Script:
        return self.script(job) if callable(self.script) else self.script

    async def start(self, job: Job, prefix: str) -> str:
        script = self._script(job)
        number = sum(created.id == job.id for created in self.creates)
        self.creates.append(job)
        outcome = script.creates[number] if number < len(script.creates) else None
        if outcome is not None and not isinstance(outcome, LostAnswer):
            raise outcome
        generation = Started(job, prefix, f"operations/{job.id}-{number}", script)
        self.started[generation.operation] = generation
        if outcome is not None:
            # Nobody polls it, so its result appears by itself.
            last = script.looks[-1]
            if isinstance(last, Videos):
                await self._finish(generation, last)
            raise outcome
        return generation.operation

    async def poll(self, operation: str) -> PollResult:
        generation = self.started[operation]
        outcome = generation.script.looks[min(generation.looks, len(generation.script.looks) - 1)]
        generation.looks += 1
        if isinstance(outcome, Exception):
            raise outcome
        return await self._finish(generation, outcome) if isinstance(outcome, Videos) else outcome

    def download(self, uri: str, destination: BinaryIO) -> None:
        generation = next(each for each in self.started.values() if uri in each.uris)
        number = self.fetches.count(uri)
        self.fetches.append(uri)
        cuts = generation.script.fetches
        outcome = cuts[number] if number < len(cuts) else None
        if outcome is None:
            _write_in_pieces(self.video, destination)
            return
        _write_in_pieces(self.video[: len(self.video) // 2], destination)
        raise outcome

    async def cancel(self, operation: str) -> None:
        if operation in self.started:
            self.started[operation].cancelled = True

    async def _finish(self, generation: Started, videos: Videos) -> Finished:
        if not generation.uris:
            generation.uris = tuple([await self._video(generation, index) for index in range(videos.count)])
        return Finished(generation.uris, videos.filtered, videos.reason)

    async def _video(self, generation: Started, index: int) -> str:
        if self.media is None:
            return f"{FILES_URL}{generation.operation.rpartition('/')[2]}-{index}:download?alt=media"
        uri = f"gs://{self.media.bucket}/{generation.prefix}1/sample_{index}.mp4"
        await MediaBuckets(self.media).write(uri, self.video, "video/mp4")
        return uri


def _translated(refusal: RefusedError) -> Exception:
    said = str(refusal)
    if refusal.status == _BUSY:
        return Throttled(said, refusal.retry_after_s)
    if refusal.status == 400:
        return Rejected(errors.rejection(f"{refusal.reason} {said}"), said)
    if refusal.reason == "retired":
        return Rejected("MODEL_RETIRED", said)
    if refusal.status in _REFUSALS:
        return Rejected(_REFUSALS[refusal.status], said)
    return ConnectionError(f"{refusal.status}: {said}")


def _generation_id(operation: str) -> str:
    return operation.rpartition("/")[2].removeprefix("v1_")


def _file_id(uri: str) -> str:
    found = _FILE_ID.search(uri)
    if found is None:
        raise FileNotFoundError(uri)
    return found[1]


def _bytes(reader: BinaryIO) -> bytes:
    return reader.read()


def _writing(data: bytes) -> Callable[[BinaryIO], None]:
    return lambda destination: _write_in_pieces(data, destination)


def _write_in_pieces(data: bytes, destination: BinaryIO) -> None:
    for start in range(0, len(data), CHUNK_BYTES):
        destination.write(data[start : start + CHUNK_BYTES])
