"""What users start, stop, read and delete."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from shared.api import views
from shared.api.videos import CreateVideo, ListVideosQuery
from shared.core import admission
from shared.core.documents import Job, Stage, Transaction, VideoRequest
from shared.core.errors import ApiError, Unavailable
from shared.jobs import queries, submission
from tests.unit.conftest import House

BODY = CreateVideo(prompt="a paper boat", model="omni-flash", seconds=3, resolution="360p")
OTHER = BODY.model_copy(update={"prompt": "a paper plane"})


async def refused(call: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await call
    return caught.value


# --- submit ---


async def test_submission_charges_and_enqueues_the_first_step(house: House) -> None:
    job = await house.submit(await house.sign_up())
    assert house.amounts(job) == [-30]
    assert await house.queue.exists(job.task)
    house.check()


async def test_same_key_and_body_give_one_job_and_one_charge(house: House) -> None:
    caller = await house.sign_up()
    first = await submission.submit(house.services, caller, BODY, "k")
    second = await submission.submit(house.services, caller, BODY, "k")
    assert (first.replayed, second.replayed) == (False, True)
    assert second.job.id == first.job.id
    assert house.amounts(first.job) == [-30]


async def test_same_key_ten_times_at_once_creates_one_job(house: House) -> None:
    caller = await house.sign_up()
    all_ = await asyncio.gather(*(submission.submit(house.services, caller, BODY, "k") for _ in range(10)))
    assert len({each.job.id for each in all_}) == 1
    assert sum(not each.replayed for each in all_) == 1
    house.check()


async def test_same_key_with_another_body_is_rejected(house: House) -> None:
    caller = await house.sign_up()
    first = await submission.submit(house.services, caller, BODY, "k")
    error = await refused(submission.submit(house.services, caller, OTHER, "k"))
    assert (error.code, error.entry.status) == ("IDEMPOTENCY_KEY_REUSED", 422)
    assert error.details == {"video": first.job.id}


async def test_same_key_of_another_account_is_another_job(house: House) -> None:
    one = await submission.submit(house.services, await house.sign_up("alice"), BODY, "k")
    other = await submission.submit(house.services, await house.sign_up("bob"), BODY, "k")
    assert one.job.id != other.job.id


async def test_without_a_key_every_submission_is_a_new_job(house: House) -> None:
    caller = await house.sign_up()
    assert (await house.submit(caller)).id != (await house.submit(caller)).id


async def test_key_of_a_deleted_video_is_gone(house: House) -> None:
    caller = await house.sign_up()
    job = (await submission.submit(house.services, caller, BODY, "k")).job
    await submission.cancel(house.services, caller, job.id)
    await queries.delete(house.services, caller, job.id)
    error = await refused(submission.submit(house.services, caller, BODY, "k"))
    assert (error.code, error.entry.status) == ("GONE", 410)


async def test_replay_works_when_nothing_can_be_submitted(house: House) -> None:
    caller = await house.sign_up()
    await submission.submit(house.services, caller, BODY, "k")
    house.configure(enabled=False, active_jobs_limit=0)
    assert (await submission.submit(house.services, caller, BODY, "k")).replayed


async def test_field_order_does_not_matter_to_the_key(house: House) -> None:
    caller = await house.sign_up()
    one = CreateVideo.model_validate_json('{"prompt": "boat", "model": "omni-flash", "seconds": 3}')
    same = CreateVideo.model_validate_json('{"seconds": "3", "model": "omni-flash", "prompt": "boat"}')
    await submission.submit(house.services, caller, one, "k")
    assert (await submission.submit(house.services, caller, same, "k")).replayed


async def test_queue_outage_still_answers_the_submission(house: House) -> None:
    caller = await house.sign_up()
    house.queue.fail("create")
    job = await house.submit(caller)
    assert (await house.job(job.id)).due_at is not None
    assert not house.queue.entries()


async def test_lost_commit_answer_is_recognized_and_not_a_replay(house: House) -> None:
    caller = await house.sign_up()
    house.store.lose("commit")
    submitted = await submission.submit(house.services, caller, BODY, "k")
    assert not submitted.replayed
    assert house.amounts(submitted.job) == [-30]
    assert await house.queue.exists(submitted.job.task)


async def test_unknown_outcome_is_unavailable_with_the_job_id(house: House) -> None:
    caller = await house.sign_up()
    house.store.lose("commit")
    house.store.let_pass("get_all")
    house.store.fail("get_all")
    error = await refused(submission.submit(house.services, caller, BODY, "k"))
    assert (error.code, error.entry.status, error.retry_after_s) == ("UNAVAILABLE", 503, 5)
    assert (await house.job(error.details["video"])).stage is Stage.QUEUED
    assert (await submission.submit(house.services, caller, BODY, "k")).job.id == error.details["video"]


async def test_ten_seconds_without_a_commit_charge_nothing(house: House) -> None:
    caller = await house.sign_up()
    house.store.fail("commit", times=10_000)
    error = await refused(house.submit(caller))
    assert error.code == "UNAVAILABLE"
    assert (await house.account()).balance == 500


@pytest.mark.parametrize(
    ("config", "account", "code"),
    [
        ({}, {"balance": 29}, "INSUFFICIENT_CREDITS"),
        ({"active_jobs_limit": 0}, {}, "TOO_MANY_ACTIVE_JOBS"),
        ({"enabled": False}, {}, "GENERATION_DISABLED"),
        ({"rollout_percent": 0}, {}, "GENERATION_DISABLED"),
        ({}, {"disabled": True}, "ACCOUNT_DISABLED"),
    ],
)
async def test_refused_request_charges_and_creates_nothing(
    house: House, config: dict[str, Any], account: dict[str, Any], code: str
) -> None:
    caller = await house.sign_up(**account)
    house.configure(**config)
    balance = (await house.account()).balance
    assert (await refused(house.submit(caller))).code == code
    assert (await house.account()).balance == balance
    assert house.store.documents(Job) == []
    assert not house.queue.entries()


async def test_erased_account_cannot_submit(house: House) -> None:
    caller = await house.sign_up()
    house.store.remove("accounts", "alice")
    assert (await refused(house.submit(caller))).code == "UNAUTHENTICATED"


async def test_paused_generation_shows_the_administrators_message(house: House) -> None:
    caller = await house.sign_up()
    house.configure(enabled=False, message="Back at noon.")
    assert (await refused(house.submit(caller))).message == "Back at noon."


async def test_rollout_admits_its_share_of_accounts_consistently(house: House) -> None:
    await house.sign_up()
    alice = await house.account()
    request = VideoRequest(
        prompt="p", model="omni-flash", seconds=3, aspect_ratio="16:9", resolution="360p", generate_audio=True
    )
    plan = admission.Submission("video_a", request, 30, 60.0, "f", "gemini")

    def admitted(percent: int) -> set[int]:
        house.configure(rollout_percent=percent)
        inside = set()
        for number in range(1_000):
            account = alice.changed(id=f"account-{number}")
            if admission.refuse(plan, account, house.clock(), house.config.config) is None:
                inside.add(number)
        return inside

    few, many = admitted(10), admitted(60)
    assert few < many
    assert 70 < len(few) < 130
    assert 540 < len(many) < 660
    assert (len(admitted(100)), len(admitted(0))) == (1_000, 0)
    assert admitted(10) == few


async def test_fourth_concurrent_job_is_refused(house: House) -> None:
    caller = await house.sign_up()
    results = await asyncio.gather(*(house.submit(caller) for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(result, Job) for result in results) == 3
    assert {result.code for result in results if isinstance(result, ApiError)} == {"TOO_MANY_ACTIVE_JOBS"}
    house.check()


async def test_concurrent_submissions_never_spend_the_same_credit(house: House) -> None:
    caller = await house.sign_up(balance=500)
    house.configure(credits_per_second=100)
    await asyncio.gather(*(house.submit(caller) for _ in range(3)), return_exceptions=True)
    assert (await house.account()).balance == 200
    house.check()


async def test_price_is_fixed_at_submission(house: House) -> None:
    caller = await house.sign_up()
    job = await house.submit(caller)
    house.configure(credits_per_second=99)
    await submission.cancel(house.services, caller, job.id)
    assert house.amounts(job) == [-30, 30]


async def test_prompt_is_not_logged(house: House, capsys: Any) -> None:
    await house.submit(await house.sign_up(), prompt="a secret boat")
    logged = capsys.readouterr().out
    assert "video_submitted" in logged
    assert "secret" not in logged


# --- estimate ---


async def test_estimate_writes_nothing_and_matches_the_cost(house: House) -> None:
    caller = await house.sign_up()
    commits = house.store.calls["commit"]
    estimate = await submission.estimate(house.services, caller, BODY)
    assert house.store.calls["commit"] == commits
    assert (estimate.cost, estimate.balance, estimate.balance_after) == (30, 500, 470)
    assert (estimate.accepted, estimate.refusal) == (True, None)
    job = await house.submit(caller)
    assert (job.cost, job.request.size, str(job.request.seconds)) == (estimate.cost, estimate.size, estimate.seconds)
    assert job.expected_s == estimate.expected_seconds


@pytest.mark.parametrize(
    ("config", "balance", "refusal"),
    [
        ({}, 0, "INSUFFICIENT_CREDITS"),
        ({"active_jobs_limit": 0}, 500, "TOO_MANY_ACTIVE_JOBS"),
        ({"enabled": False}, 500, "GENERATION_DISABLED"),
    ],
)
async def test_estimate_says_why_it_would_be_refused(
    house: House, config: dict[str, Any], balance: int, refusal: str
) -> None:
    caller = await house.sign_up(balance=balance)
    house.configure(**config)
    estimate = await submission.estimate(house.services, caller, BODY)
    assert (estimate.accepted, estimate.refusal) == (False, refusal)


async def test_create_above_the_agreed_price_creates_nothing(house: House) -> None:
    caller = await house.sign_up()
    quote = (await submission.estimate(house.services, caller, BODY)).quote
    house.configure(credits_per_second=11)
    for terms in ({"max_cost": 30}, {"quote": quote}):
        body = BODY.model_copy(update=terms)
        error = await refused(submission.submit(house.services, caller, body, None))
        assert (error.code, error.details["cost"], error.details["max_cost"]) == ("PRICE_CHANGED", 33, 30)
        assert (await submission.estimate(house.services, caller, body)).refusal == "PRICE_CHANGED"
    assert house.store.documents(Job) == []
    assert (await house.account()).balance == 500


async def test_price_below_the_quote_is_charged(house: House) -> None:
    caller = await house.sign_up()
    quote = (await submission.estimate(house.services, caller, BODY)).quote
    house.configure(credits_per_second=9)
    assert (
        await submission.submit(house.services, caller, BODY.model_copy(update={"quote": quote}), None)
    ).job.cost == 27


async def test_repeat_after_a_price_increase_is_the_first_job(house: House) -> None:
    """Whatever price the repeat agrees to: it asks for the video that was paid for already."""
    caller = await house.sign_up()
    first = await submission.submit(house.services, caller, BODY.model_copy(update={"max_cost": 30}), "k")
    house.configure(credits_per_second=20)
    for terms in ({"max_cost": 30}, {"max_cost": 60}, {}):
        again = await submission.submit(house.services, caller, BODY.model_copy(update=terms), "k")
        assert (again.job.id, again.replayed) == (first.job.id, True)


# --- cancel ---


async def test_cancel_refunds_and_frees_the_slot(house: House) -> None:
    caller = await house.sign_up()
    job = await submission.cancel(house.services, caller, (await house.submit(caller)).id)
    assert (job.stage, job.refunded) == (Stage.CANCELED, 30)
    assert (await house.account()).active_jobs == ()
    house.check()


async def test_cancel_is_audited_with_its_refund(house: House, capsys: Any) -> None:
    caller = await house.sign_up()
    job = await house.submit(caller)
    await submission.cancel(house.services, caller, job.id)
    with pytest.raises(ApiError):
        await submission.cancel(house.services, caller, job.id)
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    canceled = [entry for entry in entries if entry["message"] == "video_canceled"]
    assert [(entry["video"], entry["user"], entry["refunded"]) for entry in canceled] == [(job.id, "alice", job.cost)]


async def test_canceling_twice_refunds_once(house: House) -> None:
    caller = await house.sign_up()
    job = await submission.cancel(house.services, caller, (await house.submit(caller)).id)
    error = await refused(submission.cancel(house.services, caller, job.id))
    assert (error.code, error.details) == ("NOT_CANCELABLE", {"status": "canceled"})
    assert house.amounts(job) == [-30, 30]


async def test_another_users_job_is_not_found(house: House) -> None:
    job = await house.submit(await house.sign_up("alice"))
    error = await refused(submission.cancel(house.services, await house.sign_up("bob"), job.id))
    assert error.code == "NOT_FOUND"


async def test_cancel_succeeds_if_its_cleanup_task_cannot_be_created(house: House) -> None:
    caller = await house.sign_up()
    job = await house.until(await house.submit(caller), "generating")
    house.queue.fail("create")
    assert (await submission.cancel(house.services, caller, job.id)).stage is Stage.CANCELED
    assert (await house.job(job.id)).due_at is not None


async def test_unwritten_cancel_is_unavailable(house: House) -> None:
    caller = await house.sign_up()
    job = await house.submit(caller)
    house.store.fail("commit", times=10_000)
    with pytest.raises(Unavailable):
        await submission.cancel(house.services, caller, job.id)
    assert (await house.job(job.id)).stage is Stage.QUEUED


async def test_ledger_holds_exactly_what_happened(house: House) -> None:
    caller = await house.sign_up()
    job = await house.submit(caller)
    await submission.cancel(house.services, caller, job.id)
    types = [entry.type for entry in sorted(house.store.documents(Transaction), key=lambda each: each.sequence)]
    assert types == ["signup", "charge", "refund"]


# --- read and delete ---


async def test_own_videos_are_listed_newest_first_in_pages(house: House) -> None:
    caller, other = await house.sign_up(), await house.sign_up("bob")
    await house.submit(other)
    mine = []
    for _ in range(3):
        mine.append((await house.submit(caller)).id)
        house.clock.advance(1)
    first = await queries.own_jobs(house.services, caller, ListVideosQuery(limit=2))
    assert [job.id for job in first] == [mine[2], mine[1], mine[0]]
    rest = await queries.own_jobs(house.services, caller, ListVideosQuery(limit=2, after=mine[1]))
    assert [job.id for job in rest] == [mine[0]]


async def test_videos_take_one_filter_at_a_time(house: House) -> None:
    caller = await house.sign_up()
    query = ListVideosQuery(model="omni-flash", project="p")
    error = await refused(queries.own_jobs(house.services, caller, query))
    assert error.code == "INVALID_REQUEST"
    assert [each["field"] for each in error.details["fields"]] == ["model", "project"]
    await house.submit(caller, project="p")
    await house.submit(caller)
    assert len(await queries.own_jobs(house.services, caller, ListVideosQuery(project="p"))) == 1


@pytest.mark.parametrize("id_", ["", "video_", "nothing", "video_" + "x" * 100, "x" * 10_000])
async def test_malformed_id_is_not_found(house: House, id_: str) -> None:
    error = await refused(queries.own_job(house.services, await house.sign_up(), id_))
    assert error.code == "NOT_FOUND"
    assert len(error.details["video"]) <= 64


async def test_another_tenants_job_is_not_found(house: House) -> None:
    caller = await house.sign_up()
    job = await house.submit(caller)
    await house.store.commit([job.changed(tenant="other")])
    assert (await refused(queries.own_job(house.services, caller, job.id))).code == "NOT_FOUND"


async def test_erased_account_has_nothing_to_list(house: House) -> None:
    caller = await house.sign_up()
    house.store.remove("accounts", "alice")
    assert (await refused(queries.own_account(house.services, caller))).code == "UNAUTHENTICATED"


async def test_unfinished_job_cannot_be_deleted(house: House) -> None:
    caller = await house.sign_up()
    job = await house.submit(caller)
    error = await refused(queries.delete(house.services, caller, job.id))
    assert (error.code, error.details) == ("JOB_NOT_FINISHED", {"status": "queued"})


async def test_delete_succeeds_if_its_task_cannot_be_created(house: House) -> None:
    caller = await house.sign_up()
    job = await house.run(await house.submit(caller))
    house.queue.fail("create")
    await queries.delete(house.services, caller, job.id)
    assert (await house.job(job.id)).deleted_at is not None


async def test_unwritten_delete_is_unavailable(house: House) -> None:
    caller = await house.sign_up()
    job = await house.run(await house.submit(caller))
    house.store.fail("commit", times=10_000)
    with pytest.raises(Unavailable):
        await queries.delete(house.services, caller, job.id)


async def test_models_with_a_configured_provider_are_listed(house: House) -> None:
    caller = await house.sign_up()
    everything = (await queries.models(house.services, caller)).data
    assert [model.id for model in everything if model.default] == ["veo-3.1-fast"]
    house.services.providers.by_provider.pop("vertex")
    (omni,) = (await queries.models(house.services, caller)).data
    assert (omni.id, omni.default, omni.credits_per_second) == ("omni-flash", True, 10)
    house.services.providers.by_provider.pop("gemini")
    assert (await queries.models(house.services, caller)).data == []
    assert (await refused(house.submit(caller))).code == "MODEL_NOT_FOUND"


async def test_models_show_current_price_and_time(house: House) -> None:
    prices = {"omni-flash": 3, "omni-flash 4k": 9}
    house.configure(
        credits_per_second_by_model=prices, expected_times={"omni-flash": 42.0}, extension_credits_per_second=4
    )
    models = (await queries.models(house.services, await house.sign_up())).data
    omni = next(model for model in models if model.id == "omni-flash")
    assert (omni.credits_per_second, omni.expected_seconds) == (3, 42.0)
    assert omni.credits_per_second_by_resolution == {"360p": 3, "720p": 3, "1080p": 3, "4k": 9}
    assert omni.extension is not None
    assert omni.extension.credits_per_second == 4
    assert omni.extension.credits_per_second_by_resolution == {"360p": 4, "720p": 4, "1080p": 4, "4k": 9}


async def test_unreadable_job_does_not_hide_older_ones(house: House) -> None:
    caller = await house.sign_up()
    for number in range(3):
        job = await house.submit(caller)
        house.clock.advance(1)
        if number == 2:
            house.store.edit("jobs", job.id, {"step": "seven"})
    query = ListVideosQuery(limit=1)
    page = views.video_page(await queries.own_jobs(house.services, caller, query), query.limit, house.clock())
    assert page.has_more


async def test_replay_works_after_its_model_was_withdrawn(house: House) -> None:
    caller = await house.sign_up()
    body = CreateVideo(prompt="a boat", model="omni-flash")
    first = await submission.submit(house.services, caller, body, "key")
    del house.services.providers.by_provider["gemini"]
    again = await submission.submit(house.services, caller, body, "key")
    assert (again.job.id, again.replayed) == (first.job.id, True)
    with pytest.raises(ApiError, match="MODEL_NOT_FOUND"):
        await submission.submit(house.services, caller, body, "another key")


async def test_label_order_does_not_matter_to_the_key(house: House) -> None:
    caller = await house.sign_up()
    one = CreateVideo(prompt="a boat", labels={"a": "1", "b": "2"})
    other = CreateVideo(prompt="a boat", labels={"b": "2", "a": "1"})
    first = await submission.submit(house.services, caller, one, "key")
    assert (await submission.submit(house.services, caller, other, "key")).job.id == first.job.id
