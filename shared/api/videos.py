"""The bodies of requests and responses about videos."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, FailFast, Field, field_validator, model_validator

from shared.api.bodies import Body, Listed, Page, PageQuery, Response, UnixSeconds
from shared.core import storable
from shared.core.documents import (
    MAX_CREDITS,
    MAX_IMAGE_BYTES,
    MAX_PROMPT_BYTES,
    VIDEO_ID,
    AspectRatio,
    CancelReason,
    InputRole,
    PersonGeneration,
    Resolution,
    Stage,
    Status,
)

MAX_REFERENCE_IMAGES = 3
# An image in base64, with or without a data URL; its decoded size is checked later.
MAX_IMAGE_CHARS = MAX_IMAGE_BYTES * 2
QUOTE_ID = r"^quote_[0-9]{1,15}_[A-Za-z0-9_-]{22}$"


class ImageInput(Body):
    """An image: either a URL (https, or a data URL) or its bytes in base64. PNG, JPEG or WebP, up to 8 MiB."""

    image_url: Annotated[str | None, Field(max_length=MAX_IMAGE_CHARS, description="An https URL or a data URL.")] = (
        None
    )
    data: Annotated[str | None, Field(max_length=MAX_IMAGE_CHARS, description="The bytes in base64.")] = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if not isinstance(self, ImageUpload) and (self.image_url is None) == (self.data is None):
            raise ValueError("give image_url or data, or upload a file")
        return self


class ImageUpload(ImageInput):
    """An image uploaded as a form file; JSON can't create one."""

    file: Annotated[Any, Field(exclude=True)] = None


def _as_list(value: Any) -> Any:
    """Turn a form field that was sent once into a list."""
    return [value] if isinstance(value, (dict, ImageInput)) else value


class CreateVideo(Body):
    """POST /v1/videos, and estimates."""

    prompt: Annotated[str, Field(min_length=1, description="What the video shows; at most 1,024 tokens (4,096 bytes).")]
    model: Annotated[str | None, Field(description="An id or alias from GET /v1/models.")] = None
    seconds: Annotated[int | None, Field(ge=1, le=60, description="Length; allowed values depend on the model.")] = None
    size: Annotated[
        str | None,
        Field(
            pattern=r"^\d{3,4}x\d{3,4}$",
            description="Width x height in pixels, instead of `aspect_ratio` and `resolution`.",
        ),
    ] = None
    aspect_ratio: AspectRatio | None = None
    resolution: Resolution | None = None
    negative_prompt: Annotated[str | None, Field(max_length=MAX_PROMPT_BYTES)] = None
    seed: Annotated[int | None, Field(ge=0, le=4_294_967_295)] = None
    generate_audio: bool | None = None
    person_generation: PersonGeneration | None = None
    count: Annotated[int, Field(ge=1, le=4, description="Number of videos.")] = 1
    input_reference: Annotated[ImageInput | None, Field(description="The first frame.")] = None
    last_frame: Annotated[ImageInput | None, Field(description="The last frame; requires the first.")] = None
    reference_images: Annotated[
        tuple[ImageInput, ...],
        FailFast(),
        BeforeValidator(_as_list),
        Field(
            max_length=MAX_REFERENCE_IMAGES,
            description="Images of people, things or places in the video.",
        ),
    ] = ()
    extends: Annotated[
        str | None,
        Field(pattern=VIDEO_ID, description="One of your finished videos to extend by `seconds`."),
    ] = None
    project: Annotated[str | None, Field(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")] = None
    labels: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=63), storable.AS_KEY], Annotated[str, Field(max_length=255)]
        ],
        FailFast(),
        Field(
            max_length=16,
            description="Names of 1 to 63 characters, not enclosed in double underscores; values up to 255.",
        ),
    ] = Field(default_factory=dict)
    max_cost: Annotated[
        int | None, Field(ge=0, le=MAX_CREDITS, description="The most credits you agree to; above that: PRICE_CHANGED.")
    ] = None
    quote: Annotated[
        str | None,
        Field(pattern=QUOTE_ID, description="An estimate's `quote`: like `max_cost`, for exactly that request."),
    ] = None
    failover: Annotated[
        bool,
        Field(
            description="If the provider rejects the start because it is busy or unavailable, another provider's model "
            "makes the video. That never costs more, and `warnings` says so."
        ),
    ] = False
    on_limit: Annotated[
        Literal["fail", "wait"],
        Field(description="At the limit of active jobs: 429, or wait for a free slot (if the plan allows it)."),
    ] = "fail"
    webhook_url: Annotated[
        str | None,
        Field(min_length=1, max_length=2_048, description="An https URL to notify when the job ends; never returned."),
    ] = None

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, prompt: str) -> str:
        if not prompt.strip():
            raise ValueError("the prompt is empty")
        return prompt


class ListVideosQuery(PageQuery):
    """GET /v1/videos: at most one of status, model and project, and a range of dates (Unix seconds)."""

    after: Annotated[str | None, Field(pattern=VIDEO_ID, description="The `last_id` of the previous page.")] = None

    status: Status | None = None
    model: Annotated[str | None, Field(max_length=64)] = None
    project: Annotated[str | None, Field(max_length=64)] = None
    created_after: Annotated[int | None, Field(ge=0, le=253_402_300_799)] = None
    created_before: Annotated[int | None, Field(ge=0, le=253_402_300_799)] = None
    order: Literal["asc", "desc"] = "desc"


