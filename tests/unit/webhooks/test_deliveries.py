"""From the end of a job to the user's server: delivered at least once, despite any failure."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.accounts.chores import Chore
from shared.api.webhooks import ListDeliveriesQuery, NewWebhookEndpoint, UpdateWebhookEndpoint
from shared.core.documents import Job, Stage
from shared.core.errors import ApiError, Unavailable
from shared.core.task_result import TaskResult
from shared.jobs import queries, submission
from shared.maintenance import sweeper
from shared.platform import durable_tasks
from shared.platform.identity import Caller
from shared.platform.ports import HttpAnswer
from shared.platform.provider import Rejected
from shared.webhooks import deliveries, endpoints, signing
from shared.webhooks.deliveries import Delivery
from shared.webhooks.endpoints import WebhookEndpoint
from tests.unit.conftest import NOW, House

URL = "https://hooks.example.com/rushes"
OWN = "https://own.example.com/job"
LATE_S = 61
NOON_OF_NEXT_DAY = NOW + timedelta(days=1)


async def endpoint(house: House, caller: Any, **body: Any) -> WebhookEndpoint:
    return await endpoints.make(house.services, caller, NewWebhookEndpoint.model_validate({"url": URL} | body))


async def drain(house: House) -> None:
    """Deliver all that is due now and what becomes due of it within an hour."""
    until = house.clock() + timedelta(hours=1)
    while (at := house.queue.next_at()) is not None and at <= until:
        await house.deliver_next()


async def fallen(house: House) -> dict[str, int]:
    """A sweep of everything, two minutes later."""
    house.clock.advance(2 * LATE_S)
    await sweeper.sweep(house.services)
    return await durable_tasks.sweep(house.services, Chore, Delivery)


def found(house: House) -> list[Delivery]:
    return house.store.documents(Delivery)  # type: ignore[no-any-return]


async def ended(house: House, **body: Any) -> Job:
    """A completed job of alice's, who has one endpoint, with nothing delivered yet."""
    caller = await house.sign_up()
    await endpoint(house, caller)
    job = await house.submit(caller, **body)
    return await house.until(job, "completed")


# --- recipients ---


async def test_completed_job_sends_the_video_as_its_user_sees_it(house: House) -> None:
    job = await ended(house, labels={"a": "b"})
    await drain(house)
    ((url, headers, body),) = house.internet.posts
    assert url == URL
    message = json.loads(body)
    assert message["type"] == "video.completed"
    assert message["timestamp"] == (await house.job(job.id)).completed_at.isoformat().replace("+00:00", "Z")
    assert (message["data"]["id"], message["data"]["status"]) == (job.id, "completed")
    assert message["data"]["labels"] == {"a": "b"}
    (delivery,) = found(house)
    assert headers["webhook-id"] == delivery.id
    assert headers["Content-Type"] == "application/json"
    assert (delivery.status, delivery.tries, delivery.last_status) == ("delivered", 1, 200)
    assert delivery.delivered_at is not None
    assert (await house.job(job.id)).due_at is None
    house.check()


@pytest.mark.parametrize("fault", ["lose", "fail"])
async def test_accepted_message_is_recorded_and_not_repeated(house: House, fault: str) -> None:
    async def record_goes_wrong() -> None:
        getattr(house.store, fault)("commit")

    house.internet.meanwhile.append(record_goes_wrong)
    await ended(house)
    await drain(house)
    assert len(house.internet.posts) == 1
    assert found(house)[0].status == "delivered"


async def test_per_job_url_is_signed_with_the_accounts_secret(house: House) -> None:
    caller = await house.sign_up()
    job = await house.submit(caller, webhook_url=OWN)
    await house.run(job)
    await drain(house)
    ((url, headers, body),) = house.internet.posts
    assert url == OWN
    secret = await endpoints.secret_of(house.services, caller.tenant, caller.account)
    timestamp = house.clock.now.fromtimestamp(int(headers["webhook-timestamp"]), house.clock.now.tzinfo)
    assert signing.signed(secret.secrets, headers["webhook-id"], body, timestamp).items() <= headers.items()
    assert OWN not in body.decode()


