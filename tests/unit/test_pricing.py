"""What a request costs, and what of it comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.models import LiveConfig, VideoRequest
from shared.pricing import cost, credits_per_second, refund_for_filtered


def request(seconds: int, count: int = 1, model: str = "veo-3.1-fast") -> VideoRequest:
    return VideoRequest(
        prompt="p",
        model=model,
        seconds=seconds,
        aspect_ratio="16:9",
        resolution="720p",
        generate_audio=True,
        count=count,
    )


@pytest.mark.parametrize(("seconds", "price"), [(4, 40), (6, 60), (8, 80)])
def test_a_video_of_4_6_or_8_seconds_costs_40_60_or_80_credits(seconds: int, price: int) -> None:
    assert cost(request(seconds), LiveConfig()) == price


def test_each_of_several_videos_costs_the_same() -> None:
    assert cost(request(8, 4), LiveConfig()) == 320


def test_a_models_own_price_goes_before_the_common_one() -> None:
    config = LiveConfig(credits_per_second=5, credits_per_second_by_model={"omni-flash": 7})
    assert credits_per_second("omni-flash", config) == 7
    assert credits_per_second("veo-3.1", config) == 5
    assert cost(request(10, model="omni-flash"), config) == 70


@pytest.mark.parametrize(
    ("charged", "count", "filtered", "refund"),
    [(80, 1, 1, 80), (320, 4, 1, 80), (320, 4, 3, 240), (320, 4, 0, 0), (100, 3, 1, 34), (100, 3, 2, 67), (0, 2, 1, 0)],
)
def test_a_fraction_of_a_refund_is_rounded_up_for_the_user(
    charged: int, count: int, filtered: int, refund: int
) -> None:
    assert refund_for_filtered(charged, count, filtered) == refund


@given(st.integers(0, 10**9), st.integers(1, 4), st.data())
def test_a_refund_is_never_less_than_the_share_and_never_more_than_the_charge(
    charged: int, count: int, data: st.DataObject
) -> None:
    filtered = data.draw(st.integers(0, count))
    refund = refund_for_filtered(charged, count, filtered)
    assert charged * filtered <= refund * count < charged * filtered + count
    assert 0 <= refund <= charged


@given(st.integers(1, 60), st.integers(1, 4), st.integers(0, 100_000))
def test_twice_as_long_or_as_many_costs_twice_as_much(seconds: int, count: int, price: int) -> None:
    config = LiveConfig(credits_per_second=price)
    assert cost(request(2 * seconds, count), config) == 2 * cost(request(seconds, count), config)
    assert cost(request(seconds, 2 * count), config) == 2 * cost(request(seconds, count), config)
