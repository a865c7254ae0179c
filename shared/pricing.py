"""What a request costs, and what of it comes back. Pure; credits are whole numbers."""

from __future__ import annotations

from shared.models import LiveConfig, VideoRequest


def credits_per_second(model: str, config: LiveConfig) -> int:
    return config.credits_per_second_by_model.get(model, config.credits_per_second)


def cost(request: VideoRequest, config: LiveConfig) -> int:
    """Credits for all videos of the request: 40, 60 and 80 for one of 4, 6 and 8 s at the default price.

    Of an extension only the part that is added is paid for.
    """
    price = config.extension_credits_per_second if request.extends else credits_per_second(request.model, config)
    return price * request.seconds * request.count


def refund_for_filtered(charged: int, count: int, filtered: int) -> int:
    """The part of the charge for videos that the safety filter kept back; a fraction is rounded up for the user."""
    return -(-charged * filtered // count)