async def test_failed_and_canceled_jobs_go_to_subscribed_endpoints(house: House) -> None:
    caller = await house.sign_up()
    await endpoint(house, caller, url=f"{URL}/failed", events=["video.failed"])
    await endpoint(house, caller, url=f"{URL}/canceled", events=["video.canceled"])
    canceled = await house.submit(caller)
    await submission.cancel(house.services, caller, canceled.id)
    await drain(house)
    house.script(creates=[Rejected("PROMPT_REJECTED", "no")])
    failed = await house.submit(caller)
    await house.run(failed)
    await drain(house)
    told = [(url.rpartition("/")[2], json.loads(body)["data"]["id"]) for url, _, body in house.internet.posts]
    assert told == [("canceled", canceled.id), ("failed", failed.id)]


async def test_every_endpoint_and_the_jobs_url_get_one_message(house: House) -> None:
    caller = await house.sign_up()
    for number in range(3):
        await endpoint(house, caller, url=f"{URL}/{number}")
    await house.run(await house.submit(caller, webhook_url=OWN))
    await drain(house)
    assert sorted(url for url, _, _ in house.internet.posts) == [f"{URL}/{n}" for n in range(3)] + [OWN]
    assert len({headers["webhook-id"] for _, headers, _ in house.internet.posts}) == 4


async def test_disabled_endpoint_gets_nothing(house: House) -> None:
    caller = await house.sign_up()
    off = await endpoint(house, caller)
    await endpoints.update(house.services, caller, off.id, UpdateWebhookEndpoint(disabled=True))
    await house.run(await house.submit(caller))
    await drain(house)
    assert house.internet.posts == []
    assert found(house) == []


async def test_job_without_listeners_has_no_delivery_or_extra_step(house: House) -> None:
    job = await house.run(await house.submit(await house.sign_up()))
    assert house.store.calls["newest"] == 0
    assert found(house) == []
    assert job.due_at is None


@pytest.mark.parametrize("url", ["http://own.example.com/", "https://own.example.com:22/"])
async def test_forbidden_webhook_url_is_rejected_at_submission(house: House, url: str) -> None:
    caller = await house.sign_up()
    with pytest.raises(ApiError) as caught:
        await house.submit(caller, webhook_url=url)
    assert (caught.value.code, caught.value.details["fields"][0]["field"]) == ("INVALID_REQUEST", "webhook_url")
    assert (await house.account()).balance == 500


# --- at least once ---


async def test_failed_message_is_retried_with_its_id_and_a_new_signature(house: House) -> None:
    house.internet.answers.extend([500, "connection failed", 302, 200])
    await ended(house)
    await drain(house)
    headers = [each for _, each, _ in house.internet.posts]
    assert len(headers) == 4
    assert len({each["webhook-id"] for each in headers}) == 1
    assert len({each["webhook-timestamp"] for each in headers}) == 4
    assert len({each["webhook-signature"] for each in headers}) == 4
    (delivery,) = found(house)
    assert (delivery.status, delivery.tries, delivery.last_error) == ("delivered", 4, None)


async def test_failed_attempt_shows_what_happened_and_the_next_time(house: House) -> None:
    house.internet.answers.append("invalid certificate")
    job = await ended(house)
    await deliveries.announce(house.services, job)
    (delivery,) = found(house)
    assert await deliveries.deliver(house.services, house.receivers, delivery.id, 0) is TaskResult.ACK
    (delivery,) = found(house)
    assert (delivery.status, delivery.tries, delivery.last_error) == ("pending", 1, "invalid certificate")
    assert (delivery.last_status, delivery.step) == (None, 1)
    assert delivery.due_at == house.clock() + timedelta(seconds=5)
    assert await house.queue.exists(delivery.task)


async def test_receivers_retry_after_is_respected(house: House) -> None:
    house.internet.answers.append(HttpAnswer(429, retry_after_s=90.0))
    job = await ended(house)
    await deliveries.announce(house.services, job)
    (delivery,) = found(house)
    await deliveries.deliver(house.services, house.receivers, delivery.id, 0)
    assert found(house)[0].due_at == house.clock() + timedelta(seconds=90)


