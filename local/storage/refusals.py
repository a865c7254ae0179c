"""Refusals on demand: for a while the bucket answers that it will not, as when a permission is edited."""

import math
import time
from collections.abc import Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.storage import errors

STATUSES = {
    HTTPStatus.UNAUTHORIZED: ("authError", "AuthenticationRequired", "Invalid Credentials"),
    HTTPStatus.FORBIDDEN: ("forbidden", "AccessDenied", "The caller does not have storage.objects access."),
    HTTPStatus.TOO_MANY_REQUESTS: ("rateLimitExceeded", "SlowDown", "The rate of requests is too high."),
    HTTPStatus.SERVICE_UNAVAILABLE: ("backendError", "ServiceUnavailable", "We encountered an internal error."),
}


class Refusals:
    """What is answered instead of acting, for which methods (none: all), and until when."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._status = HTTPStatus.FORBIDDEN
        self._methods: frozenset[str] = frozenset()
        self._until_s = -math.inf

    def check(self, method: str) -> None:
        """Raises StorageError while such requests are refused."""
        if self._clock() < self._until_s and (not self._methods or method in self._methods):
            reason, code, message = STATUSES[self._status]
            raise errors.StorageError(self._status, reason, code, message)

    async def set(self, request: Request) -> Response:
        """POST {"status": 403, "seconds": 60, "methods": ["GET"]}; 0 seconds end it."""
        body = await request.json()
        try:
            status, seconds = HTTPStatus(body.get("status", 403)), float(body["seconds"])
            methods = frozenset(str(method) for method in body.get("methods", ()))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return errors.invalid(f"The refusal is not understood: {error}").as_json()
        if status not in STATUSES or seconds < 0:
            return errors.invalid(f"status is one of {sorted(STATUSES)}, seconds is at least 0").as_json()
        self._status, self._methods, self._until_s = status, methods, self._clock() + seconds
        return JSONResponse({"status": status, "seconds": seconds, "methods": sorted(methods)})
