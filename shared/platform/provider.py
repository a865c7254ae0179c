"""The protocol that every video provider implements: prepare, create, poll, download, cancel.

Jobs don't depend on a provider's API. A provider's errors reach the job as one of the exceptions below; any other
exception means that the outcome is unknown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from shared.core.documents import Job


class Rejected(Exception):  # noqa: N818 - the outcomes of a create: rejected, throttled, or unknown
    """The provider will never make this video. `code` is from the error catalog, `reason` is the provider's text."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Throttled(Exception):  # noqa: N818
    """The provider definitely started nothing; the same call may succeed later. `retry_after_s` is its Retry-After."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Running:
    """Not done, or in a state we don't know."""


@dataclass(frozen=True)
class Failed:
    """The generation failed. `code` is from the error catalog, `reason` is the provider's text."""

    code: str
    reason: str


@dataclass(frozen=True)
class Finished:
    """The generation is done: where the videos are, how many the safety filter removed, and why."""

    uris: tuple[str, ...]
    filtered: int = 0
    reason: str | None = None


PollResult = Running | Failed | Finished


# Starts the generation of a claimed job once and returns the operation's name. The files go under the prefix, which is
# in our bucket and ends in a slash. Raises Rejected or Throttled; any other exception leaves the outcome unknown.
Create = Callable[[Job, str], Awaitable[str]]


class Provider(Protocol):
    """One provider. Every call is bounded in time, and none repeats a create."""

    async def prepare(self, job: Job) -> Create:
        """Get everything slow that a create needs: the client, an access token, the inputs.

        This starts nothing, so it runs before the claim: a crash between a claim and its create leaves a start whose
        outcome is unknown. Raises Rejected if the video can never be made; after any other exception, try again later.
        """

    async def poll(self, operation: str) -> PollResult:
        """The operation's state. After any exception, poll again later."""

    def download(self, uri: str, destination: BinaryIO) -> None:
        """Stream one finished file into `destination`, from its first byte; blocking, in bounded memory."""

    async def cancel(self, operation: str) -> None:
        """Ask the provider to stop, if it can. Best effort: callers can ignore any exception."""


@dataclass(frozen=True)
class Providers:
    """The configured providers, by their name in catalog.py."""

    by_provider: dict[str, Provider] = field(default_factory=dict)

    def of(self, provider: str) -> Provider:
        """The provider of that name. Raises Rejected if it is no longer configured."""
        try:
            return self.by_provider[provider]
        except KeyError:
            raise Rejected("MODEL_RETIRED", f"no {provider} is configured") from None
