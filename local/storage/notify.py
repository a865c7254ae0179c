"""Object-finalized notifications as Pub/Sub pushes them."""

import asyncio
import base64
import json
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import httpx2

from local.storage.objects import StoredObject, resource, timestamp

# Tries spread over about a minute: what a restarting receiver needs; polling is the receiver's safety net beyond.
RETRY_DELAYS_S: Final = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
TIMEOUT_S: Final = 30.0
PARALLEL: Final = 16
PENDING_LIMIT: Final = 10_000
SUBSCRIPTION: Final = "projects/rushes-local/subscriptions/object-finalized"

log = logging.getLogger(__name__)


class Notifier:
    """Posts an envelope to `url` for each finalized object, in the background.

    `mint` makes the bearer token of each try; None sends none. Use as an async context manager: leaving it drops what
    is still pending.
    """

    def __init__(self, url: str, mint: Callable[[], str] | None) -> None:
        self._url = url
        self._mint = mint
        self._client = httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        self._slots = asyncio.Semaphore(PARALLEL)
        self._pending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Notifier":
        return self

    async def __aexit__(self, *_: object) -> None:
        pending = list(self._pending)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await self._client.aclose()

    def finalized(self, stored: StoredObject, overwritten: StoredObject | None) -> None:
        """Queues the notification of a new object and returns at once."""
        if len(self._pending) >= PENDING_LIMIT:
            log.error("too many notifications pending; dropped that of %s/%s", stored.bucket, stored.name)
            return
        task = asyncio.get_running_loop().create_task(self._deliver(envelope(stored, overwritten)))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _deliver(self, document: dict[str, Any]) -> None:
        for delay_s in (*RETRY_DELAYS_S, None):
            async with self._slots:
                outcome = await self._post(document)
            if outcome is None:
                return
            if delay_s is None:
                attributes = document["message"]["attributes"]
                log.error("gave up notifying of %s/%s: %s", attributes["bucketId"], attributes["objectId"], outcome)
                return
            await asyncio.sleep(delay_s)

    async def _post(self, document: dict[str, Any]) -> str | None:
        """None when the receiver took it, else what went wrong."""
        headers = {"authorization": f"Bearer {self._mint()}"} if self._mint else {}
        try:
            response = await self._client.post(self._url, json=document, headers=headers)
        except httpx2.HTTPError as error:
            return repr(error)
        return None if response.is_success else f"status {response.status_code}"


def envelope(stored: StoredObject, overwritten: StoredObject | None) -> dict[str, Any]:
    """The Pub/Sub push envelope of an OBJECT_FINALIZE event, the object's resource in base64 in it."""
    document = resource(stored, "https://storage.googleapis.com")
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "eventTime": timestamp(stored.created_at),
        "bucketId": stored.bucket,
        "objectId": stored.name,
        "objectGeneration": str(stored.generation),
        "payloadFormat": "JSON_API_V1",
        "notificationConfig": f"projects/_/buckets/{stored.bucket}/notificationConfigs/1",
    }
    if overwritten is not None:
        attributes["overwroteGeneration"] = str(overwritten.generation)
    message = {
        "data": base64.b64encode(json.dumps(document).encode()).decode(),
        "attributes": attributes,
        "messageId": str(uuid.uuid4().int >> 64),
        "publishTime": timestamp(time.time()),
    }
    return {"message": message, "subscription": SUBSCRIPTION}
