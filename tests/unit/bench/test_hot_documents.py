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
def test_a_hot_document_makes_nobody_wait_for_more_than_two_commits(offer: Offer) -> None:
    came = play(offer)
    assert not came.refused
    assert came.percentile(0.95) < 3 * 0.07


def test_several_instances_that_write_one_account_are_all_answered() -> None:
    came = play(Offer("an account", 40, instances=4, count=300))
    assert not came.refused
    assert came.percentile(0.5) < 0.5


def test_a_cap_is_spent_to_its_last_credit_by_all_instances_together() -> None:
    came = play(Offer("a capped tenant", 40, USERS, 4, 150 * COST + 7, count=300))
    assert (len(came.seconds), dict(came.refused)) == (150, {"DAILY_LIMIT": 150})