async def test_delivery_gives_up_after_a_day_of_failures(house: House) -> None:
    house.internet.answers.extend([503] * 1_000)
    await ended(house)
    began = house.clock()
    while house.queue.next_at() is not None:
        await house.deliver_next()
    (delivery,) = found(house)
    assert (delivery.status, delivery.last_error) == ("failed", "the server returned 503")
    assert house.clock() - began == timedelta(hours=24)
    assert 24 <= delivery.tries <= 60
    assert (delivery.due_at, house.queue.entries()) == (None, [])


async def test_gone_endpoint_is_disabled(house: House) -> None:
    house.internet.answers.append(410)
    await ended(house)
    await drain(house)
    (delivery,) = found(house)
    assert (delivery.status, delivery.last_status, delivery.tries) == ("failed", 410, 1)
    (gone,) = house.store.documents(WebhookEndpoint)
    assert gone.disabled
    assert gone.disabled_reason


async def test_delivered_message_is_not_sent_again(house: House) -> None:
    await ended(house)
    await drain(house)
    (delivery,) = found(house)
    assert await deliveries.deliver(house.services, house.receivers, delivery.id, delivery.step) is TaskResult.ACK
    assert len(house.internet.posts) == 1


@pytest.mark.parametrize("answers", [(200, 500), (500, 200)])
async def test_concurrent_deliveries_leave_it_delivered(house: House, answers: tuple[int, int]) -> None:
    job = await ended(house)
    await deliveries.announce(house.services, job)
    (delivery,) = found(house)

    async def other() -> None:
        await deliveries.deliver(house.services, house.receivers, delivery.id, 0)

    house.internet.answers.extend(answers)
    house.store.before("commit", other)
    await deliveries.deliver(house.services, house.receivers, delivery.id, 0)
    assert found(house)[0].status == "delivered"


@pytest.mark.parametrize("why", ["endpoint deleted", "video deleted", "endpoint disabled"])
async def test_message_without_a_recipient_is_given_up_with_the_reason(house: House, why: str) -> None:
    job = await ended(house)
    (one,) = house.store.documents(WebhookEndpoint)
    caller = house_caller(job)
    await deliveries.announce(house.services, job)
    if why == "endpoint deleted":
        await endpoints.delete(house.services, caller, one.id)
    elif why == "video deleted":
        await queries.delete(house.services, caller, job.id)
    else:
        await endpoints.update(house.services, caller, one.id, UpdateWebhookEndpoint(disabled=True))
    await drain(house)
    (delivery,) = found(house)
    assert (delivery.status, delivery.tries) == ("failed", 0)
    assert why.split()[0] in str(delivery.last_error)
    assert house.internet.posts == []


def house_caller(job: Job) -> Any:
    from shared.platform.identity import Caller

    return Caller(job.account, job.tenant, "user", "default", None)


# --- an endpoint that keeps failing ---


async def messages(house: House, number: int) -> WebhookEndpoint:
    """Alice's endpoint, with so many messages for it that were never tried."""
    caller = await house.sign_up()
    jobs = [await house.run(await house.submit(caller)) for _ in range(number)]
    one = await endpoint(house, caller)
    for job in jobs:
        await deliveries.announce(house.services, job)
    return one


async def try_new(house: House, number: int, answer: int) -> None:
    """The first try of some messages that have had none."""
    fresh = [delivery for delivery in found(house) if delivery.step == 0 and delivery.status == "pending"]
    for delivery in fresh[:number]:
        house.internet.answers.append(answer)
        await deliveries.deliver(house.services, house.receivers, delivery.id, 0)


async def failing(house: House) -> WebhookEndpoint:
    """An endpoint that has just failed five times in a row, with six messages waiting."""
    one = await messages(house, 6)
    await try_new(house, 5, 500)
    return await known(house, one)


async def known(house: House, one: WebhookEndpoint) -> WebhookEndpoint:
    stored = await house.store.get(WebhookEndpoint, one.id)
    assert stored is not None
    return stored  # type: ignore[no-any-return]


