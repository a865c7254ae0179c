"""What users type, as text that can be sent: whatever the locale made of its bytes."""

from __future__ import annotations

import os
import re
import sys
from typing import Final

from rushes.failure import usage

MAX_KEY_CHARS: Final = 255
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


def text(argument: str) -> str:
    """The argument as text. A locale without its characters keeps bytes as surrogates; they are read as UTF-8.

    Raises Failure when they are no text.
    """
    try:
        argument.encode()
    except UnicodeEncodeError:
        try:
            return os.fsencode(argument).decode()
        except UnicodeError:
            raise usage(f"{argument!r} isn't valid text.", "Type it in UTF-8.") from None
    return argument


def idempotency_key(key: str) -> str:
    """A key of the user's own. Raises Failure for one that could not be sent as it is."""
    key = text(key)
    if not 1 <= len(key) <= MAX_KEY_CHARS or _CONTROLS.search(key) or key != key.strip():
        raise usage(
            f"An Idempotency-Key has 1 to {MAX_KEY_CHARS} characters, without line breaks or spaces at its ends.",
        )
    return key


def read_input() -> str:
    """All of standard input: UTF-8, or else in the terminal's own encoding. Raises Failure when it is neither."""
    if sys.stdin is None:
        raise usage("Standard input is closed.")
    raw = getattr(sys.stdin, "buffer", None)
    if raw is None:
        return sys.stdin.read()
    data: bytes = raw.read()
    for encoding in ("utf-8", sys.stdin.encoding):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise usage("Standard input isn't valid text.", "Send it in UTF-8.")
