"""python -m tests.fuzz: at least so many requests to a cloud of its own; ends with 1 when any answer is wrong."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from testing.cloud import Cloud
from tests.fuzz.harness import Fuzz

EXAMPLES = 25


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="at least so many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="to send the same again")
    parser.add_argument("--embedded", action="store_true", help="to the embedded form")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="rushes-fuzz-") as directory,
        Cloud.started(Path(directory), embedded=options.embedded) as cloud,
    ):
        fuzz = Fuzz(cloud, alone=True)
        seed = options.seed
        while fuzz.sent < options.requests:
            for operation in fuzz.operations:
                fuzz.round(operation, EXAMPLES, seed)
            seed += 1
            print(f"{fuzz.sent:,} requests, {len(fuzz.problems)} problems", flush=True)
        print(fuzz.report())
    return 1 if fuzz.problems or fuzz.server_errors else 0


if __name__ == "__main__":
    sys.exit(main())
