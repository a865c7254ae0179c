"""Gemini Omni through the Interactions API: an interaction in the background, whose video is fetched as a file.

Sources: the Gemini API's pages on Omni, on interactions and on files, and the google-genai SDK 3.4.
"""

from __future__ import annotations

import asyncio
import base64
import io
import re
import time
from collections.abc import Mapping
from functools import cached_property, partial
from typing import BinaryIO, Literal, cast

import httpx2
from google import genai
from google.genai import errors, types
from google.genai.interactions import (
    ContentParam,
    CreateModelInteractionParam,
    GenerationConfigParam,
    Interaction,
    ModelOutputStep,
    ModelParam,
    StepParam,
)

from shared import log
from shared.errors import Unavailable
from shared.generators import faults
from shared.generators.catalog import MODELS
from shared.generators.protocol import Broken, Busy, Finished, Look, Refused, Running, Start
from shared.models import Extends, Input, InputRole, Job, VideoRequest
from shared.ports import Media
from shared.settings import Settings

FETCH_SILENCE_S = 30.0
# A fetch must end, one way or the other, before the function that waits for it does (900 s).
FETCH_LIMIT_S = 600.0
# Reading what a video is made from, and uploading it where it is large; no lease is held meanwhile.
READ_INPUTS_S = 60.0
UPLOAD_LOOK_EVERY_S = 1.0
# A request may have 20 MB in all, and base64 makes of 3 bytes 4.
LARGEST_INLINE_BYTES = 12 * 1024 * 1024
_FRAME_TAGS: Mapping[InputRole, str] = {"first_frame": "<FIRST_FRAME>", "last_frame": "<LAST_FRAME>"}
_INLINE = "interaction:"
_INLINE_PIECE_CHARS = 1024 * 1024  # of base64: a multiple of 4, so that each piece is decoded by itself
# The whole name: the SDK's own parser stops at the first character that is no lower-case letter or digit.
_FILE = re.compile(r"(?:^|/)(files/[A-Za-z0-9_-]+)(?=$|[:/?])")

# The states that an interaction does not leave by itself, and what they mean when nothing more is told.
# `requires_continuation` is not among them: in the background the service continues by itself. Neither is a state that
# we do not know: the job's deadline ends the wait for it.
_GIVEN_UP = {
    "failed": Broken("PROVIDER_ERROR", "the interaction failed"),
    "cancelled": Broken("PROVIDER_ERROR", "the interaction was cancelled"),
}
_WITHOUT_VIDEO = {
    "completed": Broken("PROVIDER_ERROR", "the interaction completed without a video"),
    "incomplete": Broken("PROVIDER_ERROR", "the model stopped before the video was done"),
    # It asks for the result of a tool. It was given none, so nobody will ever answer.
    "requires_action": Broken("PROVIDER_ERROR", "the model asked for a tool instead of making a video"),
    # Ours is not a budget that a user could raise or a prompt could fit into.
    "budget_exceeded": Broken("PROVIDER_DENIED", "the budget for the model is used up"),
}


