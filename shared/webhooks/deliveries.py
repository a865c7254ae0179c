"""Webhook deliveries: send the result of a job to the servers that subscribe to it, at least once.

When a job ends, one delivery per URL is created. Its id is derived from the job, the endpoint and the event, so it is
created once even if that step runs several times. A failed delivery is retried for 24 hours, at times stored in its
document. Receivers can detect duplicates by the `webhook-id`, which stays the same; each attempt has its own timestamp
and signature. A ping is attempted once.

No receiver gets more than its share of the function (receivers.py). An endpoint that keeps failing is paused: then one
message probes whether it responds again, and the others wait without using up an attempt.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from shared.api import views
from shared.api.webhooks import DELIVERY_ID, DeliveryPage, DeliveryStatus, DeliveryView, ListDeliveriesQuery
from shared.core import schedule, storable
from shared.core.documents import Account, Job
from shared.core.errors import ApiError, Unavailable
from shared.core.lifecycle import DELIVER_QUEUE
from shared.core.task_result import TaskResult
from shared.core.url_policy import host_of
from shared.platform import audit, commits, durable_tasks, ids, lists, log
from shared.platform.commits import Batch
from shared.platform.durable_tasks import DurableTask
from shared.platform.identity import Caller
from shared.platform.ports import NotReached, Services
from shared.webhooks import endpoints, receivers, signing
from shared.webhooks.endpoints import WebhookEndpoint
from shared.webhooks.receivers import Receivers
from shared.webhooks.signing import Secret

FIRST_WAIT_S = 5
LONGEST_WAIT_S = 3_600
RETRIED_FOR = timedelta(hours=24)
KEPT_FOR = timedelta(days=30)
GONE = 410


class Delivery(DurableTask):
    """One message to one URL. Without `endpoint` it goes to the job's own `webhook_url`; a ping has no job."""

    collection: ClassVar[str] = "deliveries"
    path: ClassVar[str] = "/tasks/webhook"
    queue: ClassVar[str] = DELIVER_QUEUE

    endpoint: str | None
    job: str | None
    event: str
    status: DeliveryStatus = "pending"
    tries: int = 0
    last_status: int | None = None
    last_error: str | None = None
    delivered_at: datetime | None = None
    redelivered_at: datetime | None = None
    expires_at: datetime

    @property
    def is_ping(self) -> bool:
        return self.job is None

    @property
    def ends_at(self) -> datetime:
        """When retries end."""
        return (self.redelivered_at or self.created_at) + RETRIED_FOR


@dataclass(frozen=True)
class _Message:
    """What to post, where, and the secrets that sign it."""

    url: str
    secrets: tuple[Secret, ...]
    body: bytes
    endpoint: WebhookEndpoint | None


@dataclass(frozen=True)
class _Answer:
    """The result of an attempt; `error` is None if the message was accepted."""

    status: int | None
    error: str | None
    retry_after_s: float | None = None


# --- creating deliveries ---


async def announce(services: Services, job: Job) -> None:
    """Create and enqueue the deliveries of an ended job; safe to call again. Raises Unavailable."""
    if job.deleted_at is not None:
        return
    event = f"video.{job.status}"
    account = await services.firestore.get(Account, job.account)
    found = await endpoints.of_account(services, account) if account is not None else []
    recipients: list[str | None] = [one.id for one in found if one.subscribes_to(event)]
    if job.webhook_url is not None:
        recipients.append(None)
    for endpoint in recipients:
        id_ = ids.derived("msg_", job.id, endpoint or "own", event)
        await _create(services, _new(services, id_, job.tenant, job.account, endpoint, job.id, event))


