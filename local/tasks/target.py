"""One attempt of a task: the HTTP request that Cloud Tasks sends, and its result."""

import asyncio
import dataclasses
import datetime
import time
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx2
from google.cloud.tasks_v2 import HttpMethod

from local.identity.oidc import Minter
from local.tasks.messages import seconds

USER_AGENT: Final = "Google-Cloud-Tasks"
# Shorter than the idle time of the servers we call (gunicorn: 2 s), so that no request meets a connection being closed.
IDLE_CONNECTION_S: Final = 1.0
RESPONSE_LIMIT_BYTES: Final = 1 << 20
# The task's own headers that Cloud Tasks replaces or drops.
REPLACED: Final = frozenset({"host", "content-length", "user-agent"})
RESERVED: Final = ("x-google-", "x-appengine-", "x-cloudtasks-")


@dataclasses.dataclass(frozen=True)
class Delivery:
    """What an attempt needs to know: the task message, when it was due (Unix seconds) and how it went before."""

    task: Any
    due_at: float
    retry_count: int
    execution_count: int
    previous_status: int | None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`status` is the HTTP status, None when no answer came; `retry_after_s` is what the target asked for."""

    status: int | None
    message: str
    retry_after_s: float = 0.0

    @property
    def is_success(self) -> bool:
        """2xx: the task is done."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_overload(self) -> bool:
        """The answers that slow the whole queue."""
        return self.status in (429, 503)


class Target:
    """Sends tasks to their URLs. `minter` signs their OIDC tokens."""

    def __init__(self, minter: Minter | None) -> None:
        self._minter = minter
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=IDLE_CONNECTION_S)
        self._client = httpx2.AsyncClient(limits=limits, timeout=None, trust_env=False)

    @property
    def can_sign(self) -> bool:
        """Whether tasks may ask for an OIDC token."""
        return self._minter is not None

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.aclose()

    async def attempt(self, delivery: Delivery) -> Outcome:
        """One request, bounded by the task's dispatch deadline. A failure of any kind is an Outcome."""
        request = delivery.task.http_request
        try:
            async with asyncio.timeout(seconds(delivery.task.dispatch_deadline)):
                method = HttpMethod(request.http_method).name
                headers = self._headers(delivery)
                async with self._client.stream(method, request.url, headers=headers, content=request.body) as response:
                    await _read(response)
                    return Outcome(response.status_code, _message(response), _retry_after_s(response))
        except TimeoutError:
            return Outcome(None, "DEADLINE_EXCEEDED")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            return Outcome(None, f"UNAVAILABLE: {error!r}")

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        task = delivery.task
        _, _, _, _, _, queue_id, _, task_id = task.name.split("/")
        own = {name.lower(): value for name, value in task.http_request.headers.items()}
        headers = {name: value for name, value in own.items() if name not in REPLACED and not name.startswith(RESERVED)}
        headers |= {
            "user-agent": USER_AGENT,
            "x-cloudtasks-queuename": queue_id,
            "x-cloudtasks-taskname": task_id,
            "x-cloudtasks-taskretrycount": str(delivery.retry_count),
            "x-cloudtasks-taskexecutioncount": str(delivery.execution_count),
            "x-cloudtasks-tasketa": f"{delivery.due_at:.6f}",
        }
        if delivery.retry_count:
            status = delivery.previous_status
            headers["x-cloudtasks-taskpreviousresponse"] = str(status or 0)
            headers["x-cloudtasks-taskretryreason"] = f"HTTP status {status}" if status else "no response"
        token = task.http_request.oidc_token
        if task.http_request.HasField("oidc_token"):
            if self._minter is None:
                raise ValueError("there is no key to sign an OIDC token with")
            audience = token.audience or task.http_request.url
            headers["authorization"] = f"Bearer {self._minter.token(token.service_account_email, audience)}"
        return headers


async def _read(response: httpx2.Response) -> None:
    length = 0
    async for piece in response.aiter_raw():
        length += len(piece)
        if length > RESPONSE_LIMIT_BYTES:
            return


def _message(response: httpx2.Response) -> str:
    return f"HTTP status code {response.status_code}"


def _retry_after_s(response: httpx2.Response) -> float:
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(0.0, moment.timestamp() - time.time())