async def test_five_failures_in_a_row_pause_an_endpoint_ever_longer(house: House) -> None:
    one = await messages(house, 6)
    await try_new(house, 4, 500)
    assert (await known(house, one)).paused_until is None
    await try_new(house, 1, 500)
    one = await known(house, one)
    assert one.paused_until == house.clock() + timedelta(seconds=60)
    assert one.failing_since == house.clock()
    view = endpoints.view(one)
    assert (view.disabled, view.paused_until is not None, view.failing_since is not None) == (False, True, True)
    house.internet.answers.extend([500] * 1_000)
    pauses = []
    while house.clock() < NOON_OF_NEXT_DAY:
        await house.deliver_next()
        again = await known(house, one)
        if again.paused_until != one.paused_until:
            assert again.paused_until is not None
            pauses.append((again.paused_until - house.clock()).total_seconds())
        one = again
    assert pauses[:7] == [120, 240, 480, 960, 1920, 3600, 3600]


async def test_paused_endpoint_gets_nothing_and_counts_no_attempts(house: House) -> None:
    one = await failing(house)
    assert one.paused_until is not None
    sent = len(house.internet.posts)
    tries = sum(delivery.tries for delivery in found(house))
    while (at := house.queue.next_at()) is not None and at < one.paused_until:
        await house.deliver_next()
    assert len(house.internet.posts) == sent
    assert sum(delivery.tries for delivery in found(house)) == tries
    assert all(delivery.status == "pending" for delivery in found(house))


async def test_one_probe_reopens_a_paused_endpoint(house: House) -> None:
    one = await failing(house)
    assert one.paused_until is not None
    house.clock.now = one.paused_until
    first, second, *_ = found(house)
    beside: list[TaskResult] = []

    async def other() -> None:
        beside.append(await deliveries.deliver(house.services, house.receivers, second.id, second.step))

    house.internet.meanwhile.append(other)
    sent = len(house.internet.posts)
    await deliveries.deliver(house.services, house.receivers, first.id, first.step)
    assert (beside, len(house.internet.posts)) == ([TaskResult.ACK], sent + 1)
    waiting = await house.store.get(Delivery, second.id)
    assert (waiting.status, waiting.tries) == ("pending", second.tries)
    reopened = await known(house, one)
    assert (reopened.paused_until, reopened.failing_since, reopened.pauses) == (None, None, 0)
    await drain(house)
    assert {delivery.status for delivery in found(house)} == {"delivered"}


async def test_five_days_without_success_disable_an_endpoint(house: House) -> None:
    one = await failing(house)
    assert one.failing_since is not None
    caller = house_caller(await house.job_of_alice())
    house.clock.now = one.failing_since + timedelta(days=5, seconds=-1)
    await house.store.commit([(await known(house, one)).changed(paused_until=None)])
    for disabled in (False, True):
        await deliveries.ping(house.services, caller, one.id)
        (ping,) = [each for each in found(house) if each.is_ping and each.status == "pending"]
        house.internet.answers.append(500)
        await deliveries.deliver(house.services, house.receivers, ping.id, 0)
        assert (await known(house, one)).disabled is disabled
        house.clock.advance(1)
    stopped = await known(house, one)
    assert (stopped.disabled_reason, stopped.paused_until) == ("it took no message for 5 days", None)


@pytest.mark.parametrize("change", [{"url": f"{URL}/mended"}, {"disabled": False}])
async def test_fixed_endpoint_gets_everything_at_once(house: House, change: dict[str, Any]) -> None:
    one = await failing(house)
    caller = house_caller(await house.job_of_alice())
    mended = await endpoints.update(house.services, caller, one.id, UpdateWebhookEndpoint.model_validate(change))
    assert (mended.paused_until, mended.failing_since) == (None, None)


async def test_success_resets_the_failure_count(house: House) -> None:
    one = await messages(house, 9)
    for number, answer in ((4, 500), (1, 200), (4, 500)):
        await try_new(house, number, answer)
    assert (await known(house, one)).paused_until is None


# --- everybody has their share ---