async def ping(services: Services, caller: Caller, endpoint_id: str) -> Delivery:
    """Send a test message to the endpoint, even if it's disabled or paused.

    Raises ApiError NOT_FOUND, or RATE_LIMITED after five pings in a minute.
    """
    id_ = f"msg_{services.ids()}"

    async def made() -> Batch[Delivery]:
        endpoint = endpoints.pinged(await endpoints.get(services, caller, endpoint_id), services.clock())
        delivery = _new(services, id_, endpoint.tenant, endpoint.account, endpoint.id, None, "ping")
        # Commit with the endpoint, so that each ping counts and none is created for a deleted endpoint.
        return Batch(delivery, [endpoint.changed(change_id=services.ids())])

    delivery = await commits.create(services, Delivery, id_, made)
    await durable_tasks.enqueue(services, delivery)
    return delivery


async def redeliver(services: Services, caller: Caller, id_: str) -> Delivery:
    """Send a failed or delivered message again, with the same id and the video's current state; retried for 24 hours.

    A pending delivery is returned unchanged. Raises ApiError NOT_FOUND, or INVALID_REQUEST for a ping.
    """
    known = await _own(services, caller, id_)
    if known.is_ping:
        raise ApiError("INVALID_REQUEST", "A ping can't be redelivered. Send a new one.", {"delivery": id_})

    async def sent_again(found: Delivery | None) -> Batch[Delivery] | None:
        if found is None:
            raise _no_such_message(id_)
        if found.status == "pending":
            return None
        now = services.clock()
        again = durable_tasks.forward(found, now, status="pending", redelivered_at=now, delivered_at=None)
        return Batch(durable_tasks.stamped(again, services.ids()))

    edited = await commits.edit(services, Delivery, id_, sent_again, known)
    if edited.written:
        audit.record("webhook_redelivered", caller, delivery=id_, endpoint=known.endpoint)
        await durable_tasks.enqueue(services, edited.document)
    return edited.document


async def _own(services: Services, caller: Caller, id_: str) -> Delivery:
    found = await services.firestore.get(Delivery, id_) if re.fullmatch(DELIVERY_ID, id_) else None
    mine = found is not None and (found.account, found.tenant) == (caller.account, caller.tenant)
    if found is None or not mine or services.clock() >= found.expires_at:
        raise _no_such_message(id_)
    return found


def _no_such_message(id_: str) -> ApiError:
    return ApiError("NOT_FOUND", "Webhook message not found.", {"delivery": id_[:64]})


def _new(
    services: Services, id_: str, tenant: str, account: str, endpoint: str | None, job: str | None, event: str
) -> Delivery:
    expires_at = services.clock() + KEPT_FOR
    owner = (tenant, account)
    return durable_tasks.new(
        services, Delivery, id_, *owner, endpoint=endpoint, job=job, event=event, expires_at=expires_at
    )


async def _create(services: Services, delivery: Delivery) -> None:
    """Create the document, then its task; also the task of an existing document, which may lack it."""

    async def made() -> Batch[Delivery]:
        return Batch(delivery)

    there = await commits.create(services, Delivery, delivery.id, made)
    if there.due_at is not None:
        await services.tasks.create(durable_tasks.task(there))


# --- delivering ---


async def deliver(services: Services, receiving: Receivers, id_: str, step: int) -> TaskResult:
    """Handle one delivery of the task {id, step}: post the message at most once. Returns the result for the queue."""
    try:
        delivery = await durable_tasks.arrive(services, Delivery, id_, step)
        if delivery is None:
            return TaskResult.ACK
        return await _arrived(services, receiving, delivery)
    except Unavailable as error:
        log.warning("delivery_unavailable", delivery=id_, error=str(error))
        return TaskResult.RETRY


async def _arrived(services: Services, receiving: Receivers, delivery: Delivery) -> TaskResult:
    """Attempt it now, or wait until the endpoint's pause ends or a slot is free."""
    message, now = await _message(services, delivery), services.clock()
    if isinstance(message, str):
        return await _record(services, delivery, status="failed", last_error=message, due_at=None)
    endpoint = message.endpoint
    if endpoint is None or endpoint.paused_until is None or delivery.is_ping:
        return await _try(services, receiving, delivery, message)
    if now < endpoint.paused_until:
        return await _wait(services, delivery, endpoint.paused_until)
    with receiving.probe(endpoint.id) as mine:
        if not mine:
            return await _wait(services, delivery, now + receivers.PROBE)
        return await _try(services, receiving, delivery, message)


