"""What a handler of tasks tells the queue."""

from __future__ import annotations

from enum import Enum


class TaskResult(Enum):
    """The HTTP status of the answer: only THROTTLE makes the whole queue slower."""

    ACK = 204
    RETRY = 500
    THROTTLE = 503
