"""What Cloud Tasks accepts: names, sizes and limits of queues and tasks, and the defaults it fills in."""

import re
import time
from typing import Any, Final

import grpc
from google.cloud.tasks_v2 import HttpMethod

from local.tasks.messages import seconds, set_seconds

LOCATION: Final = r"projects/[A-Za-z0-9.:-]+/locations/[a-z0-9-]+"
PARENT_OF_QUEUES: Final = re.compile(LOCATION)
QUEUE_NAME: Final = re.compile(rf"{LOCATION}/queues/[A-Za-z0-9-]{{1,100}}")
TASK_NAME: Final = re.compile(rf"({LOCATION}/queues/[A-Za-z0-9-]{{1,100}})/tasks/([A-Za-z0-9_-]{{1,500}})")

# Documented limits of the service.
TASK_LIMIT_BYTES: Final = 1 << 20
HEADERS_LIMIT_BYTES: Final = 80 * 1024
URL_LIMIT: Final = 2083
SCHEDULE_LIMIT_S: Final = 30 * 24 * 3600
DEADLINE_S: Final = (15.0, 1800.0)
DEADLINE_DEFAULT_S: Final = 600.0
RATE_LIMIT_PER_S: Final = 500.0
CONCURRENT_LIMIT: Final = 5000

# What the service picks for a queue that leaves them unset.
CONCURRENT_DEFAULT: Final = 1000
ATTEMPTS_DEFAULT: Final = 100
MIN_BACKOFF_DEFAULT_S: Final = 0.1
MAX_BACKOFF_DEFAULT_S: Final = 3600.0
DOUBLINGS_DEFAULT: Final = 16

WITH_BODY: Final = frozenset({HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH})


class RefusedError(Exception):
    """A call that ends with a gRPC status other than OK."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> RefusedError:
    """INVALID_ARGUMENT."""
    return RefusedError(grpc.StatusCode.INVALID_ARGUMENT, message)


def check_queue_name(name: str) -> str:
    """The name itself. Raises INVALID_ARGUMENT."""
    if not QUEUE_NAME.fullmatch(name):
        raise invalid(f'Invalid resource field value in the request: queue name "{name}"')
    return name


def split_task_name(name: str) -> tuple[str, str]:
    """Queue name and task id. Raises INVALID_ARGUMENT."""
    match = TASK_NAME.fullmatch(name)
    if match is None:
        raise invalid(f'Invalid resource field value in the request: task name "{name}"')
    return match[1], match[2]


def fill_queue(queue: Any) -> None:
    """Fills in a Queue message's defaults. Raises INVALID_ARGUMENT for limits out of range."""
    rates = queue.rate_limits
    rates.max_dispatches_per_second = rates.max_dispatches_per_second or RATE_LIMIT_PER_S
    rates.max_concurrent_dispatches = rates.max_concurrent_dispatches or CONCURRENT_DEFAULT
    if not 0 < rates.max_dispatches_per_second <= RATE_LIMIT_PER_S:
        raise invalid(f"max_dispatches_per_second must be in (0, {RATE_LIMIT_PER_S:.0f}]")
    if not 0 < rates.max_concurrent_dispatches <= CONCURRENT_LIMIT:
        raise invalid(f"max_concurrent_dispatches must be in [1, {CONCURRENT_LIMIT}]")
    fill_retry(queue.retry_config)


def fill_retry(retry: Any) -> None:
    """Fills in a RetryConfig's defaults. Raises INVALID_ARGUMENT for values out of range."""
    retry.max_attempts = retry.max_attempts or ATTEMPTS_DEFAULT
    if not retry.HasField("min_backoff"):
        set_seconds(retry.min_backoff, MIN_BACKOFF_DEFAULT_S)
    if not retry.HasField("max_backoff"):
        set_seconds(retry.max_backoff, max(MAX_BACKOFF_DEFAULT_S, seconds(retry.min_backoff)))
    if retry.max_attempts < -1:
        raise invalid("max_attempts must be -1 or more")
    if not 0 <= seconds(retry.min_backoff) <= seconds(retry.max_backoff):
        raise invalid("min_backoff must not be above max_backoff")
    # Zero doublings look like an unset field: the service reads both as its default.
    retry.max_doublings = retry.max_doublings or DOUBLINGS_DEFAULT


def fill_task(task: Any) -> None:
    """Fills in a Task message's defaults, due time included. Raises INVALID_ARGUMENT."""
    if task.WhichOneof("message_type") != "http_request":
        raise invalid("Task.http_request is required; App Engine tasks are not supported")
    if task.ByteSize() > TASK_LIMIT_BYTES:
        raise invalid(f"Task size too large: it must be at most {TASK_LIMIT_BYTES} bytes")
    _check_request(task.http_request)
    now = time.time()
    if not task.HasField("schedule_time") or seconds(task.schedule_time) < now:
        set_seconds(task.schedule_time, now)
    if seconds(task.schedule_time) > now + SCHEDULE_LIMIT_S:
        raise invalid("schedule_time must be at most 30 days ahead")
    if not task.HasField("dispatch_deadline"):
        set_seconds(task.dispatch_deadline, DEADLINE_DEFAULT_S)
    shortest_s, longest_s = DEADLINE_S
    if not shortest_s <= seconds(task.dispatch_deadline) <= longest_s:
        raise invalid(f"dispatch_deadline must be in [{shortest_s:.0f}s, {longest_s:.0f}s]")
    if task.HasField("retry_config"):
        fill_retry(task.retry_config)
    set_seconds(task.create_time, int(now))
    for output_only in ("dispatch_count", "response_count", "first_attempt", "last_attempt", "view"):
        task.ClearField(output_only)


def _check_request(request: Any) -> None:
    request.http_method = request.http_method or int(HttpMethod.POST)
    if not request.url.startswith(("http://", "https://")):
        raise invalid('HttpRequest.url must start with "http://" or "https://"')
    if len(request.url) > URL_LIMIT:
        raise invalid(f"HttpRequest.url must be at most {URL_LIMIT} characters")
    if request.body and request.http_method not in WITH_BODY:
        raise invalid("HttpRequest.body is allowed with POST, PUT and PATCH only")
    headers = [*request.headers.keys(), *request.headers.values()]
    if sum(map(len, headers)) > HEADERS_LIMIT_BYTES or not all(text.isascii() for text in headers):
        raise invalid("HttpRequest.headers must be ASCII and less than 80 KB")
    if request.HasField("oauth_token"):
        raise invalid("HttpRequest.oauth_token is for *.googleapis.com only; use oidc_token")
    if request.HasField("oidc_token") and "@" not in request.oidc_token.service_account_email:
        raise invalid("OidcToken.service_account_email must be an e-mail address")