async def _try(services: Services, receiving: Receivers, delivery: Delivery, message: _Message) -> TaskResult:
    with receiving.place(delivery.account, host_of(message.url)) as free:
        if free:
            return await _judge(services, receiving, delivery, message, await _post(services, delivery, message))
    return await _wait(services, delivery, receiving.turn(delivery.account, services.clock()))


async def _wait(services: Services, delivery: Delivery, until: datetime) -> TaskResult:
    """Postpone the delivery to `until`, without counting an attempt."""
    if services.clock() >= delivery.ends_at:
        reason = delivery.last_error or "the webhook endpoint was paused after failing repeatedly"
        return await _give_up(services, delivery, last_error=reason)
    return await _again(services, delivery, until)


async def _post(services: Services, delivery: Delivery, message: _Message) -> _Answer:
    headers = {
        "Content-Type": "application/json",
        **signing.signed(message.secrets, delivery.id, message.body, services.clock()),
    }
    try:
        answer = await services.public_http.post(message.url, headers, message.body)
    except NotReached as error:
        return _Answer(None, storable.text(str(error), 200))
    taken = 200 <= answer.status < 300
    return _Answer(answer.status, None if taken else f"the server returned {answer.status}", answer.retry_after_s)


async def _judge(
    services: Services, receiving: Receivers, delivery: Delivery, message: _Message, answer: _Answer
) -> TaskResult:
    now, tries = services.clock(), delivery.tries + 1
    facts: dict[str, Any] = {"tries": tries, "last_status": answer.status, "last_error": answer.error}
    if answer.error is None:
        result = await _record(services, delivery, **facts, status="delivered", delivered_at=now, due_at=None)
        await _answered(services, receiving, message.endpoint)
        return result
    gone = answer.status == GONE
    if gone and message.endpoint is not None:
        await endpoints.disable(services, message.endpoint, "its server answered 410 Gone")
    if gone or delivery.is_ping or now >= delivery.ends_at:
        result = await _give_up(services, delivery, **facts)
    else:
        wait = schedule.backoff(FIRST_WAIT_S, LONGEST_WAIT_S, tries)
        asked = timedelta(seconds=min(answer.retry_after_s or 0.0, LONGEST_WAIT_S))
        result = await _again(services, delivery, now + max(wait, asked), **facts)
    if message.endpoint is not None and not gone:
        await _failed(services, receiving, message.endpoint)
    return result


async def _answered(services: Services, receiving: Receivers, endpoint: WebhookEndpoint | None) -> None:
    if endpoint is not None:
        receiving.answered(endpoint.id)
        if endpoint.failing_since is not None:
            await endpoints.resume(services, endpoint)


async def _failed(services: Services, receiving: Receivers, endpoint: WebhookEndpoint) -> None:
    """Pause an endpoint after repeated failures or a failed probe; disable it after five days of failures."""
    now = services.clock()
    failures = receiving.failed(endpoint.id, now)
    if endpoint.failing_since is not None and now >= endpoint.failing_since + endpoints.DISABLED_AFTER:
        await endpoints.disable(services, endpoint, f"it took no message for {endpoints.DISABLED_AFTER.days} days")
    elif endpoint.paused_until is not None or failures.count >= receivers.PAUSED_AFTER:
        await endpoints.pause(services, endpoint, failures.since)


async def _give_up(services: Services, delivery: Delivery, **facts: Any) -> TaskResult:
    log.info("webhook_given_up", delivery=delivery.id, account=delivery.account, tries=facts.get("tries"))
    return await _record(services, delivery, **facts, status="failed", due_at=None)


async def _again(services: Services, delivery: Delivery, at: datetime, **facts: Any) -> TaskResult:
    """Schedule the next step at that time; if another delivery of the task wrote first, its change wins."""
    await durable_tasks.advance(services, durable_tasks.forward(delivery, min(at, delivery.ends_at), **facts))
    return TaskResult.ACK


