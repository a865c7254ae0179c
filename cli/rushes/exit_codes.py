"""What a command ends with: the exit codes that scripts may rely on, and how an error of the API becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """The exit codes; docs/cli.md explains each."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    AUTH = 3
    NOT_FOUND = 4
    CREDITS = 5
    LIMIT = 6
    STATE = 7
    JOB_FAILED = 8
    JOB_CANCELED = 9
    UNAVAILABLE = 10
    TIMEOUT = 11
    MISSING = 12
    INTERRUPTED = 130


# By the code of the API's catalog of errors, where the HTTP status alone would say something else.
BY_CODE: Final[Mapping[str, Exit]] = {
    "GONE": Exit.NOT_FOUND,
    "LIMIT_REACHED": Exit.LIMIT,
    "INTERNAL": Exit.UNAVAILABLE,
}
BY_STATUS: Final[Mapping[int, Exit]] = {
    400: Exit.USAGE,
    401: Exit.AUTH,
    402: Exit.CREDITS,
    403: Exit.AUTH,
    404: Exit.NOT_FOUND,
    408: Exit.UNAVAILABLE,
    409: Exit.STATE,
    410: Exit.NOT_FOUND,
    412: Exit.STATE,
    413: Exit.USAGE,
    415: Exit.USAGE,
    422: Exit.USAGE,
    428: Exit.USAGE,
    429: Exit.LIMIT,
}


def of_error(code: str, status: int) -> Exit:
    """The exit code for an error that the API answered with."""
    if code in BY_CODE:
        return BY_CODE[code]
    if status >= 500:
        return Exit.UNAVAILABLE
    return BY_STATUS.get(status, Exit.UNEXPECTED)
