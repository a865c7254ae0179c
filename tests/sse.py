"""Server-sent events as a client reads them (HTML standard, section 9.2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """`id` is what the client would send as Last-Event-ID after it: the last that any event bore."""

    name: str
    id: str
    data: dict[str, Any]

    @property
    def video(self) -> str:
        return str(self.data["id"])

    @property
    def version(self) -> int:
        return int(self.data["version"])

    @property
    def stage(self) -> str:
        return str(self.data["stage"])


class Reader:
    """Turns lines into events; keeps what is no event: comments, and how long to wait before coming back."""

    def __init__(self) -> None:
        self.last_id = ""
        self.comments: list[str] = []
        self.retry_ms: int | None = None

    def events(self, lines: Iterable[str]) -> Iterator[Event]:
        fields: dict[str, str] = {}
        for line in lines:
            if event := self.line(line, fields):
                yield event

    def line(self, line: str, fields: dict[str, str]) -> Event | None:
        """The event that this line ends, if it ends one."""
        if line.startswith(":"):
            self.comments.append(line[1:].strip())
            return None
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            return None
        self.last_id = fields.get("id", self.last_id)
        if "retry" in fields:
            self.retry_ms = int(fields["retry"])
        event = None
        if "data" in fields:
            event = Event(fields.get("event", "message"), self.last_id, json.loads(fields["data"]))
        fields.clear()
        return event
