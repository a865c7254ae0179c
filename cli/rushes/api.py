"""Calls of the API: retried where safe and useful, with failures as the server reports them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final

import httpx2

from rushes import transport
from rushes.connection import Connection
from rushes.exit_codes import Exit, of_error
from rushes.failure import Failure, Json, usage
from rushes.tokens import Bearer

# An upload of images on a slow line, and a submission that fetches images of its own.
TIMEOUT_S: Final = 120.0
# The server says something at least every 15 s.
EVENTS_TIMEOUT_S: Final = 45.0
FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 5.0
REAUTHENTICATION_REQUIRED: Final = "REAUTHENTICATION_REQUIRED"
# What passes by itself, soon. Others that are retryable (a switched-off generation, a day's limit) are for people.
PASSING: Final = frozenset({"RATE_LIMITED", "UNAVAILABLE", "INTERNAL"})


class Api:
    """One installation, called as one user. Every method raises Failure."""

    def __init__(self, connection: Connection, retry_for_s: float) -> None:
        self.connection = connection
        self._bearer: Bearer = connection.bearer
        self._retry_for_s = retry_for_s
        self._http = transport.client(connection.url, TIMEOUT_S)

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Json:
        params = {name: value for name, value in query.items() if value is not None}
        return _body(self._call("GET", path, True, params=params))

    def delete(self, path: str) -> Json:
        return _body(self._call("DELETE", path, True))

    def post(self, path: str, *, key: str | None = None, repeatable: bool = False, **options: Any) -> Json:
        """`key` is an Idempotency-Key, which makes a call repeatable, as `repeatable` says of one that is by nature."""
        headers = {"Idempotency-Key": key} if key else {}
        return _body(self._call("POST", path, repeatable or key is not None, headers=headers, **options))

    def fetch(self, path: str, **query: Any) -> bytes:
        """Bytes instead of JSON."""
        return self._call("GET", path, True, params=query).content

    @asynccontextmanager
    async def events(self, path: str, last_id: str) -> AsyncIterator[httpx2.EventSource | None]:
        """A stream of server-sent events; None if it has no events. Raises TransportError too."""
        headers = {"Authorization": f"Bearer {self._bearer.token()}", "Last-Event-ID": last_id}
        address = self.connection.url + path
        async with (
            transport.async_client(address, EVENTS_TIMEOUT_S) as client,
            client.sse(address, headers=headers) as source,
        ):
            if source.response.is_error:
                await source.response.aread()
                raise failure_of(source.response)
            yield None if source.response.status_code == httpx2.codes.NO_CONTENT else source

    def _call(self, method: str, path: str, repeatable: bool, **options: Any) -> httpx2.Response:
        headers = options.pop("headers", {})

        def once() -> httpx2.Response:
            token = self._bearer.token()
            response = self._send(method, path, token, headers, options)
            if _wants_fresh_token(response) and self._bearer.refused(token):
                response = self._send(method, path, self._bearer.token(), headers, options)
            if response.is_error:
                raise failure_of(response)
            return response

        return repeated(once, self._retry_for_s if repeatable else 0.0)

    def _send(
        self, method: str, path: str, token: str, headers: dict[str, str], options: dict[str, Any]
    ) -> httpx2.Response:
        # As UTF-8, in which the server reads them; the client's own encoding of headers is ASCII.
        bearer = {"Authorization": f"Bearer {token}", **headers}
        try:
            named = [(name.encode(), value.encode()) for name, value in bearer.items()]
            return self._http.request(method, self.connection.url + path, headers=named, **options)
        except (httpx2.LocalProtocolError, UnicodeEncodeError) as error:
            raise usage(
                f"Can't send the request: {error}.", "Check the API key and the arguments for unusual characters."
            ) from None


def _wants_fresh_token(response: httpx2.Response) -> bool:
    """Whether another token may do better: it says that the address is verified only once it was renewed.

    A renewed token is of the same sign-in, so it doesn't help where the sign-in is too long ago.
    """
    if response.status_code == httpx2.codes.FORBIDDEN:
        return failure_of(response).code == "EMAIL_NOT_VERIFIED"
    unauthorized: bool = response.status_code == httpx2.codes.UNAUTHORIZED
    return unauthorized and failure_of(response).code != REAUTHENTICATION_REQUIRED


def repeated(once: Callable[[], httpx2.Response], for_s: float) -> httpx2.Response:
    """The answer, after as many tries as fit into so many seconds. Raises Failure."""
    deadline = time.monotonic() + for_s
    wait_s = FIRST_WAIT_S
    while True:
        try:
            return once()
        except httpx2.TransportError as error:
            failure, least_s = unreachable(error), 0.0
        except Failure as answered:
            if not (answered.code in PASSING and answered.retryable):
                raise
            failure, least_s = answered, float(answered.details.get("retry_after_s", 0.0))
        pause_s = max(wait_s, least_s)
        if time.monotonic() + pause_s > deadline:
            raise failure
        time.sleep(pause_s)
        wait_s = min(wait_s * 2, LONGEST_WAIT_S)


def failure_of(response: httpx2.Response) -> Failure:
    """An error of the API, or of something in between that answered in its place."""
    try:
        error = response.json()["error"]
        code, message, action = str(error["code"]), str(error["message"]), str(error["suggested_action"])
        retryable, details, request_id = bool(error["retryable"]), dict(error["details"]), error["request_id"]
    except (ValueError, KeyError, TypeError):
        passing = response.status_code >= 500
        code = "UNAVAILABLE" if passing else "UNEXPECTED_ANSWER"
        message = f"{response.url.copy_with(query=None)} returned {response.status_code}; it isn't a Rushes server."
        action, retryable, details, request_id = "Check the URL.", passing, {}, None
    after = response.headers.get("Retry-After", "")
    if after.isdigit():
        details.setdefault("retry_after_s", int(after))
    return Failure(of_error(code, response.status_code), code, message, action, retryable, details, request_id)


def unreachable(error: httpx2.TransportError) -> Failure:
    """The server did not answer."""
    where = f"{error.request.url.scheme}://{error.request.url.netloc.decode()}"
    return Failure(
        Exit.UNAVAILABLE,
        "UNAVAILABLE",
        f"Can't reach {where}: {error or type(error).__name__}",
        "Check the URL and the network (rushes doctor), and run the same command again. You won't be charged twice.",
        retryable=True,
    )


def _body(response: httpx2.Response) -> Json:
    try:
        body = response.json()
    except ValueError:
        raise failure_of(response) from None
    if not isinstance(body, dict):
        raise failure_of(response)
    return body
