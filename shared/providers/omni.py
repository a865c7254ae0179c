"""Gemini Omni through the Interactions API: an interaction in the background, whose video is downloaded as a file.

Sources: the Gemini API's pages on Omni, on interactions and on files, and the google-genai SDK 3.4.
"""

from __future__ import annotations

import asyncio
import base64
import io
import re
import time
from functools import partial
from typing import BinaryIO, cast

import httpx2
from google import genai
from google.genai import errors, types
from google.genai.interactions import ContentParam, VideoContent

from shared.core.documents import Extends, Input, Job, VideoRequest
from shared.core.errors import Unavailable
from shared.platform.ports import ObjectStore
from shared.platform.provider import Create, Failed, Finished, PollResult, Rejected, Running, Throttled
from shared.platform.settings import Settings
from shared.providers import errors as faults
from shared.providers import interactions
from shared.providers.interactions import Interactions

FETCH_SILENCE_S = 30.0
# A download must end before the function's timeout (900 s).
FETCH_LIMIT_S = 600.0
# To read the inputs, and upload a large one. No lease is held meanwhile.
READ_INPUTS_S = 60.0
UPLOAD_LOOK_EVERY_S = 1.0
# A request may have 20 MB in total, and base64 turns 3 bytes into 4.
LARGEST_INLINE_BYTES = 12 * 1024 * 1024
_INLINE = "interaction:"
_INLINE_PIECE_CHARS = 1024 * 1024  # base64 characters: a multiple of 4, so that pieces can be decoded separately
# The SDK's own parser stops at the first character that isn't a lower-case letter or digit.
_FILE = re.compile(r"(?:^|/)(files/[A-Za-z0-9_-]+)(?=$|[:/?])")


