"""What assistants may change, each in two halves: what it would do, for the user to decide, and doing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from rushes.api import Api
from rushes.descriptions import deletion, offer_to_make, price
from rushes.exit_codes import Exit
from rushes.failure import Failure, Json
from rushes.offers import Offer
from rushes.video_request import Image, VideoRequest
from rushes.waiting import FINAL

# What the user agreed to is not what would be done now.
TERMS_CHANGED: Final = frozenset({"PRICE_CHANGED", "REFUND_CHANGED"})


@dataclass(frozen=True)
class Proposal:
    """What would be done. `terms` is what the user agrees to, in the form that the API checks it."""

    question: str
    request: Json
    terms: Any
    cost: int = 0
    expected_seconds: float | None = None
    estimate: Json | None = None
    cancellation: Json | None = None

    def document(self, tool: str, offer: Offer) -> Json:
        """As the tool's output schema has it."""
        return {
            "id": offer.id,
            "object": "offer",
            "tool": tool,
            "question": self.question,
            "request": self.request,
            "cost": self.cost,
            "expected_seconds": self.expected_seconds,
            "expires_at": offer.expires_at,
            "estimate": self.estimate,
            "cancellation": self.cancellation,
        }


class Write(Protocol):
    """One call of a tool that changes something, made of its arguments. All methods raise Failure."""

    def __init__(self, arguments: Json) -> None: ...

    def identity(self) -> Json:
        """What makes two calls the same, as JSON."""
        ...

    def propose(self, api: Api) -> Proposal:
        """What it would do. Nothing happens."""
        ...

    def perform(self, api: Api, offer: Offer) -> tuple[str, Json]:
        """Do it: the result in words, and as the API has it."""
        ...


class Create:
    """Makes videos of a prompt and images."""

    def __init__(self, arguments: Json) -> None:
        self._arguments = arguments
        self._wish = video_request(arguments)

    def identity(self) -> Json:
        return self._wish.identity()

    def propose(self, api: Api) -> Proposal:
        estimate = api.post("/v1/videos/estimate", repeatable=True, **self._wish.request())
        if not estimate["accepted"]:
            raise Failure(Exit.STATE, str(estimate["refusal"]), f"Nothing was created. {price(estimate)}")
        resolved = {name: estimate[name] for name in ("model", "seconds", "size", "count")}
        return Proposal(
            question=offer_to_make(estimate, self._arguments),
            request={**self._arguments, **resolved},
            terms=estimate["quote"],
            cost=estimate["cost"],
            expected_seconds=estimate["expected_seconds"],
            estimate=estimate,
        )

    def perform(self, api: Api, offer: Offer) -> tuple[str, Json]:
        priced = self._wish.with_fields(quote=offer.terms)
        video = api.post("/v1/videos", key=offer.id, **priced.request())
        under_way = f"{video['id']} is {video['stage']}, for {video['cost']} credits"
        usually = f"about {video['expected_seconds']:.0f} s"
        return f"{under_way}; {usually}. Watch it with video_status.", video


class Cancel:
    """Stops a video that has not ended."""

    def __init__(self, arguments: Json) -> None:
        self._arguments = arguments
        self._path = f"/v1/videos/{arguments['video']}/cancel"

    def identity(self) -> Json:
        return self._arguments

    def propose(self, api: Api) -> Proposal:
        terms = api.get(self._path)
        question = f"Cancel {terms['video']}? {terms['message']}"
        return Proposal(question, self._arguments, terms["cancel_returns"], cancellation=terms)

    def perform(self, api: Api, offer: Offer) -> tuple[str, Json]:
        done = api.post(self._path, params={"min_refund": offer.terms})
        return f"Canceled. Refunded {done['refunded']} credits, kept {done['kept']}.", done


class Delete:
    """Removes a video that has ended, and its files."""

    def __init__(self, arguments: Json) -> None:
        self._arguments = arguments
        self._path = f"/v1/videos/{arguments['video']}"

    def identity(self) -> Json:
        return self._arguments

    def propose(self, api: Api) -> Proposal:
        video = api.get(self._path)
        if video["status"] not in FINAL:
            message = f"{video['id']} is {video['status']}. Nothing was deleted."
            action = "Wait for it to finish, or cancel it first with cancel_video."
            raise Failure(Exit.STATE, "JOB_NOT_FINISHED", message, action)
        return Proposal(deletion(video), self._arguments, None)

    def perform(self, api: Api, offer: Offer) -> tuple[str, Json]:
        return f"Deleted {self._arguments['video']}.", api.delete(self._path)


WRITES: Final[Mapping[str, type[Write]]] = {"create_video": Create, "cancel_video": Cancel, "delete_video": Delete}


def video_request(arguments: Json) -> VideoRequest:
    """The request that a tool's arguments make, with its images read. Raises Failure."""
    frames = {"input_reference": "first_frame", "last_frame": "last_frame"}
    given = [(field, arguments[name]) for field, name in frames.items() if name in arguments]
    given += [("reference_images", image) for image in arguments.get("reference_images", [])]
    images = tuple(Image.of(field, image) for field, image in given)
    ours = {*frames.values(), "reference_images"}
    return VideoRequest({name: value for name, value in arguments.items() if name not in ours}, images)
