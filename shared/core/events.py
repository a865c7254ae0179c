"""What can happen to a job: the vocabulary of lifecycle.py."""

from __future__ import annotations

from dataclasses import dataclass

from shared.core.documents import Output, VideoRequest, Warned


@dataclass(frozen=True)
class Event:
    """Something that happened, independent of the job's step."""


@dataclass(frozen=True)
class StepEvent(Event):
    """Something that a delivery learned at that step; stale once the job has moved on."""

    step: int


@dataclass(frozen=True)
class SlotRequested(StepEvent):
    """A waiting job asks for a free slot."""


@dataclass(frozen=True)
class LeaseRequested(StepEvent):
    """A delivery asks for the lease: of a queued job to create, or of a storing job to store."""

    holder: str


@dataclass(frozen=True)
class LeaseRenewed(StepEvent):
    """The holder of the storing lease is still working."""

    holder: str


@dataclass(frozen=True)
class Accepted(Event):
    """The provider accepted the create of that attempt. Applies to the attempt at any step."""

    attempt: int
    operation: str


@dataclass(frozen=True)
class Deferred(StepEvent):
    """The provider definitely started nothing (429, no connection): the job is queued again, after the wait."""

    holder: str
    retry_after_s: float


@dataclass(frozen=True)
class StartRejected(StepEvent):
    """The video can't be made: the provider says so, or, before any claim (no holder), something it needs is gone."""

    holder: str | None
    code: str
    reason: str


@dataclass(frozen=True)
class Switched(StepEvent):
    """The start was rejected, before or after a claim, and another provider or model generates the video."""

    holder: str | None
    provider: str
    request: VideoRequest
    expected_s: float
    warning: Warned


@dataclass(frozen=True)
class StartUnknown(StepEvent):
    """It is unknown whether the provider accepted: the response was lost, or the holder crashed."""

    holder: str


@dataclass(frozen=True)
class NotFoundYet(StepEvent):
    """No result of an uncertain attempt has been found yet."""


@dataclass(frozen=True)
class StillRunning(StepEvent):
    """The provider is not done."""


@dataclass(frozen=True)
class GenerationFinished(StepEvent):
    """The provider is done, or the attempt's files were `found` in our bucket. `holder` will store them."""

    holder: str
    uris: tuple[str, ...]
    filtered: int = 0
    reason: str | None = None
    found: bool = False


@dataclass(frozen=True)
class GenerationFailed(StepEvent):
    """The generation failed at the provider."""

    code: str
    reason: str


@dataclass(frozen=True)
class Stored(StepEvent):
    """Every video is in the bucket and verified."""

    holder: str
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class StoringFailed(StepEvent):
    """Storing failed this time; `permanent`: a retry can't help."""

    holder: str
    code: str
    reason: str
    permanent: bool = False


@dataclass(frozen=True)
class CancelRequested(Event):
    """The user cancels the video, provided that at least `min_refund` credits are refunded."""

    min_refund: int = 0


@dataclass(frozen=True)
class DeleteRequested(Event):
    """The user deletes an ended job's content."""


@dataclass(frozen=True)
class ErasureRequested(Event):
    """The ended job's account is being deleted: remove all of the user's data."""


@dataclass(frozen=True)
class RetentionElapsed(Event):
    """Nobody has viewed the video for the retention period."""


@dataclass(frozen=True)
class Viewed(Event):
    """Somebody viewed the video: the retention period starts over."""


@dataclass(frozen=True)
class OperationReported(Event):
    """A provider's event named an operation for a job whose attempt has none."""

    operation: str


@dataclass(frozen=True)
class TaskLost(Event):
    """The sweeper found that the job's task no longer exists."""

    step: int


@dataclass(frozen=True)
class Repeated(Event):
    """A client that may have lost the response to this job's request repeats it, for the `count`-th time."""

    count: int


@dataclass(frozen=True)
class Overdue(StepEvent):
    """The sweep found the job past its stage's deadline, whether or not its task is still in a queue."""


@dataclass(frozen=True)
class Announced(StepEvent):
    """The job's webhook messages were enqueued."""


@dataclass(frozen=True)
class LateSuccess(Event):
    """A generation that was given up and refunded succeeded after all. It isn't charged, only counted."""


@dataclass(frozen=True)
class CleanedUp(StepEvent):
    """What an ended job left behind was removed; `again`: its generation is still running."""

    again: bool
