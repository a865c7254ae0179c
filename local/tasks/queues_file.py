"""Queues from a JSON file: a list of objects with a name and, in plain numbers, their limits."""

import json
from pathlib import Path
from typing import Any, Final

from local.tasks.messages import Queue, set_seconds

KEYS: Final = frozenset(
    {
        "name",
        "max_dispatches_per_second",
        "max_concurrent_dispatches",
        "min_backoff_s",
        "max_backoff_s",
        "max_doublings",
        "max_attempts",
    }
)


def read_queues(path: Path, location: str) -> list[Any]:
    """Queue messages for a file's entries.

    A name is a full one, or a queue id in `location` ("projects/P/locations/L"). Raises ValueError for an unknown key.
    """
    return [_queue(entry, location) for entry in json.loads(path.read_text("utf-8"))]


def _queue(entry: dict[str, Any], location: str) -> Any:
    unknown = set(entry) - KEYS
    if unknown:
        raise ValueError(f"unknown keys of a queue: {', '.join(sorted(unknown))}")
    name = entry["name"]
    queue = Queue(name=name if name.startswith("projects/") else f"{location}/queues/{name}")
    queue.rate_limits.max_dispatches_per_second = entry.get("max_dispatches_per_second", 0)
    queue.rate_limits.max_concurrent_dispatches = entry.get("max_concurrent_dispatches", 0)
    queue.retry_config.max_attempts = entry.get("max_attempts", 0)
    queue.retry_config.max_doublings = entry.get("max_doublings", 0)
    if "min_backoff_s" in entry:
        set_seconds(queue.retry_config.min_backoff, entry["min_backoff_s"])
    if "max_backoff_s" in entry:
        set_seconds(queue.retry_config.max_backoff, entry["max_backoff_s"])
    return queue
