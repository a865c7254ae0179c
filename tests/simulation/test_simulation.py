"""Random schedules of some twenty jobs: everything fails at any time, and every promise holds."""

from __future__ import annotations

from collections import Counter

import pytest

from testing.faults import parallel
from testing.simulation.simulation import Failed, Seen, simulate

SEEDS = 250
SEEDS_OF_THE_LONG_FORM = 5_000
CHUNK = 20
# Branches that are easily never reached, and would then be tested by nothing.
RARE = (
    "uncertain_start",
    "adopted",
    "stale step",
    "own commit recognized",
    "restarted",
    "late_success",
    "abandoned_generation",
    "swept",
    "lease lost while storing",
    "queue purged",
    "config_not_valid",
    "frozen",
    "delayed",
    "waited and entered",
)
# Schedules in which a promise was broken once.
ONCE_BROKEN = (3459, 6448)


def played(seeds: range) -> list[Seen | str]:
    """The result of each seed: what was seen, or the line that replays its failure."""
    found: list[Seen | str] = []
    for seed in seeds:
        try:
            found.append(simulate(seed))
        except Failed as error:
            found.append(str(error))
    return found


@pytest.mark.timeout(3_000)
def test_random_schedules_keep_every_invariant_and_reach_rare_branches(long: bool) -> None:
    count = SEEDS_OF_THE_LONG_FORM if long else SEEDS
    reached: Counter[str] = Counter()
    failed: list[str] = []
    jobs = 0
    chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    for found in parallel.each(played, chunks):
        for each in found:
            if isinstance(each, str):
                failed.append(each)
            else:
                reached += each.reached
                jobs += each.jobs
    assert not failed, f"{len(failed)} of {count} schedules:\n" + "\n".join(failed[:5])
    assert jobs > 15 * count, "most of the users got nothing"
    missing = [name for name in RARE if not reached[name]]
    assert not missing, f"never reached: {missing}; reached: {reached}"


def test_one_seed_is_one_schedule() -> None:
    assert simulate(7) == simulate(7)


@pytest.mark.parametrize("seed", ONCE_BROKEN)
def test_previously_failing_schedules_keep_every_invariant(seed: int) -> None:
    simulate(seed)
