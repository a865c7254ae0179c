"""The Interactions API, for both of Omni's providers: the body of a create, and the outcome of an interaction.

Sources: Google's pages on Omni and on interactions, and the google-genai SDK 3.4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Literal, cast

from google import genai
from google.genai import types
from google.genai.interactions import (
    ContentParam,
    CreateModelInteractionParam,
    GenerationConfigParam,
    Interaction,
    ModelOutputStep,
    ModelParam,
    StepParam,
    VideoContent,
    VideoResponseFormatParam,
)

from shared.core.catalog import MODELS
from shared.core.documents import InputRole, Job, VideoRequest
from shared.platform import log
from shared.platform.provider import Failed, Running
from shared.providers import errors

_FRAME_TAGS: Mapping[InputRole, str] = {"first_frame": "<FIRST_FRAME>", "last_frame": "<LAST_FRAME>"}

# Completed, but with neither a video nor a reason.
NOTHING = Failed("PROVIDER_ERROR", "the interaction completed without a video")
# The states that are final for us, and what they mean if the interaction gives no reason.
# `requires_continuation` isn't one of them: in the background the service continues by itself. Neither is an unknown
# state: the job's deadline ends the wait.
_GIVEN_UP = {
    "failed": Failed("PROVIDER_ERROR", "the interaction failed"),
    "cancelled": Failed("PROVIDER_ERROR", "the interaction was cancelled"),
}
_WITHOUT_VIDEO = {
    "completed": NOTHING,
    "incomplete": Failed("PROVIDER_ERROR", "the model stopped before the video was done"),
    # It waits for the result of a tool, but we never give it tools.
    "requires_action": Failed("PROVIDER_ERROR", "the model asked for a tool instead of making a video"),
    # This is the operator's budget; users can't change anything about it.
    "budget_exceeded": Failed("PROVIDER_DENIED", "the budget for the model is used up"),
}


class Interactions:
    """Calls of the API with time limits. `connect` creates a client with the given options."""

    def __init__(self, connect: Callable[[types.HttpOptions], genai.Client]) -> None:
        self._connect = connect

    def open(self) -> None:
        """Create the client for a create in advance."""
        _ = self.creating.aio.interactions

    async def create(self, body: CreateModelInteractionParam) -> str:
        """Start an interaction, without retries; returns its id.

        Raises Rejected or Throttled; after any other exception the outcome is unknown.
        """
        with errors.of_create():
            async with asyncio.timeout(errors.CREATE_TIMEOUT_S + 1):
                created = await self.creating.aio.interactions.create(request={"body": body})
        operation = cast(Interaction, created).id
        if not operation:
            raise RuntimeError("a create was accepted and names no interaction")
        return operation

    async def get(self, operation: str) -> Interaction:
        return await self.reading.aio.interactions.get(operation)

    async def cancel(self, operation: str) -> None:
        """Cancel an interaction. If it has ended or doesn't exist, that is only logged; other errors can be retried."""
        try:
            await self.reading.aio.interactions.cancel(operation)
        except Exception as error:
            if errors.status_of(error) not in (400, 404, 409):
                raise
            log.info("cancel_refused", operation=operation, error=errors.readable(str(error)))

    async def close(self) -> None:
        """Close the connections of the running event loop; the next call opens new ones."""
        for name in ("creating", "reading"):
            if client := self.__dict__.pop(name, None):
                await client.aio.aclose()
                client.close()

    @cached_property
    def creating(self) -> genai.Client:
        # By default the SDK tries a create five times; without an idempotency key, each may become a billed video.
        return self._client(errors.CREATE_TIMEOUT_S, types.HttpRetryOptions(attempts=1))

    @cached_property
    def reading(self) -> genai.Client:
        wait_s = errors.LOOK_FIRST_WAIT_S
        retry = types.HttpRetryOptions(attempts=errors.LOOK_ATTEMPTS, initial_delay=wait_s, jitter=wait_s)
        return self._client(errors.LOOK_TIMEOUT_S, retry)

    def _client(self, timeout_s: float, retry: types.HttpRetryOptions) -> genai.Client:
        return self._connect(types.HttpOptions(timeout=round(timeout_s * 1000), retry_options=retry))


def body(
    job: Job, content: list[ContentParam], gcs_uri: str | None = None, labels: Mapping[str, str] | None = None
) -> CreateModelInteractionParam:
    """The body of a create. `content` are the inputs that go before the prompt, if any; `gcs_uri` is where Vertex AI
    writes the video."""
    request = job.request
    output: VideoResponseFormatParam = {
        "type": "video",
        "aspect_ratio": request.aspect_ratio,
        "duration": f"{request.seconds}s",
        "resolution": request.resolution,
        "delivery": "uri",
    }
    if gcs_uri is not None:
        output["gcs_uri"] = gcs_uri
    sent: CreateModelInteractionParam = {
        "model": cast(ModelParam, MODELS[request.model].remote),
        "background": True,
        "input": request.prompt,
        "response_format": output,
    }
    if content:
        text: ContentParam = {"type": "text", "text": _tagged(request)}
        steps: list[StepParam] = [{"type": "user_input", "content": [*content, text]}]
        sent["input"] = steps
    if config := _generation_config(request):
        sent["generation_config"] = config
    if labels:
        sent["labels"] = dict(labels)
    return sent


def outcome(interaction: Interaction) -> Running | Failed | VideoContent:
    """The outcome of the interaction so far: a video has a URI, or its bytes as base64.

    A video means success in any of these states; whether it's the requested one is checked when it is stored.
    """
    if interaction.status in _GIVEN_UP:
        return _fault(interaction) or _GIVEN_UP[interaction.status]
    if interaction.status not in _WITHOUT_VIDEO:
        return Running()
    video = interaction.output_video
    if video is not None and (video.uri or video.data):
        return video
    return _without_video(interaction)


def _generation_config(request: VideoRequest) -> GenerationConfigParam:
    config: GenerationConfigParam = {}
    if request.seed is not None:
        config["seed"] = request.seed
    task = _task(request)
    if task is not None:
        config["video_config"] = {"task": task}
    return config


def _task(request: VideoRequest) -> Literal["extend", "reference_to_video", "image_to_video"] | None:
    if request.extends is not None:
        return "extend"
    roles = {each.role for each in request.inputs}
    if "reference" in roles:
        return "reference_to_video"
    return "image_to_video" if roles else None


def _tagged(request: VideoRequest) -> str:
    """Prefix the prompt with tags for each image's role, except tags that the prompt already contains.

    References are numbered from 0.
    """
    tags = [_FRAME_TAGS[each.role] for each in request.inputs if each.role in _FRAME_TAGS]
    tags += [f"<IMAGE_REF_{number}>" for number in range(sum(each.role == "reference" for each in request.inputs))]
    return " ".join([*(tag for tag in tags if tag not in request.prompt), request.prompt])


def _without_video(interaction: Interaction) -> Failed:
    fault = _fault(interaction)
    if fault is not None:
        return fault
    text = interaction.output_text
    if interaction.status == "completed" and text:
        # A model that refuses a prompt doesn't fail: it completes with the reason as text.
        return Failed("SAFETY_BLOCKED", errors.readable(text))
    return _WITHOUT_VIDEO[interaction.status]


def _fault(interaction: Interaction) -> Failed | None:
    """The first error of the interaction or one of its steps."""
    for error in interaction.errors or []:
        return errors.broken_by_name(error.code or "", error.message or "")
    for step in interaction.steps or []:
        if isinstance(step, ModelOutputStep) and step.error is not None:
            return errors.broken(step.error.code, step.error.message or "the model failed")
    return None
