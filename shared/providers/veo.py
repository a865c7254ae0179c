"""Veo on Vertex AI: a long-running operation that writes its videos directly to our bucket.

Sources: Vertex AI's reference of predictLongRunning and fetchPredictOperation, and the google-genai SDK 3.4.
"""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import BinaryIO

from google import genai
from google.genai import types

from shared.core.catalog import MODELS
from shared.core.documents import InputRole, Job, VideoRequest
from shared.platform.provider import Create, Failed, Finished, PollResult, Running
from shared.platform.settings import Settings
from shared.providers import errors
from shared.providers.vertex import Vertex, label


class Veo:
    """The provider for Veo on Vertex AI. Operations are resource names: projects/P/locations/L/.../operations/ID."""

    def __init__(self, settings: Settings) -> None:
        self._location = settings.vertex_location
        self._vertex = Vertex(settings)

    async def prepare(self, job: Job) -> Create:
        """Raises Throttled while no access token is available, or GoogleAuthError if only an operator can fix that."""
        await self._vertex.authorize()
        _ = self._client
        return self.start

    async def start(self, job: Job, prefix: str) -> str:
        with errors.of_create():
            async with asyncio.timeout(errors.CREATE_TIMEOUT_S + 1):
                operation = await self._client.aio.models.generate_videos(
                    model=MODELS[job.request.model].remote,
                    source=self._source(job.request),
                    config=self._config(job, prefix),
                )
        if not operation.name:
            raise RuntimeError("Vertex AI accepted a create and named no operation")
        return operation.name

    async def poll(self, operation: str) -> PollResult:
        async with asyncio.timeout(errors.LOOK_LIMIT_S):
            await self._vertex.refresh()
            state = await self._client.aio.operations.get(
                types.GenerateVideosOperation.model_validate({"name": operation}),
                config=types.GetOperationConfig(http_options=_look_options()),
            )
        if not state.done:
            return Running()
        if state.error:
            code, message = state.error.get("code"), state.error.get("message")
            return errors.broken(code if isinstance(code, int) else None, str(message or "the operation failed"))
        return _finished(state.response)

    def download(self, uri: str, destination: BinaryIO) -> None:
        """Raises ValueError: Vertex AI writes its videos to the bucket, so there is nothing to download."""
        raise ValueError(f"{uri} is not in the bucket that Vertex AI writes to")

    async def cancel(self, operation: str) -> None:
        """Does nothing: Veo's operations can't be canceled."""

    async def close(self) -> None:
        """Close the connections of the running event loop; the next call opens new ones."""
        if client := self.__dict__.pop("_client", None):
            await client.aio.aclose()
            client.close()

    @cached_property
    def _client(self) -> genai.Client:
        return self._vertex.client(self._location, types.HttpOptions())

    def _source(self, request: VideoRequest) -> types.GenerateVideosSource:
        extends = request.extends
        video = types.Video(uri=self._vertex.uri(extends.object), mime_type="video/mp4") if extends else None
        return types.GenerateVideosSource(
            prompt=request.prompt, image=next(iter(self._images(request, "first_frame")), None), video=video
        )

    def _images(self, request: VideoRequest, role: InputRole) -> list[types.Image]:
        return [
            types.Image(gcs_uri=self._vertex.uri(each.object), mime_type=each.content_type)
            for each in request.inputs
            if each.role == role
        ]

    def _config(self, job: Job, prefix: str) -> types.GenerateVideosConfig:
        request = job.request
        references = [
            types.VideoGenerationReferenceImage(image=image, reference_type=types.VideoGenerationReferenceType.ASSET)
            for image in self._images(request, "reference")
        ]
        return types.GenerateVideosConfig(
            http_options=_create_options(),
            number_of_videos=request.count,
            output_gcs_uri=self._vertex.uri(prefix),
            last_frame=next(iter(self._images(request, "last_frame")), None),
            reference_images=references or None,
            # An extension keeps its video's aspect ratio and has a fixed length.
            duration_seconds=None if request.extends else request.seconds,
            seed=request.seed,
            aspect_ratio=None if request.extends else request.aspect_ratio,
            resolution=request.resolution,
            person_generation=request.person_generation,
            negative_prompt=request.negative_prompt,
            generate_audio=request.generate_audio,
            labels={"job": label(job.id)},
        )


def _create_options() -> types.HttpOptions:
    # Vertex AI has no idempotency key: a second request makes, and bills, a second video.
    return types.HttpOptions(
        timeout=round(errors.CREATE_TIMEOUT_S * 1000), retry_options=types.HttpRetryOptions(attempts=1)
    )


def _look_options() -> types.HttpOptions:
    return types.HttpOptions(
        timeout=round(errors.LOOK_TIMEOUT_S * 1000),
        retry_options=types.HttpRetryOptions(
            attempts=errors.LOOK_ATTEMPTS,
            initial_delay=errors.LOOK_FIRST_WAIT_S,
            jitter=errors.LOOK_FIRST_WAIT_S,
        ),
    )


def _finished(response: types.GenerateVideosResponse | None) -> PollResult:
    videos = (response.generated_videos if response else None) or []
    # A video without a URI came inline: it isn't in the bucket and can't be read again.
    uris = tuple(video.video.uri for video in videos if video.video and video.video.uri)
    filtered = (response.rai_media_filtered_count if response else None) or 0
    reason = errors.readable_all((response.rai_media_filtered_reasons if response else None) or [])
    if uris or filtered:
        return Finished(uris, filtered, reason)
    return Failed("PROVIDER_ERROR", reason or "the operation ended without a video in the bucket")