async def test_account_uses_four_slots_and_the_rest_take_turns(house: House) -> None:
    await messages(house, 7)
    hung = [asyncio.Event() for _ in range(7)]
    house.internet.meanwhile.extend(event.wait for event in hung)
    running = [
        asyncio.ensure_future(deliveries.deliver(house.services, house.receivers, each.id, 0)) for each in found(house)
    ]
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(house.internet.posts) == 4
    waiting = [each for each in found(house) if each.step == 1]
    assert [each.tries for each in waiting] == [0, 0, 0]
    turns = sorted((each.due_at - house.clock()).total_seconds() for each in waiting)
    assert turns == [1.25, 1.5, 1.75]
    bob = await house.sign_up("bob")
    await endpoints.make(house.services, bob, NewWebhookEndpoint(url="https://bobs.example.com/"))
    job = await house.submit(bob)
    house.internet.meanwhile.clear()
    await submission.cancel(house.services, bob, job.id)
    await deliveries.announce(house.services, await house.job(job.id))
    (bobs,) = [each for each in found(house) if each.account == "bob"]
    await deliveries.deliver(house.services, house.receivers, bobs.id, 0)
    assert (await house.store.get(Delivery, bobs.id)).status == "delivered"
    for event in hung:
        event.set()
    await asyncio.gather(*running)
    await drain(house)
    assert {each.status for each in found(house)} == {"delivered"}


# --- failures on the way ---

Fault = tuple[str, str, int]
FAULTS: list[Fault] = [
    (effect, kind, passed)
    for effect in ("store.get", "store.commit", "queue.create")
    for kind in ("fail", "lose")
    for passed in range(10)
]


@pytest.mark.parametrize(("effect", "kind", "passed"), FAULTS)
async def test_message_is_delivered_despite_any_single_failure(
    house: House, effect: str, kind: str, passed: int
) -> None:
    """From the last poll on, the (passed + 1)th call of an effect fails, or its answer is lost."""
    caller = await house.sign_up()
    await endpoint(house, caller)
    job = await house.submit(caller)
    job = await house.until(job, "generating")
    gateway, method = effect.split(".")
    getattr(house, gateway).let_pass(method, passed)
    getattr(getattr(house, gateway), kind)(method)
    await drain(house)
    for _ in range(3):
        await fallen(house)
        await drain(house)
    await settle(house)
    getattr(house, gateway).calm()
    job = await house.job(job.id)
    assert (job.stage, job.to_announce, job.due_at) == (Stage.COMPLETED, False, None)
    (delivery,) = found(house)
    assert (delivery.status, delivery.due_at) == ("delivered", None)
    assert len({headers["webhook-id"] for _, headers, _ in house.internet.posts}) == 1
    house.check()


async def settle(house: House) -> None:
    """What is still waiting for a later moment."""
    while house.queue.next_at() is not None:
        await house.deliver_next()


async def test_crash_before_the_announcement_task_is_recovered_by_the_sweep(house: House) -> None:
    job = await ended(house)
    house.queue.purge()
    assert (await house.job(job.id)).to_announce
    await fallen(house)
    await drain(house)
    assert len(house.internet.posts) == 1


async def test_delivery_without_a_task_is_recovered_by_the_sweep(house: House) -> None:
    job = await ended(house)
    await deliveries.announce(house.services, job)
    house.queue.purge()
    swept = await fallen(house)
    assert swept["restored"] == 1
    (delivery,) = found(house)
    assert delivery.step == 1
    await drain(house)
    assert found(house)[0].status == "delivered"


async def test_sweep_leaves_retries_to_the_queue(house: House) -> None:
    house.internet.answers.extend([500] * 12)
    await ended(house)
    for _ in range(14):
        await house.deliver_next()
    house.clock.advance(2_000)
    (before,) = found(house)
    assert (await durable_tasks.sweep(house.services, Delivery))["restored"] == 0
    assert found(house)[0].step == before.step


async def test_sweep_reports_a_queue_outage_and_continues(house: House) -> None:
    job = await ended(house)
    await deliveries.announce(house.services, job)
    house.clock.advance(LATE_S)
    house.queue.fail("exists")
    assert await durable_tasks.sweep(house.services, Delivery) == {"seen": 1, "restored": 0, "failed": 1}


async def test_older_step_recreates_the_missing_task(house: House) -> None:
    await house.deliver(await ended(house))
    house.queue.purge()
    house.queue.fail("create")
    await fallen(house)
    (delivery,) = found(house)
    assert delivery.step == 1
    assert not await house.queue.exists(delivery.task)
    assert await deliveries.deliver(house.services, house.receivers, delivery.id, 0) is TaskResult.ACK
    assert await house.queue.exists(delivery.task)
    assert house.internet.posts == []


