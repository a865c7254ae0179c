"""Replay one random schedule, or play many: python -m testing.simulation --seed N [--count M]."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from testing.simulation.simulation import Failed, simulate


def main() -> int:
    """0 when every schedule kept every promise."""
    parser = argparse.ArgumentParser(prog="python -m testing.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the (first) schedule's seed")
    parser.add_argument("--count", type=int, default=1, help="how many schedules, by seeds one after another")
    options = parser.parse_args()
    reached: Counter[str] = Counter()
    failed = 0
    for seed in range(options.seed, options.seed + options.count):
        try:
            reached += simulate(seed).reached
        except Failed as error:
            failed += 1
            print(error)
    print(f"{options.count} schedules, {failed} failed")
    for name, times in reached.most_common():
        print(f"  {times:6d}  {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