class Omni:
    """The provider for the Gemini API. Operations are ids of interactions.

    A video's URI is that of its file (https://.../files/ID...), or interaction:ID if the interaction contains the
    video; downloading it then reads the interaction again.
    """

    def __init__(self, settings: Settings, media: ObjectStore) -> None:
        self._settings = settings
        self._media = media
        self._api = Interactions(self._client)

    async def prepare(self, job: Job) -> Create:
        content = await self._content(job.request)
        self._api.open()
        return partial(self._start, content)

    async def _start(self, content: list[ContentParam], job: Job, prefix: str) -> str:
        """`prefix` isn't used: the Gemini API neither reads from nor writes to buckets."""
        return await self._api.create(interactions.body(job, content))

    async def poll(self, operation: str) -> PollResult:
        async with asyncio.timeout(faults.LOOK_LIMIT_S):
            outcome = interactions.outcome(await self._api.get(operation))
            if not isinstance(outcome, VideoContent):
                return outcome
            return await self._delivered(outcome.uri) if outcome.uri else Finished((_INLINE + operation,))

    def download(self, uri: str, destination: BinaryIO) -> None:
        """Raises ValueError for a URI that isn't of the Gemini API, TimeoutError after FETCH_LIMIT_S."""
        if uri.startswith(_INLINE):
            self._fetch_inline(uri.removeprefix(_INLINE), destination)
            return
        name = _file_name(uri)
        if name is None:
            raise ValueError(f"{uri} is no file of the Gemini API")
        # The SDK sends the read timeout to the server as if it were the limit for the whole call.
        headers = {"X-Server-Timeout": str(round(FETCH_LIMIT_S))}
        options = types.HttpOptions(timeout=round(FETCH_SILENCE_S * 1000), headers=headers)
        self._api.reading.files.download(
            file=name,
            destination=cast(io.IOBase, _Limited(destination, FETCH_LIMIT_S)),
            config=types.DownloadFileConfig(http_options=options),
        )

    async def cancel(self, operation: str) -> None:
        await self._api.cancel(operation)

    async def close(self) -> None:
        await self._api.close()

    def _client(self, options: types.HttpOptions) -> genai.Client:
        return genai.Client(
            enterprise=False,  # otherwise an environment variable could switch it to Vertex AI
            api_key=self._settings.gemini_api_key,
            http_options=options.model_copy(update={"base_url": self._settings.gemini_url or None}),
        )

    async def _content(self, request: VideoRequest) -> list[ContentParam]:
        """The inputs that go with the prompt. Raises Rejected or Throttled: no create has been sent yet."""
        extends = request.extends
        try:
            async with asyncio.timeout(READ_INPUTS_S):
                parts = [await self._image(each) for each in request.inputs]
                parts += [await self._video(extends)] if extends else []
        except FileNotFoundError as error:
            raise Rejected("INPUT_GONE", f"{error} is not in the bucket any more") from error
        except (Unavailable, TimeoutError) as error:
            raise Throttled(f"the inputs could not be read: {error or 'timeout'}") from error
        return parts

    async def _image(self, image: Input) -> ContentParam:
        data = await self._media.use(image.object, _base64)
        return {"type": "image", "mime_type": image.content_type, "data": data}

    async def _video(self, extends: Extends) -> ContentParam:
        if extends.size_bytes > LARGEST_INLINE_BYTES:
            return {"type": "video", "mime_type": "video/mp4", "uri": await self._uploaded(extends)}
        return {"type": "video", "mime_type": "video/mp4", "data": await self._media.use(extends.object, _base64)}

    async def _uploaded(self, extends: Extends) -> str:
        """Upload the video as a file, which the Gemini API keeps for two days; returns its URI. Raises Throttled."""

        def upload(reader: BinaryIO) -> types.File:
            config = types.UploadFileConfig(mime_type="video/mp4")
            return self._api.reading.files.upload(file=cast(io.IOBase, reader), config=config)

        try:
            file = await self._media.use(extends.object, upload)
            while file.state == types.FileState.PROCESSING:
                await asyncio.sleep(UPLOAD_LOOK_EVERY_S)
                file = await self._api.reading.aio.files.get(name=file.name or "")
        except (httpx2.HTTPError, errors.APIError) as error:
            raise Throttled(f"the video to extend could not be uploaded: {faults.readable(str(error))}") from error
        if file.state == types.FileState.FAILED or not file.uri:
            raise Rejected("PROVIDER_ERROR", "the Gemini API could not read the video to extend")
        return file.uri

    async def _delivered(self, uri: str) -> PollResult:
        name = _file_name(uri)
        if name is None:
            return Finished((uri,))
        file = await self._api.reading.aio.files.get(name=name)
        if file.state == types.FileState.FAILED:
            message = file.error.message if file.error else None
            return Failed("PROVIDER_ERROR", faults.readable(message or "the video could not be processed"))
        # Try a file without a state.
        return Finished((uri,)) if file.state in (None, types.FileState.ACTIVE) else Running()

    def _fetch_inline(self, operation: str, destination: BinaryIO) -> None:
        video = self._api.reading.interactions.get(operation).output_video
        data = video.data if video is not None else None
        if not data:
            raise FileNotFoundError(f"the interaction {operation} has no video in it any more")
        for start in range(0, len(data), _INLINE_PIECE_CHARS):
            destination.write(base64.b64decode(data[start : start + _INLINE_PIECE_CHARS], validate=True))


class _Limited:
    """Forwards writes until the time limit, since a server that sends single bytes never hits the read timeout."""

    def __init__(self, destination: BinaryIO, limit_s: float) -> None:
        self._destination = destination
        self._limit_s = limit_s
        self._until = time.monotonic() + limit_s

    def write(self, data: bytes) -> int:
        if time.monotonic() > self._until:
            raise TimeoutError(f"the file was not there after {self._limit_s:g} s")
        return self._destination.write(data)


def _base64(reader: BinaryIO) -> str:
    return base64.b64encode(reader.read()).decode()


def _file_name(uri: str) -> str | None:
    found = _FILE.search(uri)
    return found[1] if found else None