async def test_task_of_unknown_delivery_is_acknowledged(house: House) -> None:
    assert await deliveries.deliver(house.services, house.receivers, "msg_none", 0) is TaskResult.ACK


# --- seeing and testing ---


async def test_ping_reaches_a_disabled_endpoint_and_is_no_job_event(house: House) -> None:
    caller = await house.sign_up()
    one = await endpoint(house, caller)
    await endpoints.update(house.services, caller, one.id, UpdateWebhookEndpoint(disabled=True))
    house.store.lose("commit")
    sent = await deliveries.ping(house.services, caller, one.id)
    await drain(house)
    ((url, headers, body),) = house.internet.posts
    assert (url, headers["webhook-id"]) == (URL, sent.id)
    assert json.loads(body)["type"] == "ping"
    assert json.loads(body)["data"] == {"webhook_endpoint": one.id}
    assert deliveries.view(found(house)[0]).status == "delivered"


async def test_ping_is_sent_once(house: House) -> None:
    caller = await house.sign_up()
    one = await endpoint(house, caller)
    house.internet.answers.append(500)
    await deliveries.ping(house.services, caller, one.id)
    await drain(house)
    (delivery,) = found(house)
    assert (delivery.status, delivery.tries, delivery.last_status) == ("failed", 1, 500)
    assert (delivery.due_at, house.queue.entries()) == (None, [])


async def test_ping_reopens_a_paused_endpoint_that_responds(house: House) -> None:
    one = await failing(house)
    await deliveries.ping(house.services, house_caller(await house.job_of_alice()), one.id)
    (ping,) = [each for each in found(house) if each.is_ping]
    await deliveries.deliver(house.services, house.receivers, ping.id, 0)
    assert (await known(house, one)).paused_until is None


async def test_endpoint_gets_at_most_five_pings_a_minute(house: House) -> None:
    caller = await house.sign_up()
    one = await endpoint(house, caller)
    for _ in range(5):
        await deliveries.ping(house.services, caller, one.id)
        house.clock.advance(2)
    with pytest.raises(ApiError) as caught:
        await deliveries.ping(house.services, caller, one.id)
    assert (caught.value.code, caught.value.retry_after_s) == ("RATE_LIMITED", 50)
    house.clock.advance(50)
    await deliveries.ping(house.services, caller, one.id)
    assert len(found(house)) == 6


async def test_ping_of_a_concurrently_deleted_endpoint_leaves_no_delivery(house: House) -> None:
    caller = await house.sign_up()
    one = await endpoint(house, caller)
    house.store.before("commit", lambda: endpoints.delete(house.services, caller, one.id))
    with pytest.raises(ApiError) as caught:
        await deliveries.ping(house.services, caller, one.id)
    assert (caught.value.code, found(house)) == ("NOT_FOUND", [])


async def test_unqueued_ping_is_sent_by_the_sweep(house: House) -> None:
    caller = await house.sign_up()
    one = await endpoint(house, caller)
    house.queue.fail("create")
    await deliveries.ping(house.services, caller, one.id)
    assert house.queue.entries() == []
    await fallen(house)
    await drain(house)
    assert len(house.internet.posts) == 1


async def test_deliveries_are_listed_by_endpoint_and_video_in_pages(house: House) -> None:
    caller = await house.sign_up()
    one = await endpoint(house, caller)
    job = await house.run(await house.submit(caller, webhook_url=OWN))
    await drain(house)
    house.clock.advance(1)
    await deliveries.ping(house.services, caller, one.id)
    await drain(house)
    listed = await deliveries.of_endpoint(house.services, caller, one.id, ListDeliveriesQuery(limit=1))
    page = deliveries.page_view(listed, 1)
    assert ([each.event for each in page.data], page.has_more) == (["ping"], True)
    rest = await deliveries.of_endpoint(
        house.services, caller, one.id, ListDeliveriesQuery(limit=1, after=str(page.last_id))
    )
    assert [each.event for each in rest] == ["video.completed"]
    both = await deliveries.of_video(house.services, caller, job, ListDeliveriesQuery())
    assert {each.endpoint for each in both} == {one.id, None}


