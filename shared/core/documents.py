"""The stored documents: Job, Account, Transaction, the live settings and a tenant's day.

Documents are frozen values: a change creates a new one. `revision` is Firestore's token for the version that was read;
it is never written, and a document without one is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from shared.core import storable

MAX_PROMPT_BYTES = 4 * 1024  # 1,024 tokens, counted as ceil(bytes / 4)
MAX_EXPECTED_S = 3_600.0
# Of one setting, price or grant: sums stay far below Firestore's 64 bits.
MAX_CREDITS = 1_000_000_000
MAX_IMAGE_BYTES = 8 * 1024 * 1024
VIDEO_ID = r"^video_[A-Za-z0-9_-]{22}$"
# One line for people: no control characters, and not only white space.
ONE_LINE = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
# A model, or a model and a resolution: "veo-3.1", "veo-3.1 4k".
PRICED_AS = r"^\S{1,64}( (360p|720p|1080p|4k))?$"
# Used as a segment of object names, a document id, and a key in maps of the live settings.
TENANT_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
PLAN_NAME = r"^[A-Za-z0-9_-]{1,64}$"

AspectRatio = TypeAliasType("AspectRatio", Literal["16:9", "9:16"])
Resolution = TypeAliasType("Resolution", Literal["360p", "720p", "1080p", "4k"])
PersonGeneration = TypeAliasType("PersonGeneration", Literal["allow_adult", "dont_allow", "allow_all"])
TransactionType = TypeAliasType("TransactionType", Literal["signup", "grant", "charge", "refund"])
InputRole = TypeAliasType("InputRole", Literal["first_frame", "last_frame", "reference"])
# An operator may do everything an administrator may, and grants credits to tenants; set only in the Firestore console.
Role = TypeAliasType("Role", Literal["user", "admin", "operator"])
ImageType = TypeAliasType("ImageType", Literal["image/png", "image/jpeg", "image/webp"])
CancelReason = TypeAliasType(
    "CancelReason", Literal["not_begun", "billed", "not_billed", "uncertain", "policy", "daily_limit"]
)

LANDSCAPE_PX: Mapping[Resolution, tuple[int, int]] = {
    "360p": (640, 360),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "4k": (3840, 2160),
}


def dimensions_px(aspect_ratio: AspectRatio, resolution: Resolution) -> tuple[int, int]:
    """Width and height in pixels."""
    width, height = LANDSCAPE_PX[resolution]
    return (width, height) if aspect_ratio == "16:9" else (height, width)


class Stage(StrEnum):
    """The stage of a job; the last three are final."""

    WAITING = "waiting"
    QUEUED = "queued"
    STARTING = "starting"
    UNCERTAIN = "uncertain"
    GENERATING = "generating"
    STORING = "storing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


class Status(StrEnum):
    """The stage as clients see it."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


STATUS_OF: Mapping[Stage, Status] = {
    Stage.WAITING: Status.QUEUED,
    Stage.QUEUED: Status.QUEUED,
    Stage.STARTING: Status.QUEUED,
    Stage.UNCERTAIN: Status.QUEUED,
    Stage.GENERATING: Status.IN_PROGRESS,
    Stage.STORING: Status.IN_PROGRESS,
    Stage.COMPLETED: Status.COMPLETED,
    Stage.FAILED: Status.FAILED,
    Stage.CANCELED: Status.CANCELED,
}
FINAL = frozenset({Stage.COMPLETED, Stage.FAILED, Stage.CANCELED})


class Value(BaseModel):
    """A frozen part of a document."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Document(Value):
    """A document of one collection, under its own id."""

    collection: ClassVar[str]
    # Fields that are omitted from the stored document when None, so that their index lists only documents with a value.
    absent_when_none: ClassVar[frozenset[str]] = frozenset()

    id: str
    revision: Any = Field(default=None, exclude=True, repr=False)

    def changed(self, **changes: Any) -> Self:
        return self.model_copy(update=changes)


class Input(Value):
    """An input image of the video, in our bucket. `crc32c` is base64, as in Cloud Storage."""

    role: InputRole
    object: str
    content_type: ImageType
    size_bytes: int
    crc32c: str
    width_px: int
    height_px: int


class Extends(Value):
    """The finished video that is extended: its job, its object in our bucket, its measured length."""

    job: str
    object: str
    size_bytes: int
    seconds: float


class VideoRequest(Value):
    """A request with every default resolved: pricing, charging, the provider's request and verification use this value.

    `seconds` is the generated length: for an extension, only the added part.
    """

    prompt: str
    model: str
    seconds: int
    aspect_ratio: AspectRatio
    resolution: Resolution
    generate_audio: bool
    person_generation: PersonGeneration = "allow_adult"
    negative_prompt: str | None = None
    seed: int | None = None
    count: int = 1
    inputs: tuple[Input, ...] = ()
    extends: Extends | None = None

    @property
    def file_seconds(self) -> float:
        """The length of the finished file: an extension includes its source video."""
        return self.seconds + (self.extends.seconds if self.extends else 0.0)

    @property
    def dimensions_px(self) -> tuple[int, int]:
        return dimensions_px(self.aspect_ratio, self.resolution)

    @property
    def size(self) -> str:
        width, height = self.dimensions_px
        return f"{width}x{height}"


class TaskRef(Value):
    """The name and queue of the job's current task, which may not be created yet."""

    name: str
    queue: str


