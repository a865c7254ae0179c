"""The Interactions API as both of Omni's providers have it: what a create says, and what an interaction has come to.

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

# It is done, and has neither a video nor a reason in it.
NOTHING = Failed("PROVIDER_ERROR", "the interaction completed without a video")
# The states that an interaction does not leave by itself, and what they mean when it says nothing more.
# `requires_continuation` is not among them: in the background the service continues by itself. Neither is a state that
# we do not know: the job's deadline ends the wait for it.
_GIVEN_UP = {
    "failed": Failed("PROVIDER_ERROR", "the interaction failed"),
    "cancelled": Failed("PROVIDER_ERROR", "the interaction was cancelled"),
}
_WITHOUT_VIDEO = {
    "completed": NOTHING,
    "incomplete": Failed("PROVIDER_ERROR", "the model stopped before the video was done"),
    # It asks for the result of a tool. It was given none, so nobody will ever answer.
    "requires_action": Failed("PROVIDER_ERROR", "the model asked for a tool instead of making a video"),
    # Ours is not a budget that a user could raise or a prompt could fit into.
    "budget_exceeded": Failed("PROVIDER_DENIED", "the budget for the model is used up"),
}


class Interactions:
    """The calls, bounded in time. `connect` makes a client with these options."""

    def __init__(self, connect: Callable[[types.HttpOptions], genai.Client]) -> None:
        self._connect = connect

    def open(self) -> None:
        """Have the client that a create needs."""
        _ = self.creating.aio.interactions

    async def create(self, body: CreateModelInteractionParam) -> str:
        """Begin an interaction once; returns its id. Raises Refused or Busy; any other exception: nobody knows."""
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
        """A refusal is only logged: the interaction has ended, or is not there. Other failures may be tried again."""
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
        # By default the SDK sends a create five times; there is no idempotency key, so each may be a billed video.
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
    """What a create sends. `content` is what the prompt is given with, may be empty, and stands before the prompt;
    `gcs_uri` is where Vertex AI writes the video."""
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
    """What the interaction has come to: a video has a URI, or its bytes as base64.

    Success is a video, whatever the state is called; whether it is the one that was asked for shows in its bytes.
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
    """The prompt after the tags that say what each image is for; those that the prompt has itself are not said twice.

    References are counted from 0.
    """
    tags = [_FRAME_TAGS[each.role] for each in request.inputs if each.role in _FRAME_TAGS]
    tags += [f"<IMAGE_REF_{number}>" for number in range(sum(each.role == "reference" for each in request.inputs))]
    return " ".join([*(tag for tag in tags if tag not in request.prompt), request.prompt])


def _without_video(interaction: Interaction) -> Failed:
    said = _fault(interaction)
    if said is not None:
        return said
    text = interaction.output_text
    if interaction.status == "completed" and text:
        # A model that refuses does not fail: it is done, and says why.
        return Failed("SAFETY_BLOCKED", errors.readable(text))
    return _WITHOUT_VIDEO[interaction.status]


def _fault(interaction: Interaction) -> Failed | None:
    """The first error that the interaction or one of its steps has."""
    for error in interaction.errors or []:
        return errors.broken_by_name(error.code or "", error.message or "")
    for step in interaction.steps or []:
        if isinstance(step, ModelOutputStep) and step.error is not None:
            return errors.broken(step.error.code, step.error.message or "the model failed")
    return None
