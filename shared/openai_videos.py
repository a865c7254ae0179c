"""What the OpenAI videos API has operations of its own for: extensions, which are creates here; edits and remixes."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn, Self

from pydantic import BeforeValidator, Field, model_validator

from shared import library
from shared.errors import ApiError
from shared.identity import Caller
from shared.models import VIDEO_ID, Body, CreateVideo, ImageInput
from shared.ports import Services


class VideoReference(Body):
    """A finished video of yours."""

    id: Annotated[str, Field(pattern=VIDEO_ID)]


def _as_reference(value: Any) -> Any:
    """An id by itself stands for its object. An uploaded file cannot be one."""
    if isinstance(value, ImageInput):
        raise ValueError('send {"id": ...} of a video created here; uploaded videos are not supported')
    return {"id": value} if isinstance(value, str) else value


Reference = Annotated[VideoReference, BeforeValidator(_as_reference)]


class ExtendVideo(CreateVideo):
    """POST /v1/videos/extensions: a create whose `extends` is called `video`."""

    video: Annotated[
        Reference, Field(description="The finished video of yours to continue; `seconds` are added to it.")
    ]

    @model_validator(mode="after")
    def _names_one_video(self) -> Self:
        if self.extends is not None:
            raise ValueError("name the video to continue once, as `video`")
        return self

    def as_create(self) -> CreateVideo:
        """The same request as POST /v1/videos takes it: an Idempotency-Key doesn't tell the two apart."""
        given = {name: getattr(self, name) for name in self.model_fields_set if name != "video"}
        return CreateVideo.model_validate({**given, "extends": self.video.id})


class RemixVideo(Body):
    """POST /v1/videos/{id}/remix."""

    prompt: Annotated[str, Field(min_length=1, description="What to change.")]


class EditVideo(RemixVideo):
    """POST /v1/videos/edits."""

    video: Annotated[Reference, Field(description="The finished video of yours to edit.")]


async def refuse_edit(services: Services, caller: Caller, video: str) -> NoReturn:
    """Raises ApiError UNSUPPORTED_BY_MODEL, since no model changes a video yet, or NOT_FOUND for another's video."""
    await library.own_job(services, caller, video)
    raise ApiError(
        "UNSUPPORTED_BY_MODEL",
        "No model supports editing a finished video. To extend it, use POST /v1/videos/extensions; to try a changed "
        "prompt, use POST /v1/videos.",
        {"field": "video", "allowed": []},
    )
