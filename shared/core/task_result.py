"""What a task handler returns to the queue."""

from __future__ import annotations

from enum import Enum


class TaskResult(Enum):
    """The response's HTTP status: only THROTTLE slows the whole queue down."""

    ACK = 204
    RETRY = 500
    THROTTLE = 503