async def _record(services: Services, delivery: Delivery, **facts: Any) -> TaskResult:
    """Store the attempt's result. If a concurrent delivery of the same task wrote first, success is never undone."""

    async def recorded(found: Delivery | None) -> Batch[Delivery] | None:
        if found is None or found.status != "pending":
            return None
        if found.redelivered_at != delivery.redelivered_at and facts["status"] == "failed":
            # The owner had it redelivered meanwhile; this failure belongs to the sending before.
            return None
        return Batch(found.changed(**facts))

    await commits.edit(services, Delivery, delivery.id, recorded, delivery)
    return TaskResult.ACK


async def _message(services: Services, delivery: Delivery) -> _Message | str:
    """Build the message to post, or return the reason why nobody can receive it any more."""
    job = await services.firestore.get(Job, delivery.job) if delivery.job is not None else None
    if delivery.job is not None and (job is None or job.deleted_at is not None):
        return "the video was deleted"
    endpoint = None
    if delivery.endpoint is not None:
        endpoint = await services.firestore.get(WebhookEndpoint, delivery.endpoint)
        if endpoint is None:
            return "the webhook endpoint was deleted"
        if endpoint.disabled and not delivery.is_ping:
            return "the webhook endpoint is disabled"
        return _Message(endpoint.url, endpoint.secrets, _body(services, delivery, job), endpoint)
    if job is None or job.webhook_url is None:
        return "the webhook URL no longer exists"
    secret = await endpoints.secret_of(services, job.tenant, job.account)
    return _Message(job.webhook_url, secret.secrets, _body(services, delivery, job), None)


def _body(services: Services, delivery: Delivery, job: Job | None) -> bytes:
    """The JSON body: the video's current state and when it ended. `id` and `created_at` never change."""
    if job is None:
        happened_at, data = delivery.created_at, {"webhook_endpoint": delivery.endpoint}
    else:
        happened_at = job.completed_at or delivery.created_at
        data = views.video(job, services.clock()).model_dump(mode="json")
    timestamp = happened_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    message = {
        "id": delivery.id,
        "object": "event",
        "type": delivery.event,
        "timestamp": timestamp,
        "created_at": int(delivery.created_at.timestamp()),
        "data": data,
    }
    return json.dumps(message).encode()


# --- listing deliveries ---


async def of_endpoint(
    services: Services, caller: Caller, endpoint_id: str, query: ListDeliveriesQuery
) -> list[Delivery]:
    """The endpoint's deliveries, newest first, and one more when there is a next page. Raises ApiError NOT_FOUND."""
    endpoint = await endpoints.get(services, caller, endpoint_id)
    return await _list(services, caller, {"endpoint": endpoint.id}, query)


async def of_video(services: Services, caller: Caller, job: Job, query: ListDeliveriesQuery) -> list[Delivery]:
    """The deliveries of the caller's video to all URLs, newest first, and one more when there is a next page."""
    return await _list(services, caller, {"job": job.id}, query)


async def _list(
    services: Services, caller: Caller, where: dict[str, str], query: ListDeliveriesQuery
) -> list[Delivery]:
    owner = {"tenant": caller.tenant, "account": caller.account}
    found = await lists.newest(services, Delivery, owner, query.after, query.limit, where)
    # Expired deliveries, at the end of the list, are removed only once a day.
    return [delivery for delivery in found if services.clock() < delivery.expires_at]


def view(delivery: Delivery) -> DeliveryView:
    return DeliveryView(
        id=delivery.id,
        webhook_endpoint=delivery.endpoint,
        video=delivery.job,
        event=delivery.event,
        status=delivery.status,
        tries=delivery.tries,
        last_status=delivery.last_status,
        last_error=delivery.last_error,
        created_at=delivery.created_at,
        delivered_at=delivery.delivered_at,
        redelivered_at=delivery.redelivered_at,
    )


def page_view(found: list[Delivery], limit: int) -> DeliveryPage:
    return DeliveryPage.of([view(delivery) for delivery in found[:limit]], has_more=len(found) > limit)