class CancelQuery(Body):
    """POST /v1/videos/{id}/cancel."""

    min_refund: Annotated[
        int | None, Field(ge=0, le=MAX_CREDITS, description="Cancel only if at least this many credits are refunded.")
    ] = None


class ContentQuery(Body):
    """GET /v1/videos/{id}/content."""

    variant: Literal["video", "thumbnail"] = "video"
    index: Annotated[int, Field(ge=0, le=3, description="Which of the job's videos.")] = 0
    redirect: Literal["true", "false", "json"] = "true"
    download: Annotated[
        bool, Field(description="Download it under a name made from the prompt's first words, instead of showing it.")
    ] = False


class VideoError(Response):
    """Why a video failed. `reason` is what the provider says about the prompt; null if it says nothing about it."""

    code: str
    message: str
    reason: str | None
    retryable: bool
    suggested_action: str


class VideoFile(Response):
    """One finished video: download it from /v1/videos/{id}/content?index=N."""

    index: int
    size_bytes: int
    crc32c: str
    seconds: float
    width: int
    height: int


class WarningView(Response):
    """A difference from what was requested."""

    code: str
    message: str


class InputView(Response):
    """An image that the video uses."""

    role: InputRole
    content_type: str
    size_bytes: int
    width: int
    height: int


class Video(Listed):
    """A job as clients see it: the OpenAI videos object and more. `seconds` of an extension is the total length."""

    id: str
    object: Literal["video"] = "video"
    status: Status
    stage: Stage
    progress: Annotated[int, Field(ge=0, le=100)]
    model: str
    prompt: str
    seconds: str
    size: str
    aspect_ratio: AspectRatio
    resolution: Resolution
    negative_prompt: str | None
    seed: int | None
    generate_audio: bool
    count: int
    cost: int
    refunded: int
    expected_seconds: float
    error: VideoError | None
    files: list[VideoFile]
    inputs: list[InputView]
    extends: str | None
    added_seconds: int | None
    warnings: list[WarningView]
    project: str | None
    labels: dict[str, str]
    created_at: UnixSeconds
    started_at: UnixSeconds | None
    completed_at: UnixSeconds | None
    expires_at: UnixSeconds | None
    remixed_from_video_id: None = None
    version: int


class VideoPage(Page[Video]):
    pass


class DeletedVideo(Response):
    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: Literal[True] = True


class Estimate(Response):
    """The cost and time of a request, and whether it would be accepted now."""

    object: Literal["estimate"] = "estimate"
    model: str
    seconds: str
    size: str
    count: int
    cost: int
    quote: Annotated[str, Field(description="Send it with the create to reject a price above `cost`.")]
    cancel_returns: Annotated[
        int,
        Field(description="Refund for canceling after generation has started; before that, everything is refunded."),
    ]
    expected_seconds: float
    warnings: list[WarningView]
    balance: int
    balance_after: int
    active_jobs: int
    active_jobs_limit: int
    accepted: bool
    refusal: str | None


class Receipt(Response):
    """The result of an Idempotency-Key: the job that was created with it."""

    object: Literal["idempotency_key"] = "idempotency_key"
    key: str
    video: str
    status: Status
    deleted: bool
    created_at: UnixSeconds


class SignedUrl(Response):
    url: str
    expires_at: UnixSeconds


class Cancellation(Response):
    """The current refund for canceling the video, and the reason."""

    object: Literal["cancellation"] = "cancellation"
    video: str
    stage: Stage
    cost: int
    cancel_returns: int
    kept: int
    reason: CancelReason
    message: str


class Canceled(Response):
    """The canceled video and its refund."""

    video: Video
    refunded: int
    kept: int
    message: str


class VideoReference(Body):
    """A finished video of yours."""

    id: Annotated[str, Field(pattern=VIDEO_ID)]


def _as_reference(value: Any) -> Any:
    """Accept an id in place of the object; reject an uploaded file."""
    if isinstance(value, ImageInput):
        raise ValueError('send {"id": ...} of a video created here; uploaded videos are not supported')
    return {"id": value} if isinstance(value, str) else value


Reference = Annotated[VideoReference, BeforeValidator(_as_reference)]


class ExtendVideo(CreateVideo):
    """POST /v1/videos/extensions: a create whose `extends` is called `video`."""

    video: Annotated[Reference, Field(description="Your finished video to extend by `seconds`.")]

    @model_validator(mode="after")
    def _names_one_video(self) -> Self:
        if self.extends is not None:
            raise ValueError("name the video to extend once, as `video`")
        return self

    def as_create(self) -> CreateVideo:
        """The equivalent POST /v1/videos request: both are the same request for an Idempotency-Key."""
        given = {name: getattr(self, name) for name in self.model_fields_set if name != "video"}
        return CreateVideo.model_validate({**given, "extends": self.video.id})


class RemixVideo(Body):
    """POST /v1/videos/{id}/remix."""

    prompt: Annotated[str, Field(min_length=1, description="What to change.")]


class EditVideo(RemixVideo):
    """POST /v1/videos/edits."""

    video: Annotated[Reference, Field(description="Your finished video to edit.")]