class Omni:
    """The Generator of the Gemini API. Operations are ids of interactions.

    A video's URI is its file's (https://.../files/ID...), or interaction:ID when it came inside the interaction; then
    the interaction is read again to fetch it.
    """

    def __init__(self, settings: Settings, media: Media) -> None:
        self._settings = settings
        self._media = media

    async def prepare(self, job: Job) -> Start:
        content = await self._content(job.request)
        _ = self._creating.aio.interactions
        return partial(self._start, content)

    async def _start(self, content: list[ContentParam] | None, job: Job, prefix: str) -> str:
        """`prefix` is not sent: the Gemini API writes to no bucket, and reads from none."""
        with faults.of_create():
            async with asyncio.timeout(faults.CREATE_TIMEOUT_S + 1):
                created = await self._creating.aio.interactions.create(request={"body": _body(job, content)})
        operation = cast(Interaction, created).id
        if not operation:
            raise RuntimeError("the Gemini API accepted a create and named no interaction")
        return operation

    async def look(self, operation: str) -> Look:
        async with asyncio.timeout(faults.LOOK_LIMIT_S):
            interaction = await self._reading.aio.interactions.get(operation)
            return await self._judged(operation, interaction)

    def fetch(self, uri: str, destination: BinaryIO) -> None:
        """Raises ValueError for a URI that is not of the Gemini API, TimeoutError after FETCH_LIMIT_S."""
        if uri.startswith(_INLINE):
            self._fetch_inline(uri.removeprefix(_INLINE), destination)
            return
        name = _file_name(uri)
        if name is None:
            raise ValueError(f"{uri} is no file of the Gemini API")
        # The SDK tells the server of the timeout, as if it were the whole call's; it is the longest silence.
        headers = {"X-Server-Timeout": str(round(FETCH_LIMIT_S))}
        options = types.HttpOptions(timeout=round(FETCH_SILENCE_S * 1000), headers=headers)
        self._reading.files.download(
            file=name,
            destination=cast(io.IOBase, _Limited(destination, FETCH_LIMIT_S)),
            config=types.DownloadFileConfig(http_options=options),
        )

    async def cancel(self, operation: str) -> None:
        """A refusal is only logged: the interaction has ended, or is not there. Other failures may be tried again."""
        try:
            await self._reading.aio.interactions.cancel(operation)
        except Exception as error:
            if faults.status_of(error) not in (400, 404, 409):
                raise
            log.info("cancel_refused", operation=operation, error=faults.readable(str(error)))

    async def close(self) -> None:
        """Close the connections of the running event loop; the next call opens new ones."""
        for name in ("_creating", "_reading"):
            if client := self.__dict__.pop(name, None):
                await client.aio.aclose()
                client.close()

    @cached_property
    def _creating(self) -> genai.Client:
        # By default the SDK sends a create five times; there is no idempotency key, so each may be a billed video.
        return self._client(faults.CREATE_TIMEOUT_S, types.HttpRetryOptions(attempts=1))

    @cached_property
    def _reading(self) -> genai.Client:
        wait_s = faults.LOOK_FIRST_WAIT_S
        retry = types.HttpRetryOptions(attempts=faults.LOOK_ATTEMPTS, initial_delay=wait_s, jitter=wait_s)
        return self._client(faults.LOOK_TIMEOUT_S, retry)

    def _client(self, timeout_s: float, retry: types.HttpRetryOptions) -> genai.Client:
        return genai.Client(
            enterprise=False,  # or a variable of the environment could turn it into Vertex AI's
            api_key=self._settings.gemini_api_key,
            http_options=types.HttpOptions(
                base_url=self._settings.gemini_url or None, timeout=round(timeout_s * 1000), retry_options=retry
            ),
        )

    async def _content(self, request: VideoRequest) -> list[ContentParam] | None:
        """What the prompt is given with; None for nothing. Raises Refused or Busy: nothing was sent to make it yet."""
        extends = request.extends
        if not request.inputs and extends is None:
            return None
        try:
            async with asyncio.timeout(READ_INPUTS_S):
                parts = [await self._image(each) for each in request.inputs]
                parts += [await self._video(extends)] if extends else []
        except FileNotFoundError as error:
            raise Refused("INPUT_GONE", f"{error} is not in the bucket any more") from error
        except (Unavailable, TimeoutError) as error:
            raise Busy(f"the inputs could not be read: {error or 'timeout'}") from error
        return [*parts, {"type": "text", "text": _tagged(request)}]

    async def _image(self, image: Input) -> ContentParam:
        data = await self._media.use(image.object, _base64)
        return {"type": "image", "mime_type": image.content_type, "data": data}

    async def _video(self, extends: Extends) -> ContentParam:
        if extends.size_bytes > LARGEST_INLINE_BYTES:
            return {"type": "video", "mime_type": "video/mp4", "uri": await self._uploaded(extends)}
        return {"type": "video", "mime_type": "video/mp4", "data": await self._media.use(extends.object, _base64)}

    async def _uploaded(self, extends: Extends) -> str:
        """The URI of the video as a file of the Gemini API, which forgets it after two days. Raises Busy."""

        def upload(reader: BinaryIO) -> types.File:
            config = types.UploadFileConfig(mime_type="video/mp4")
            return self._reading.files.upload(file=cast(io.IOBase, reader), config=config)

        try:
            file = await self._media.use(extends.object, upload)
            while file.state == types.FileState.PROCESSING:
                await asyncio.sleep(UPLOAD_LOOK_EVERY_S)
                file = await self._reading.aio.files.get(name=file.name or "")
        except (httpx2.HTTPError, errors.APIError) as error:
            raise Busy(f"the video to extend could not be uploaded: {faults.readable(str(error))}") from error
        if file.state == types.FileState.FAILED or not file.uri:
            raise Refused("PROVIDER_ERROR", "the Gemini API could not read the video to extend")
        return file.uri

    async def _judged(self, operation: str, interaction: Interaction) -> Look:
        if interaction.status in _GIVEN_UP:
            return _fault(interaction) or _GIVEN_UP[interaction.status]
        if interaction.status not in _WITHOUT_VIDEO:
            return Running()
        # Success is a video, whatever the state is called; whether it is the one that was asked for shows in its bytes.
        video = interaction.output_video
        if video is not None and video.uri:
            return await self._delivered(video.uri)
        if video is not None and video.data:
            return Finished((_INLINE + operation,))
        return _without_video(interaction)

    async def _delivered(self, uri: str) -> Look:
        name = _file_name(uri)
        if name is None:
            return Finished((uri,))
        file = await self._reading.aio.files.get(name=name)
        if file.state == types.FileState.FAILED:
            message = file.error.message if file.error else None
            return Broken("PROVIDER_ERROR", faults.readable(message or "the video could not be processed"))
        # A file of which no state is told is there to be tried.
        return Finished((uri,)) if file.state in (None, types.FileState.ACTIVE) else Running()

    def _fetch_inline(self, operation: str, destination: BinaryIO) -> None:
        video = self._reading.interactions.get(operation).output_video
        data = video.data if video is not None else None
        if not data:
            raise FileNotFoundError(f"the interaction {operation} has no video in it any more")
        for start in range(0, len(data), _INLINE_PIECE_CHARS):
            destination.write(base64.b64decode(data[start : start + _INLINE_PIECE_CHARS], validate=True))


