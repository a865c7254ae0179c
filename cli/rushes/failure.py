"""How a command fails: what is printed, and the exit code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rushes.exit_codes import Exit

Json = dict[str, Any]


@dataclass
class Failure(Exception):  # noqa: N818 - reads as the state it names
    """Ends a command. `code` is the API's, or one of our own in its manner.

    `document` is what --json prints instead of the error: a video that ended otherwise than wished.
    """

    exit: Exit
    code: str
    message: str
    suggested_action: str = ""
    retryable: bool = False
    details: Json = field(default_factory=dict)
    request_id: str | None = None
    document: Json | None = None

    def __post_init__(self) -> None:
        super().__init__(self.code, self.message)

    def body(self) -> Json:
        """What --json prints: the API's own shape."""
        if self.document is not None:
            return self.document
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "retryable": self.retryable,
                "suggested_action": self.suggested_action,
                "details": self.details,
                "request_id": self.request_id,
            }
        }


def usage(message: str, suggested_action: str = "") -> Failure:
    """The command line asks for something that cannot be."""
    return Failure(Exit.USAGE, "USAGE", message, suggested_action)
