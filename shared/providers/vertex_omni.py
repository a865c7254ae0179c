"""Gemini Omni on Vertex AI: an interaction in the background, whose video is written to our bucket.

Sources: Google's pages on Omni in the Agent Platform, and the google-genai SDK 3.4.
"""

from __future__ import annotations

import asyncio
from typing import BinaryIO

from google import genai
from google.genai import types
from google.genai.interactions import ContentParam, VideoContent

from shared.core.documents import Job, VideoRequest
from shared.platform.provider import Create, Failed, Finished, PollResult
from shared.platform.settings import Settings
from shared.providers import errors, interactions
from shared.providers.interactions import Interactions
from shared.providers.vertex import Vertex, label

# The only location that has Omni.
LOCATION = "global"


class VertexOmni:
    """The provider for Omni on Vertex AI. Operations are ids of interactions within the project."""

    def __init__(self, settings: Settings) -> None:
        self._vertex = Vertex(settings)
        self._api = Interactions(self._client)

    async def prepare(self, job: Job) -> Create:
        """Raises Throttled while no access token is available, or GoogleAuthError if only an operator can fix that."""
        await self._vertex.authorize()
        self._api.open()
        return self._start

    async def _start(self, job: Job, prefix: str) -> str:
        body = interactions.body(
            job, self._content(job.request), gcs_uri=self._vertex.uri(prefix), labels={"job": label(job.id)}
        )
        return await self._api.create(body)

    async def poll(self, operation: str) -> PollResult:
        """Raises LookupError if the interaction completed without a video or a reason: the video may still be in the
        bucket, as users of Vertex AI have reported, so the caller looks there."""
        async with asyncio.timeout(errors.LOOK_LIMIT_S):
            await self._vertex.refresh()
            outcome = interactions.outcome(await self._api.get(operation))
        if outcome == interactions.NOTHING:
            raise LookupError(outcome.reason)
        if not isinstance(outcome, VideoContent):
            return outcome
        if not outcome.uri:
            return Failed("PROVIDER_ERROR", "the interaction ended without a video in the bucket")
        return Finished((outcome.uri,))

    def download(self, uri: str, destination: BinaryIO) -> None:
        """Raises ValueError: Vertex AI writes its videos to the bucket, so there is nothing to download."""
        raise ValueError(f"{uri} is not in the bucket that Vertex AI writes to")

    async def cancel(self, operation: str) -> None:
        await self._vertex.refresh()
        await self._api.cancel(operation)

    async def close(self) -> None:
        await self._api.close()

    def _client(self, options: types.HttpOptions) -> genai.Client:
        return self._vertex.client(LOCATION, options)

    def _content(self, request: VideoRequest) -> list[ContentParam]:
        """The inputs that go with the prompt, as URIs: responses to polls repeat all inline content."""
        content: list[ContentParam] = [
            {"type": "image", "mime_type": each.content_type, "uri": self._vertex.uri(each.object)}
            for each in request.inputs
        ]
        if request.extends:
            uri = self._vertex.uri(request.extends.object)
            content.append({"type": "video", "mime_type": "video/mp4", "uri": uri})
        return content