class _Limited:
    """Passes writes on until the time is over; a server that sends a byte now and then is never silent."""

    def __init__(self, destination: BinaryIO, limit_s: float) -> None:
        self._destination = destination
        self._limit_s = limit_s
        self._until = time.monotonic() + limit_s

    def write(self, data: bytes) -> int:
        if time.monotonic() > self._until:
            raise TimeoutError(f"the file was not there after {self._limit_s:g} s")
        return self._destination.write(data)


def _body(job: Job, content: list[ContentParam] | None) -> CreateModelInteractionParam:
    request = job.request
    body: CreateModelInteractionParam = {
        "model": cast(ModelParam, MODELS[request.model].remote),
        "background": True,
        "input": request.prompt,
        "response_format": {
            "type": "video",
            "aspect_ratio": request.aspect_ratio,
            "duration": f"{request.seconds}s",
            "resolution": request.resolution,
            "delivery": "uri",
        },
    }
    if content is not None:
        steps: list[StepParam] = [{"type": "user_input", "content": content}]
        body["input"] = steps
    config: GenerationConfigParam = {}
    if request.seed is not None:
        config["seed"] = request.seed
    task = _task(request)
    if task is not None:
        config["video_config"] = {"task": task}
    if config:
        body["generation_config"] = config
    return body


def _task(request: VideoRequest) -> Literal["extend", "reference_to_video", "image_to_video"] | None:
    if request.extends is not None:
        return "extend"
    roles = {each.role for each in request.inputs}
    if "reference" in roles:
        return "reference_to_video"
    return "image_to_video" if roles else None


def _tagged(request: VideoRequest) -> str:
    """The prompt after the tags that say what each image is for; those that the prompt has itself are not said twice.

    References are counted from 0.
    """
    tags = [_FRAME_TAGS[each.role] for each in request.inputs if each.role in _FRAME_TAGS]
    tags += [f"<IMAGE_REF_{number}>" for number in range(sum(each.role == "reference" for each in request.inputs))]
    return " ".join([*(tag for tag in tags if tag not in request.prompt), request.prompt])


def _base64(reader: BinaryIO) -> str:
    return base64.b64encode(reader.read()).decode()


def _file_name(uri: str) -> str | None:
    found = _FILE.search(uri)
    return found[1] if found else None


def _without_video(interaction: Interaction) -> Broken:
    told = _fault(interaction)
    if told is not None:
        return told
    text = interaction.output_text
    if interaction.status == "completed" and text:
        # A model that refuses does not fail: it is done, and says why.
        return Broken("SAFETY_BLOCKED", faults.readable(text))
    return _WITHOUT_VIDEO[interaction.status]


def _fault(interaction: Interaction) -> Broken | None:
    """The first error that is told, of the interaction or of one of its steps."""
    for error in interaction.errors or []:
        return faults.broken_by_name(error.code or "", error.message or "")
    for step in interaction.steps or []:
        if isinstance(step, ModelOutputStep) and step.error is not None:
            return faults.broken(step.error.code, step.error.message or "the model failed")
    return None
