"""Offers that an assistant made to a user: what was quoted for which wish, so that only that is done, and once."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rushes.failure import Json
from rushes.sentences import cancel_returns

KEPT_FOR_S: Final = 3600.0
MAX_OFFERS: Final = 200
ID_BYTES: Final = 16


@dataclass(frozen=True)
class Offer:
    """`id` is also the Idempotency-Key: however often an accepted offer comes back, it is one video."""

    id: str
    wish: Json
    estimate: Json
    made_at: float

    @property
    def credits(self) -> int:
        return int(self.estimate["cost"])

    def text(self) -> str:
        """The offer in a sentence, for people."""
        one = self.estimate
        many = f"{one['count']} videos" if one["count"] > 1 else "a video"
        return (
            f"Make {many} of {one['seconds']} s ({one['model']}, {one['size']}) for {one['cost']} credits? "
            f"It usually takes about {one['expected_seconds']:.0f} s. "
            f"The balance is {one['balance']} credits, afterwards {one['balance_after']}. "
            f"{cancel_returns(one)} Prompt: {self.wish['prompt']}"
        )


class Offers:
    """The offers of the last hour, of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._offers: OrderedDict[str, Offer] = OrderedDict()

    def make(self, wish: Json, estimate: Json) -> Offer:
        offer = Offer(f"offer-{secrets.token_urlsafe(ID_BYTES)}", wish, estimate, self._clock())
        self._offers[offer.id] = offer
        while len(self._offers) > MAX_OFFERS:
            self._offers.popitem(last=False)
        return offer

    def get(self, offer_id: str | None, wish: Json) -> Offer | None:
        """The offer of that id, if it was made for that wish and not too long ago."""
        offer = self._offers.get(offer_id or "")
        return offer if offer and offer.wish == wish and self._fresh(offer) else None

    def quoted(self, wish: Json, credits_: int) -> Offer | None:
        """The newest offer that quoted so much for that wish."""
        found = (offer for offer in reversed(self._offers.values()) if offer.wish == wish and self._fresh(offer))
        offer = next(found, None)
        return offer if offer and offer.credits == credits_ else None

    def _fresh(self, offer: Offer) -> bool:
        return self._clock() - offer.made_at < KEPT_FOR_S
