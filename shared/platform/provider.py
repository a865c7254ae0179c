"""The protocol that every provider of videos is behind: prepare, start, look, fetch, cancel.

A job never knows its provider. Whatever a provider's errors look like, they reach the job as one of the exceptions
below, or as any other exception, which then means that the outcome is unknown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from shared.core.documents import Job


class Rejected(Exception):  # noqa: N818 - the outcomes of a create: refused, busy, or unknown
    """The provider will not make this video, now or later. `code` is of the catalog, `reason` in its own words."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Throttled(Exception):  # noqa: N818
    """The provider definitely took nothing on; the same call may succeed later. `retry_after_s` is what it asks for."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Running:
    """Not done, or in a state that we do not know."""


@dataclass(frozen=True)
class Failed:
    """The provider gave up. `code` is of the catalog, `reason` in the provider's words."""

    code: str
    reason: str


@dataclass(frozen=True)
class Finished:
    """The provider is done: where the videos are, how many its safety filter kept back, and why."""

    uris: tuple[str, ...]
    filtered: int = 0
    reason: str | None = None


PollResult = Running | Failed | Finished


# Begins the generation of a claimed job once, and returns the operation's name; files are to go under the prefix, which
# is in our bucket and ends in a slash. Raises Refused, or Busy; any other exception leaves the outcome unknown.
Create = Callable[[Job, str], Awaitable[str]]


class Provider(Protocol):
    """One provider. Every call is bounded in time; none of them repeats a create."""

    async def prepare(self, job: Job) -> Create:
        """Have everything that a create needs and that takes time: the client, an access token, the inputs.

        Nothing begins here, so it comes before the claim: whoever dies between a claim and its create leaves a start
        of which nobody knows whether it began. Raises Refused if the video can never be made; any other exception
        means: try again later.
        """

    async def poll(self, operation: str) -> PollResult:
        """What has become of the operation. Any exception means: look again later."""

    def download(self, uri: str, destination: BinaryIO) -> None:
        """Stream one finished file from its beginning into `destination`; blocking, in bounded memory."""

    async def cancel(self, operation: str) -> None:
        """Ask the provider to stop, where it can; best effort, raises nothing that matters."""


@dataclass(frozen=True)
class Providers:
    """The providers that are set up, by the name that catalog.py gives them."""

    by_provider: dict[str, Provider] = field(default_factory=dict)

    def of(self, provider: str) -> Provider:
        """The provider's generator; raises Refused where it is not set up any more."""
        try:
            return self.by_provider[provider]
        except KeyError:
            raise Rejected("MODEL_RETIRED", f"no {provider} is configured") from None