async def test_delivery_is_listed_for_30_days_then_removed(house: House) -> None:
    caller = await house.sign_up()
    one = await endpoint(house, caller)
    await deliveries.ping(house.services, caller, one.id)
    await drain(house)
    house.clock.advance(timedelta(days=30).total_seconds() - 10)
    await deliveries.ping(house.services, caller, one.id)
    await drain(house)
    query = ListDeliveriesQuery()
    assert len(await deliveries.of_endpoint(house.services, caller, one.id, query)) == 2
    assert await durable_tasks.remove_expired(house.services, Delivery) == {"deliveries": 0}
    house.clock.advance(10)
    house.clock.advance(1)
    assert len(await deliveries.of_endpoint(house.services, caller, one.id, query)) == 1
    assert await durable_tasks.remove_expired(house.services, Delivery) == {"deliveries": 1}
    assert len(found(house)) == 1


async def test_expired_deliveries_are_removed_in_pages_except_one_being_written(house: House) -> None:
    caller = await house.sign_up()
    one = await endpoint(house, caller)
    template = await deliveries.ping(house.services, caller, one.id)
    settled = template.changed(revision=None, due_at=None, status="delivered")
    await house.store.commit([settled.changed(id=f"msg_{number:022d}") for number in range(450)])
    house.clock.advance(timedelta(days=31).total_seconds())

    async def written() -> None:
        newest = found(house)[0]
        await house.store.commit([newest.changed(change_id="other")])

    house.store.before("commit", written)
    assert await durable_tasks.remove_expired(house.services, Delivery) == {"deliveries": 450}
    # What still has something to do is left to the sweep.
    assert [each.id for each in found(house)] == [template.id]


async def test_another_users_deliveries_are_not_found(house: House) -> None:
    job = await ended(house)
    await drain(house)
    (one,) = house.store.documents(WebhookEndpoint)
    bob = await house.sign_up("bob")
    for call in (
        deliveries.of_endpoint(house.services, bob, one.id, ListDeliveriesQuery()),
        deliveries.ping(house.services, bob, one.id),
    ):
        with pytest.raises(ApiError) as caught:
            await call
        assert caught.value.code == "NOT_FOUND"
    assert await deliveries.of_video(house.services, bob, job, ListDeliveriesQuery()) == []
    mine = await endpoint(house, bob)
    stolen = ListDeliveriesQuery(after=found(house)[0].id)
    assert await deliveries.of_endpoint(house.services, bob, mine.id, stolen) == []


async def test_database_outage_while_announcing_retries_the_step(house: House) -> None:
    job = await ended(house)
    house.store.let_pass("get")
    house.store.fail("get", times=1, error=Unavailable)
    assert await house.deliver(job) is TaskResult.RETRY
    assert (await house.job(job.id)).to_announce


# --- sent again by its owner ---


async def given_up(house: House) -> tuple[Any, Delivery]:
    """Alice, and a message given up after a day; sends now succeed."""
    house.internet.answers.extend([503] * 1_000)
    job = await ended(house)
    while house.queue.next_at() is not None:
        await house.deliver_next()
    house.internet.answers.clear()
    house.internet.posts.clear()
    (delivery,) = found(house)
    (one,) = house.store.documents(WebhookEndpoint)
    caller = Caller(job.account, job.tenant, "user", "default", None)
    await endpoints.update(house.services, caller, one.id, UpdateWebhookEndpoint(disabled=False))
    return caller, delivery


async def test_failed_message_can_be_resent_under_its_id(house: House, capsys: Any) -> None:
    caller, failed = await given_up(house)
    capsys.readouterr()
    again = await deliveries.redeliver(house.services, caller, failed.id)
    assert (again.id, again.status, again.redelivered_at) == (failed.id, "pending", house.clock())
    await drain(house)
    ((_, headers, body),) = house.internet.posts
    assert headers["webhook-id"] == failed.id
    assert json.loads(body)["id"] == failed.id
    (delivered,) = found(house)
    assert (delivered.status, delivered.last_error, delivered.tries) == ("delivered", None, failed.tries + 1)
    assert deliveries.view(delivered).redelivered_at == int(house.clock().timestamp())
    audits = [line for line in capsys.readouterr().out.splitlines() if '"webhook_redelivered"' in line]
    assert [json.loads(line)["delivery"] for line in audits] == [failed.id]
    house.check()


