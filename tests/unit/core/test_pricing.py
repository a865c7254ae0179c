"""Prices and refunds of requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.videos import CreateVideo
from shared.core.documents import Extends, LiveSettings, Resolution, VideoRequest
from shared.core.pricing import cost, credits_per_second, price_conflict, quote_id, refund_for_filtered


def request(
    seconds: int,
    count: int = 1,
    model: str = "veo-3.1-fast",
    resolution: Resolution = "720p",
    extends: Extends | None = None,
) -> VideoRequest:
    return VideoRequest(
        prompt="p",
        model=model,
        seconds=seconds,
        aspect_ratio="16:9",
        resolution=resolution,
        generate_audio=True,
        count=count,
        extends=extends,
    )


SOURCE = Extends(job="video_source", object="o", size_bytes=1, seconds=8.0)
PRICES = LiveSettings(credits_per_second_by_model={"veo-3.1": 40, "veo-3.1 4k": 80, "veo-3.1-lite": 5})


@pytest.mark.parametrize(("seconds", "price"), [(4, 40), (6, 60), (8, 80)])
def test_4_6_8_seconds_cost_40_60_80_credits(seconds: int, price: int) -> None:
    assert cost(request(seconds), LiveSettings()) == price


def test_each_of_several_videos_costs_the_same() -> None:
    assert cost(request(8, 4), LiveSettings()) == 320


def test_models_own_price_overrides_the_common_one() -> None:
    config = LiveSettings(credits_per_second=5, credits_per_second_by_model={"omni-flash": 7})
    assert credits_per_second("omni-flash", "720p", config) == 7
    assert credits_per_second("veo-3.1", "720p", config) == 5
    assert cost(request(10, model="omni-flash"), config) == 70


@pytest.mark.parametrize(
    ("model", "resolution", "price"),
    [("veo-3.1", "720p", 320), ("veo-3.1", "1080p", 320), ("veo-3.1", "4k", 640), ("veo-3.1-lite", "1080p", 40)],
)
def test_resolution_can_have_its_own_price(model: str, resolution: Resolution, price: int) -> None:
    assert cost(request(8, model=model, resolution=resolution), PRICES) == price


@pytest.mark.parametrize(
    ("model", "resolution", "price"),
    [("veo-3.1", "720p", 280), ("veo-3.1", "4k", 560), ("veo-3.1-lite", "720p", 35)],
)
def test_extension_is_priced_by_its_own_model_and_size(model: str, resolution: Resolution, price: int) -> None:
    """Seven seconds of an expensive model cost the same whichever model made the original video."""
    assert cost(request(7, model=model, resolution=resolution, extends=SOURCE), PRICES) == price


def test_added_second_costs_the_larger_of_minimum_and_model() -> None:
    config = PRICES.model_copy(update={"extension_credits_per_second": 10})
    assert cost(request(7, model="veo-3.1-lite", extends=SOURCE), config) == 70
    assert cost(request(7, model="veo-3.1", extends=SOURCE), config) == 280


@pytest.mark.parametrize(
    ("max_cost", "quoted", "code"),
    [
        (None, None, None),
        (80, None, None),
        (79, None, "PRICE_CHANGED"),
        (None, 80, None),
        (None, 81, None),
        (None, 79, "PRICE_CHANGED"),
        (80, 79, "PRICE_CHANGED"),
        (79, 80, "PRICE_CHANGED"),
    ],
)
def test_price_above_the_agreed_one_is_a_conflict(max_cost: int | None, quoted: int | None, code: str | None) -> None:
    wanted = request(8)
    quote = None if quoted is None else quote_id(wanted, quoted)
    conflict = price_conflict(wanted, 80, max_cost, quote)
    assert (conflict.code if conflict else None) == code
    if conflict is not None:
        assert conflict.details == {"cost": 80, "max_cost": 79, "quote": quote_id(wanted, 80)}


@pytest.mark.parametrize(
    "other",
    [
        request(4),
        request(8, 2),
        request(8, model="veo-3.1"),
        request(8, resolution="1080p"),
        request(8, extends=SOURCE),
    ],
)
def test_quote_covers_one_request(other: VideoRequest) -> None:
    conflict = price_conflict(other, 1, None, quote_id(request(8), 80))
    assert conflict is not None
    assert (conflict.code, conflict.details) == ("INVALID_REQUEST", {"field": "quote"})


def test_quote_can_be_sent_back_unchanged() -> None:
    assert CreateVideo(prompt="p", quote=quote_id(request(60, 4), 24_000_000)).quote


@pytest.mark.parametrize(
    ("charged", "count", "filtered", "refund"),
    [(80, 1, 1, 80), (320, 4, 1, 80), (320, 4, 3, 240), (320, 4, 0, 0), (100, 3, 1, 34), (100, 3, 2, 67), (0, 2, 1, 0)],
)
def test_fractional_refund_rounds_up(charged: int, count: int, filtered: int, refund: int) -> None:
    assert refund_for_filtered(charged, count, filtered) == refund


@given(st.integers(0, 10**9), st.integers(1, 4), st.data())
def test_refund_is_between_the_share_and_the_charge(charged: int, count: int, data: st.DataObject) -> None:
    filtered = data.draw(st.integers(0, count))
    refund = refund_for_filtered(charged, count, filtered)
    assert charged * filtered <= refund * count < charged * filtered + count
    assert 0 <= refund <= charged


@given(st.integers(1, 60), st.integers(1, 4), st.integers(0, 100_000))
def test_price_is_proportional_to_length_and_count(seconds: int, count: int, price: int) -> None:
    config = LiveSettings(credits_per_second=price)
    assert cost(request(2 * seconds, count), config) == 2 * cost(request(seconds, count), config)
    assert cost(request(seconds, 2 * count), config) == 2 * cost(request(seconds, count), config)
