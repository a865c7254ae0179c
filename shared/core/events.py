"""What can happen to a job: the vocabulary of lifecycle.py."""

from __future__ import annotations

from dataclasses import dataclass

from shared.core.documents import Output, VideoRequest, Warned


@dataclass(frozen=True)
class Event:
    """Something that happened, whatever the job's step."""


@dataclass(frozen=True)
class StepEvent(Event):
    """Something that a delivery found out at that step; stale once the job has moved on."""

    step: int


@dataclass(frozen=True)
class SlotRequested(StepEvent):
    """A waiting job asks for a free slot."""


@dataclass(frozen=True)
class LeaseRequested(StepEvent):
    """A delivery asks for the lease: of a queued job to create, of a storing job to store."""

    holder: str


@dataclass(frozen=True)
class LeaseRenewed(StepEvent):
    """The holder of the storing lease is still at work."""

    holder: str


@dataclass(frozen=True)
class Accepted(Event):
    """The provider accepted the create of that attempt. Counts for the attempt, whatever the step says."""

    attempt: int
    operation: str


@dataclass(frozen=True)
class Deferred(StepEvent):
    """The provider definitely took nothing on (429, no connection): the job is queued again, for after the wait."""

    holder: str
    retry_after_s: float


@dataclass(frozen=True)
class StartRejected(StepEvent):
    """The video will not be made: the provider says so, or, before any claim (no holder), what it needs is gone."""

    holder: str | None
    code: str
    reason: str


@dataclass(frozen=True)
class Switched(StepEvent):
    """The start was rejected, before or after a claim, and another provider or model makes the video instead."""

    holder: str | None
    provider: str
    request: VideoRequest
    expected_s: float
    warning: Warned


@dataclass(frozen=True)
class StartUnknown(StepEvent):
    """Nobody knows whether the provider accepted: the answer was lost, or the holder died."""

    holder: str


@dataclass(frozen=True)
class NotFoundYet(StepEvent):
    """Nothing of an uncertain attempt has shown yet."""


@dataclass(frozen=True)
class StillRunning(StepEvent):
    """The provider is not done."""


@dataclass(frozen=True)
class GenerationFinished(StepEvent):
    """The provider is done, or the attempt's files were `found` in our bucket. `holder` goes on to store them."""

    holder: str
    uris: tuple[str, ...]
    filtered: int = 0
    reason: str | None = None
    found: bool = False


@dataclass(frozen=True)
class GenerationFailed(StepEvent):
    """The provider gave up."""

    code: str
    reason: str


@dataclass(frozen=True)
class Stored(StepEvent):
    """Every video is in the bucket and verified."""

    holder: str
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class StoringFailed(StepEvent):
    """Storing failed this time; `permanent` when another try cannot help."""

    holder: str
    code: str
    reason: str
    permanent: bool = False


@dataclass(frozen=True)
class CancelRequested(Event):
    """The user doesn't want the video any more, if at least `min_refund` credits come back."""

    min_refund: int = 0


@dataclass(frozen=True)
class DeleteRequested(Event):
    """The user deletes an ended job's content."""


@dataclass(frozen=True)
class ErasureRequested(Event):
    """The ended job's account is being deleted: nothing that is its user's may stay."""


@dataclass(frozen=True)
class RetentionElapsed(Event):
    """Nobody has looked at the video for the time that it is kept."""


@dataclass(frozen=True)
class Viewed(Event):
    """Somebody watched the video: it is kept for the whole time again."""


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
    """The end of the job was handed to the queue of webhooks for all who wanted to hear of it."""


@dataclass(frozen=True)
class LateSuccess(Event):
    """A generation that was given up, and refunded, delivered after all. It is not charged; it is counted."""


@dataclass(frozen=True)
class CleanedUp(StepEvent):
    """What an ended job left behind was removed; `again` when its generation is still going on."""

    again: bool