class Lease(Value):
    """One delivery's exclusive right to act on the job until a time."""

    holder: str
    until: datetime


class Output(Value):
    """One video of a job: where the provider put it and, once stored, the facts of our object."""

    uri: str
    object: str | None = None
    size_bytes: int | None = None
    crc32c: str | None = None
    seconds: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    poster: str | None = None


class JobError(Value):
    """Why a job failed: a code from the error catalog, a sentence for people, and a reason.

    The reason is the provider's text or ours, for operators; errors.public_reason() returns what users see of it.
    """

    code: str
    message: str
    reason: str | None = None


class Warned(Value):
    """What a client should know about a request that was accepted anyway."""

    code: Literal["MODEL_REPLACED", "SECONDS_CHANGED", "SIZE_CHANGED", "FAILED_OVER"]
    message: str


class Job(Document):
    """One accepted request, and its state and results."""

    collection: ClassVar[str] = "jobs"
    absent_when_none: ClassVar[frozenset[str]] = frozenset({"due_at", "expires_at"})

    tenant: str
    account: str
    kind: Literal["video"] = "video"
    request: VideoRequest
    # The provider that generates it: a model may have several.
    provider: str
    # Whether another provider's model may generate it if the start is rejected, and which have rejected it so far.
    failover: bool = False
    rejected_by: tuple[str, ...] = ()
    fingerprint: str
    status: Status
    stage: Stage
    step: int = 0
    task: TaskRef
    due_at: datetime | None
    lease: Lease | None = None
    attempt: int = 0
    attempt_started_at: datetime | None = None
    operation: str | None = None
    hinted_operation: str | None = None
    expected_s: float
    outputs: tuple[Output, ...] = ()
    filtered: int = 0
    filter_reason: str | None = None
    storing_started_at: datetime | None = None
    storing_tries: int = 0
    last_tries: int = 0
    cost: int
    # The price of the model that generates it, if that replaced a more expensive one: the difference is refunded.
    price: int | None = None
    refunded: int = 0
    error: JobError | None = None
    project: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    warnings: tuple[Warned, ...] = ()
    idempotency_key: str | None = None
    repeats_taken: int = 0
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    last_viewed_at: datetime | None = None
    expires_at: datetime | None = None
    deleted_at: datetime | None = None
    # The state of its account's deletion: done once nothing is left to watch or remove.
    erasure: Literal["requested", "done"] | None = None
    files_removed_at: datetime | None = None
    late_success: bool = False
    webhook_url: str | None = None
    to_announce: bool = False
    to_tidy: bool = False
    version: int = 1
    change_id: str = ""

    @property
    def final(self) -> bool:
        return self.stage in FINAL

    @property
    def holds_slot(self) -> bool:
        """Whether the job counts against the account's limit of active jobs."""
        return not self.final and self.stage is not Stage.WAITING

    @property
    def generation_s(self) -> float | None:
        """Seconds from the start of the attempt until we knew that its videos existed; None before that."""
        if self.attempt_started_at is None or self.storing_started_at is None:
            return None
        return (self.storing_started_at - self.attempt_started_at).total_seconds()

    @property
    def prefix(self) -> str:
        """The current attempt's videos in the bucket, ending in a slash."""
        return f"{self.files_prefix}{self.attempt}/"

    @property
    def files_prefix(self) -> str:
        """The videos of all attempts in the bucket, ending in a slash."""
        return f"{self.tenant}/{self.account}/{self.id}/"

    @property
    def posters_prefix(self) -> str:
        """The poster frames in the bucket, ending in a slash."""
        return f"posters/{self.files_prefix}"

    @property
    def inputs_prefix(self) -> str | None:
        """The input images in the bucket, ending in a slash; None if there are none."""
        if not self.request.inputs:
            return None
        return self.request.inputs[0].object.rpartition("/")[0] + "/"


class Account(Document):
    """One user of one tenant: the balance and the active jobs."""

    collection: ClassVar[str] = "accounts"

    issuer: str
    sub: str
    email: str | None = None
    email_verified: bool = False
    # When the token that the two fields above come from was issued.
    email_as_of: datetime | None = None
    # When an address was first verified. Earlier API keys, and sign-ins from before `valid_since`, are invalid.
    verified_at: datetime | None = None
    valid_since: datetime | None = None
    tenant: str
    role: Role = "user"
    plan: str = "default"
    disabled: bool = False
    display_name: str | None = None
    locale: str | None = None
    balance: int = 0
    active_jobs: tuple[str, ...] = ()
    sequence: int = 0
    spending_day: str | None = None
    spent_on_day: int = 0
    refunded_starts_day: str | None = None
    refunded_starts: int = 0
    webhook_endpoints: tuple[str, ...] = ()
    closed_at: datetime | None = None
    created_at: datetime
    change_id: str = ""

    def spent_on(self, day: str) -> int:
        """Credits charged on that day (UTC, YYYY-MM-DD); refunds don't reduce them."""
        return self.spent_on_day if self.spending_day == day else 0

    def refunded_starts_on(self, day: str) -> int:
        """Started generations that were canceled on that day (UTC, YYYY-MM-DD) and refunded at our cost."""
        return self.refunded_starts if self.refunded_starts_day == day else 0


