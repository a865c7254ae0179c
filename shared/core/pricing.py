"""What a request costs, and what is refunded. Pure; credits are whole numbers."""

from __future__ import annotations

import base64
import hashlib
import json

from shared.core.documents import Job, LiveSettings, Resolution, VideoRequest
from shared.core.errors import ApiError


def credits_per_second(model: str, resolution: Resolution, config: LiveSettings) -> int:
    """The price of the model at that resolution, else of the model, else of all models."""
    prices = config.credits_per_second_by_model
    return prices.get(f"{model} {resolution}", prices.get(model, config.credits_per_second))


def credits_per_added_second(model: str, resolution: Resolution, config: LiveSettings) -> int:
    """The price of a second added to a video: that of a new video by that model, or the minimum if that is higher."""
    return max(credits_per_second(model, resolution, config), config.extension_credits_per_second or 0)


def cost(request: VideoRequest, config: LiveSettings) -> int:
    """Credits for all videos of the request: 40, 60 and 80 for one of 4, 6 and 8 s at the default price.

    For an extension only the added part is charged, at the price of the extending model, not of the one before it.
    """
    price = credits_per_added_second if request.extends else credits_per_second
    return price(request.model, request.resolution, config) * request.seconds * request.count


def quote_id(request: VideoRequest, cost: int) -> str:
    """The id of a quoted price, derived from the price and what it is for: nothing is stored.

    It can only reject a request whose price has risen, never lower a price, so there is nothing to gain by forging one.
    """
    return f"quote_{cost}_{_priced_as(request)}"


def price_conflict(request: VideoRequest, cost: int, max_cost: int | None, quote: str | None) -> ApiError | None:
    """The error if the quote is for another request, or the cost exceeds what the caller agreed to; else None."""
    limits = [] if max_cost is None else [max_cost]
    if quote is not None:
        _, quoted, priced_as = quote.split("_", 2)
        if priced_as != _priced_as(request):
            return ApiError(
                "INVALID_REQUEST",
                "This quote is for a different model, length, resolution, count or source. Request a new estimate.",
                {"field": "quote"},
            )
        limits.append(int(quoted))
    if not limits or cost <= min(limits):
        return None
    return ApiError(
        "PRICE_CHANGED",
        f"This now costs {cost} credits; you agreed to at most {min(limits)}.",
        {"cost": cost, "max_cost": min(limits), "quote": quote_id(request, cost)},
    )


def _priced_as(request: VideoRequest) -> str:
    """A digest of everything that a request's price depends on."""
    source = request.extends.job if request.extends else None
    parts = [request.model, request.seconds, request.resolution, request.count, source]
    return base64.urlsafe_b64encode(hashlib.sha256(json.dumps(parts).encode()).digest()).decode()[:22]


def refund_at_end(job: Job) -> int:
    """What a completed job refunds: what a cheaper model saved, and the videos that the safety filter removed."""
    price = job.cost if job.price is None else job.price
    return job.cost - price + refund_for_filtered(price, job.request.count, job.filtered)


def refund_for_filtered(charged: int, count: int, filtered: int) -> int:
    """The part of the charge for videos that the safety filter removed, rounded up in the user's favor."""
    return -(-charged * filtered // count)
