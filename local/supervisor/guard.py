"""Ends the registered process groups when the supervisor is gone, however it ended.

A parent that is killed outright cannot tidy up, and a gunicorn worker does not notice that its master is dead. So this
process reads lines from a pipe that only the supervisor holds open, "+GROUP" and "-GROUP", and at the pipe's end kills
what is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