class TenantDay(Document):
    """How much of a tenant's daily cap has been allotted to its shards on one day, if the tenant has a cap.

    shared/core/tenant_days.py explains days and shards. They hold tenant names and sums, no user data.
    """

    collection: ClassVar[str] = "tenant_days"

    tenant: str
    day: str
    reserved: int = 0
    expires_at: datetime
    change_id: str = ""


class TenantDayShard(Document):
    """What some of a tenant's accounts may spend on one day, and what they have spent."""

    collection: ClassVar[str] = "tenant_day_shards"

    tenant: str
    day: str
    reserved: int = 0
    spent: int = 0
    expires_at: datetime
    change_id: str = ""

    @property
    def left(self) -> int:
        return self.reserved - self.spent


class Transaction(Document):
    """One ledger entry; written once and never changed. `amount` is signed."""

    collection: ClassVar[str] = "credit_transactions"

    account: str
    tenant: str
    type: TransactionType
    amount: int
    balance_after: int
    sequence: int
    job: str | None = None
    description: str
    created_at: datetime


class Plan(Value):
    """Limits of accounts on a plan; unset values fall back to the defaults for all accounts."""

    requests_per_minute: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    active_jobs_limit: Annotated[int | None, Field(ge=0, le=500)] = None
    may_wait: bool | None = None
    daily_credits: Annotated[int | None, Field(ge=0, le=MAX_CREDITS)] = None


V = TypeVar("V")
# A map filled by administrators: they choose its keys, which must be storable and bounded in length and number.
ByName = Annotated[dict[Annotated[str, Field(max_length=128), storable.AS_KEY], V], Field(max_length=1_000)]


class LiveSettings(Value):
    """Settings that an administrator can change at run time: config/video in Firestore. Durations are in seconds."""

    credits_per_second: Annotated[int, Field(ge=0, le=100_000)] = 10
    credits_per_second_by_model: dict[
        Annotated[str, Field(pattern=PRICED_AS), storable.AS_KEY], Annotated[int, Field(ge=0, le=100_000)]
    ] = Field(
        default_factory=dict,
        max_length=1_000,
        description='By model, or by model and resolution: "veo-3.1", "veo-3.1 4k".',
    )
    extension_credits_per_second: Annotated[
        int | None, Field(ge=0, le=100_000, description="Minimum price of a second added to a video.")
    ] = None
    signup_credits: Annotated[int, Field(ge=0, le=MAX_CREDITS)] = 0
    active_jobs_limit: Annotated[int, Field(ge=0, le=500)] = 3
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    plans: Annotated[dict[Annotated[str, Field(pattern=PLAN_NAME), storable.AS_KEY], Plan], Field(max_length=100)] = (
        Field(default_factory=dict)
    )
    daily_credits: Annotated[
        int | None, Field(ge=0, le=MAX_CREDITS, description="Maximum an account may spend per day (UTC).")
    ] = None
    tenant_daily_credits: ByName[Annotated[int, Field(ge=0, le=MAX_CREDITS)]] = Field(
        default_factory=dict, description="Maximum that all accounts of a tenant may spend per day (UTC), by tenant."
    )
    generation_timeout_s: Annotated[int, Field(ge=60, le=86_400)] = 900
    storing_timeout_s: Annotated[int, Field(ge=60, le=86_400)] = 3_600
    queue_timeout_s: Annotated[int, Field(ge=60, le=604_800)] = 21_600
    uncertain_policy: Literal["at_most_once", "restart_once"] = "at_most_once"
    cancel_refund: Annotated[
        Literal["by_model", "full", "none"],
        Field(description="Refund for canceling after generation has started; before that, everything is refunded."),
    ] = "by_model"
    refunded_starts_per_day: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Started generations an account may cancel per day (UTC) for a refund at our expense.",
        ),
    ] = 10
    polling: Literal["often", "rarely"] = "often"
    retention_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    enabled: bool = True
    message: Annotated[str, Field(max_length=1_000)] = ""
    rollout_percent: Annotated[int, Field(ge=0, le=100)] = 100
    default_models: ByName[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=dict, description="Default model by tenant name."
    )
    allow_replacements: bool = True
    providers: ByName[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=dict,
        description='The preferred provider of a model that several offer, by model: {"omni-flash": "gemini"}.',
    )
    retired_models: ByName[datetime] = Field(
        default_factory=dict,
        description="When a model stops counting as retired, by provider and model: config/retired_models.",
    )
    expected_times: ByName[Annotated[float, Field(gt=0, le=MAX_EXPECTED_S)]] = Field(
        default_factory=dict, description="Typical times by model, or model and length: config/expected_times."
    )


# --- bodies of requests ---


# --- bodies of responses ---
