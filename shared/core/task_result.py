"""What a handler of tasks tells the queue."""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    """The HTTP status of the answer: only SLOW_DOWN makes the whole queue slower."""

    DONE = 204
    COME_BACK = 500
    SLOW_DOWN = 503
