"""The plain protobuf classes behind google.cloud.tasks_v2's types, and their times as Unix seconds.

The proto-plus wrappers cost more than the rest of a dispatch; the messages on the wire are the same.
"""

from typing import Any, Final

from google.cloud.tasks_v2 import types

NANOSECONDS: Final = 1_000_000_000

Queue: Final[Any] = types.Queue.pb()
Task: Final[Any] = types.Task.pb()
ListQueuesResponse: Final[Any] = types.ListQueuesResponse.pb()
ListTasksResponse: Final[Any] = types.ListTasksResponse.pb()
FULL: Final = int(types.Task.View.FULL)
BASIC: Final = int(types.Task.View.BASIC)
RUNNING: Final = int(types.Queue.State.RUNNING)
PAUSED: Final = int(types.Queue.State.PAUSED)


def seconds(value: Any) -> float:
    """A Timestamp as Unix seconds, or a Duration as seconds."""
    return float(value.seconds + value.nanos / NANOSECONDS)


def set_seconds(target: Any, value_s: float) -> None:
    """Writes Unix seconds to a Timestamp, or a length to a Duration; cut to microseconds."""
    micros = int(value_s * 1_000_000)
    target.seconds, rest = divmod(micros, 1_000_000)
    target.nanos = rest * 1000
