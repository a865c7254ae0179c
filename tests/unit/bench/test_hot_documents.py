"""Many submissions that write the same document, each read 20 ms and each commit 50 ms away, in virtual time."""

from __future__ import annotations

import pytest

from bench.hot_documents import AMPLE, COST, USERS, Offer, play


@pytest.mark.parametrize(
    "offer",
    [
        Offer("an account", 40, count=300),
        Offer("an account in a hurry", 200, count=300),
        Offer("a capped tenant", 40, USERS, cap=AMPLE, count=300),
        Offer("a capped tenant in a hurry", 100, USERS, 4, AMPLE, count=300),
    ],
    ids=lambda offer: offer.name,
)
def test_hot_document_waits_for_at_most_two_commits(offer: Offer) -> None:
    came = play(offer)
    assert not came.refused
    assert came.percentile(0.95) < 3 * 0.07


def test_several_instances_on_one_account_all_get_answers() -> None:
    came = play(Offer("an account", 40, instances=4, count=300))
    assert not came.refused
    assert came.percentile(0.5) < 0.5


def test_instances_together_spend_a_cap_to_its_last_credit() -> None:
    came = play(Offer("a capped tenant", 40, USERS, 4, 150 * COST + 7, count=300))
    assert (len(came.seconds), dict(came.refused)) == (150, {"DAILY_LIMIT": 150})