async def test_delivered_message_can_be_resent_but_pending_is_left(house: House) -> None:
    job = await ended(house)
    caller = Caller(job.account, job.tenant, "user", "default", None)
    await house.deliver_next()
    (pending,) = found(house)
    assert await deliveries.redeliver(house.services, caller, pending.id) == pending
    await drain(house)
    first, second = [await deliveries.redeliver(house.services, caller, pending.id) for _ in range(2)]
    assert first.change_id == second.change_id
    await drain(house)
    assert len(house.internet.posts) == 2
    assert len({json.loads(body)["created_at"] for _, _, body in house.internet.posts}) == 1


async def test_resent_message_is_tried_for_another_day(house: House) -> None:
    caller, failed = await given_up(house)
    again = await deliveries.redeliver(house.services, caller, failed.id)
    house.internet.answers.extend([503] * 1_000)
    while house.queue.next_at() is not None:
        await house.deliver_next()
    (delivery,) = found(house)
    assert delivery.status == "failed"
    assert again.redelivered_at is not None
    assert house.clock() - again.redelivered_at == timedelta(hours=24)


async def test_late_failure_of_the_first_send_does_not_end_the_resend(house: House) -> None:
    """The queue may deliver a task twice, and the second one's server may take its time to fail."""
    caller, failed = await given_up(house)
    again = await deliveries.redeliver(house.services, caller, failed.id)
    late = failed.changed(status="pending")
    await deliveries._record(house.services, late, status="failed", last_error="late", due_at=None)
    assert [one.change_id for one in found(house)] == [again.change_id]
    await deliveries._record(house.services, late, status="delivered", last_error=None, due_at=None)
    assert found(house)[0].status == "delivered"


@pytest.mark.parametrize("fault", ["lost", "fail"])
async def test_message_is_resent_once_despite_commit_failures(house: House, fault: str) -> None:
    caller, failed = await given_up(house)
    if fault == "lost":
        house.store.lose("commit")
    else:
        house.store.fail("commit")
    again = await deliveries.redeliver(house.services, caller, failed.id)
    assert again.step == failed.step + 1
    await drain(house)
    assert len(house.internet.posts) == 1


async def test_only_the_owner_can_resend_and_never_a_ping(house: House) -> None:
    caller, failed = await given_up(house)
    bob = await house.sign_up("bob")
    foreign = replace(caller, tenant="studio-7")
    for who, id_ in ((bob, failed.id), (foreign, failed.id), (caller, "msg_" + "x" * 22), (caller, "../../jobs/x")):
        with pytest.raises(ApiError) as caught:
            await deliveries.redeliver(house.services, who, id_)
        assert caught.value.code == "NOT_FOUND"
    assert failed.endpoint is not None
    ping = await deliveries.ping(house.services, caller, failed.endpoint)
    with pytest.raises(ApiError) as caught:
        await deliveries.redeliver(house.services, caller, ping.id)
    assert caught.value.code == "INVALID_REQUEST"
    house.clock.advance(deliveries.KEPT_FOR.total_seconds())
    with pytest.raises(ApiError) as caught:
        await deliveries.redeliver(house.services, caller, failed.id)
    assert caught.value.code == "NOT_FOUND"


async def test_message_has_its_id_and_creation_time(house: House) -> None:
    await ended(house)
    await drain(house)
    ((_, headers, body),) = house.internet.posts
    message, (delivery,) = json.loads(body), found(house)
    assert list(message) == ["id", "object", "type", "timestamp", "created_at", "data"]
    assert message["id"] == headers["webhook-id"]
    assert (message["object"], message["created_at"]) == ("event", int(delivery.created_at.timestamp()))


async def test_wildcard_gets_every_event(house: House) -> None:
    caller = await house.sign_up()
    one = await endpoint(house, caller, events=["video.failed", "*"])
    assert endpoints.view(one).events == ["*"]
    await house.run(await house.submit(caller))
    canceled = await house.submit(caller)
    await submission.cancel(house.services, caller, canceled.id)
    await drain(house)
    assert [json.loads(body)["type"] for _, _, body in house.internet.posts] == ["video.completed", "video.canceled"]
    changed = await endpoints.update(house.services, caller, one.id, UpdateWebhookEndpoint(events=("video.failed",)))
    assert not changed.subscribes_to("video.completed")
