"""No account and no host has more of the function deliver than its share."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from shared.webhooks import receivers
from shared.webhooks.receivers import AT_ONCE_OF_ACCOUNT, AT_ONCE_OF_HOST, CROWDED_FROM, Receivers

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def taken(stack: ExitStack, places: Receivers, account: str, host: str, tries: int = 1) -> int:
    """How many of the tries found a place, which they hold until the stack is closed."""
    return sum(stack.enter_context(places.place(account, host)) for _ in range(tries))


def test_account_has_its_share_across_any_hosts() -> None:
    places = Receivers()
    with ExitStack() as stack:
        names = [f"{number}.example" for number in range(60)]
        assert sum(taken(stack, places, "mallory", name) for name in names) == AT_ONCE_OF_ACCOUNT
        assert taken(stack, places, "alice", "alice.example") == 1
    with ExitStack() as stack:
        assert taken(stack, places, "mallory", "0.example", 60) == AT_ONCE_OF_ACCOUNT


def test_host_has_its_share_across_any_accounts() -> None:
    places = Receivers()
    with ExitStack() as stack:
        assert sum(taken(stack, places, f"a{number}", "slow.example", 2) for number in range(30)) == AT_ONCE_OF_HOST


def test_under_load_each_account_has_one_slot() -> None:
    places = Receivers()
    with ExitStack() as stack:
        held = sum(taken(stack, places, f"a{n}", f"h{n}.example", 60) for n in range(CROWDED_FROM))
        assert held <= CROWDED_FROM + CROWDED_FROM - CROWDED_FROM // AT_ONCE_OF_ACCOUNT
        assert taken(stack, places, "newcomer", "new.example", 60) == 1


def test_turns_are_spaced_and_never_in_the_past() -> None:
    places = Receivers()
    turns = [places.turn("alice", NOW) for _ in range(3)]
    assert [(turn - NOW).total_seconds() for turn in turns] == [1.25, 1.5, 1.75]
    assert places.turn("bob", NOW) == turns[0]
    later = NOW + timedelta(hours=1)
    assert places.turn("alice", later) > later


def test_turns_are_never_far_ahead() -> None:
    places = Receivers()
    assert max(places.turn("alice", NOW) for _ in range(10_000)) <= NOW + receivers.LONGEST_QUEUE


def test_memory_of_accounts_and_endpoints_is_bounded() -> None:
    places = Receivers()
    for number in range(receivers.REMEMBERED + 100):
        places.turn(f"account-{number}", NOW)
        places.failed(f"endpoint-{number}", NOW)
        with places.place(f"account-{number}", "host"):
            pass
    assert len(places._turns) == len(places._failures) == receivers.REMEMBERED
    assert not places._of_account
    assert not places._of_host
