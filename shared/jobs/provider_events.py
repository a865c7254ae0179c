"""External events that make a job poll sooner: a provider's webhook, a new object in the bucket.

An event is a hint, never a fact: it only brings the job's current step forward, and the step asks the provider. An
event for an unknown job is normal and changes nothing.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.datastructures import Headers

from shared.api import body_limits
from shared.core import lifecycle, storable
from shared.core.documents import VIDEO_ID, Job, Stage, TaskRef
from shared.core.errors import ApiError
from shared.platform import ids, log
from shared.platform.ports import Services
from shared.webhooks import signing

HINTED = frozenset({Stage.UNCERTAIN, Stage.GENERATING})


async def gemini_event(services: Services, headers: Headers, body: Callable[[], Awaitable[bytes]]) -> None:
    """Handle a signed event of the Gemini API: {"type", "data": {"id"}}. Raises ApiError UNAUTHENTICATED.

    `body` reads it within the route's limits, and is only called if the headers are those of a signed event.
    """
    secret = services.settings.gemini_webhook_secret
    signing.check_headers(secret, headers, services.clock().timestamp())
    raw = await body()
    signing.verify(secret, headers, raw, services.clock().timestamp())
    event = _object(raw)
    data = event.get("data")
    operation = data.get("id") if isinstance(data, dict) else None
    if not isinstance(operation, str) or not 0 < len(operation) <= 512 or not _is_text(operation):
        log.info("event_ignored", type=str(event.get("type"))[:64])
        return
    job = await services.firestore.job_of_operation(operation)
    if job is not None:
        await hint(services, job, headers["webhook-id"])


async def object_finalized(services: Services, attributes: Mapping[str, str]) -> None:
    """Handle a notification from the bucket, by its attributes; the object's name contains the job's id."""
    name = attributes.get("objectId", "")
    parts = name.split("/")
    if len(parts) < 5 or not re.fullmatch(VIDEO_ID, parts[2]):
        return
    job = await services.firestore.get(Job, parts[2])
    if job is not None and job.tenant == parts[0] and job.account == parts[1]:
        await hint(services, job, f"{name}#{attributes.get('objectGeneration')}")


async def hint(services: Services, job: Job, event: str) -> None:
    """Create an extra task for the job's current step, due now and named after the event: repeats add none."""
    if job.stage not in HINTED:
        return
    ref = TaskRef(name=f"{job.task.name}-{ids.derived('h', event)}", queue=lifecycle.POLL_QUEUE)
    await services.tasks.create(lifecycle.Task(ref, None, lifecycle.current_task(job).body))


def _is_text(value: str) -> bool:
    """Whether the value can be used in a query; JSON can contain a lone surrogate, which UTF-8 can't."""
    return storable.text(value, storable.MAX_QUERIED_BYTES) == value


def _object(raw: bytes) -> dict[str, Any]:
    body_limits.check_values(raw, body_limits.EVENTS.max_values)
    try:
        event = json.loads(raw)
    except (ValueError, RecursionError, binascii.Error) as error:
        raise ApiError("INVALID_JSON", str(error)) from None
    if not isinstance(event, dict):
        raise ApiError("INVALID_REQUEST", "The event isn't a JSON object.")
    return event
