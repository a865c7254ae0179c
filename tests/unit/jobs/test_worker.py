"""What one delivery of a job's task does, also if it is a duplicate, late, or follows a crashed one."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from google.api_core.exceptions import InvalidArgument, NotFound, PermissionDenied

from local.memory.generator import LostAnswer, Videos
from shared.core import events, lifecycle
from shared.core.documents import Job, Stage
from shared.core.errors import StorageRefused, Unavailable
from shared.jobs import queries, storing, submission, worker
from shared.jobs.transitions import apply
from shared.jobs.worker import TaskResult
from shared.platform.provider import Failed, Finished, Rejected, Running, Throttled
from tests.unit.conftest import House

LONGER_THAN_THE_LEASE_S = lifecycle.LEASE_S + 1


async def with_dead_holder(house: House, job: Job) -> Job:
    """The job after its lease holder crashed during the create."""
    claimed = (await apply(house.services, job.id, events.LeaseRequested(job.step, "dead"))).job
    house.clock.advance(LONGER_THAN_THE_LEASE_S)
    return claimed


# --- from beginning to end ---


async def test_omni_job_is_downloaded_and_completed(house: House) -> None:
    job = await house.run(await house.submit(await house.sign_up()))
    assert job.stage is Stage.COMPLETED
    assert job.due_at is None
    assert not house.queue.entries()
    house.check()


async def test_veo_job_completes_in_place(house: House) -> None:
    job = await house.run(await house.submit_veo(await house.sign_up(), count=2), lambda job: job.final)
    assert job.stage is Stage.COMPLETED
    assert [output.object for output in job.outputs] == [f"{job.prefix}1/sample_{index}.mp4" for index in range(1)]
    assert job.filtered == 1


async def test_all_videos_of_a_job_are_stored(house: House) -> None:
    house.script(looks=[Videos(2)])
    job = await house.run(await house.submit_veo(await house.sign_up(), count=2))
    assert len(job.outputs) == 2
    house.check()


@pytest.mark.parametrize(
    "script",
    [
        {"creates": [Rejected("PROMPT_REJECTED", "half an emoji \ud83d")]},
        {"looks": [Failed("PROVIDER_ERROR", "half an emoji \ud83d")]},
        {"looks": [Failed("PROVIDER_ERROR", "x" * 2_000_000)]},
        {"looks": [Finished((), 1, "\udfff")]},
    ],
)
async def test_every_rejection_ends_the_job_at_once_with_refund(house: House, script: dict[str, Any]) -> None:
    house.script(**script)
    job = await house.run(await house.submit(await house.sign_up()))
    assert (job.stage, job.refunded) == (Stage.FAILED, job.cost)
    assert job.error is not None
    assert (job.error.reason or "")[-1:] in ("�", "x")
    house.check()


async def test_any_generation_name_can_be_stored(house: House) -> None:
    job = await house.submit(await house.sign_up())
    await apply(house.services, job.id, events.LeaseRequested(job.step, "holder"))
    outcome = await apply(house.services, job.id, events.Accepted(1, "operations/\ud83d"))
    assert (outcome.job.stage, outcome.job.operation) == (Stage.GENERATING, "operations/�")


async def test_generation_is_polled_until_done(house: House) -> None:
    house.script(looks=[Running(), Running(), Running(), Videos()])
    job = await house.run(await house.submit(await house.sign_up()))
    assert job.stage is Stage.COMPLETED
    assert house.omni.started[job.operation or ""].looks == 4


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ({"creates": [Rejected("PROMPT_REJECTED", "no")]}, "PROMPT_REJECTED"),
        ({"looks": [Failed("PROVIDER_ERROR", "broken")]}, "PROVIDER_ERROR"),
        ({"looks": [Videos(0, 1, "violence")]}, "SAFETY_BLOCKED"),
        ({"looks": [Finished(())]}, "PROVIDER_ERROR"),
        ({"looks": [Running()]}, "GENERATION_TIMEOUT"),
        ({"creates": [ConnectionError("cut")]}, "START_UNCERTAIN"),
        ({"creates": [Throttled("full")] * 5_000}, "QUEUE_TIMEOUT"),
    ],
)
async def test_every_failure_ends_with_refund(house: House, script: Any, code: str) -> None:
    house.script(**script)
    house.configure(queue_timeout_s=600)
    job = await house.run(await house.submit(await house.sign_up()), lambda job: job.final)
    assert job.error is not None
    assert job.error.code == code
    assert house.amounts(job) == [-30, 30]
    house.check()


# --- duplicates, late and early deliveries ---


async def test_duplicate_delivery_changes_nothing(house: House) -> None:
    job = await house.submit(await house.sign_up())
    assert await house.deliver(job, 0) is TaskResult.ACK
    before = await house.job(job.id)
    assert await house.deliver(job, 0) is TaskResult.ACK
    assert await house.job(job.id) == before
    assert house.creates == 1


async def test_ten_concurrent_deliveries_create_once(house: House) -> None:
    job = await house.submit(await house.sign_up())
    verdicts = await asyncio.gather(*(house.deliver(job, 0) for _ in range(10)))
    assert house.creates == 1
    assert TaskResult.ACK in verdicts
    house.check()


async def test_old_delivery_changes_nothing_and_creates_no_task(house: House) -> None:
    house.script(looks=[Running()])
    job = await house.submit(await house.sign_up())
    for _ in range(3):
        await house.deliver_next()
    house.queue.purge()
    creates = house.queue.calls["create"]
    assert await house.deliver(job, 0) is TaskResult.ACK
    assert house.queue.calls["create"] == creates


async def test_future_or_unknown_delivery_is_acknowledged(house: House) -> None:
    job = await house.submit(await house.sign_up())
    assert await house.deliver(job, 7) is TaskResult.ACK
    assert await worker.deliver(house.services, "video_none", 0) is TaskResult.ACK
    assert house.creates == 0


async def test_delivery_one_step_behind_recreates_the_missing_task(house: House) -> None:
    house.script(looks=[Running()])
    job = await house.until(await house.submit(await house.sign_up()), "generating")
    house.queue.fail("create")
    assert await house.deliver(job) is TaskResult.RETRY
    ahead = await house.job(job.id)
    assert ahead.step == job.step + 1
    assert not await house.queue.exists(ahead.task)
    assert await house.deliver(job, job.step) is TaskResult.ACK
    assert await house.queue.exists(ahead.task)


async def test_queue_failure_after_the_create_keeps_the_first_poll(house: House) -> None:
    job = await house.submit(await house.sign_up())
    house.queue.fail("create")
    assert await house.deliver(job, 0) is TaskResult.RETRY
    assert await house.deliver(job, 0) is TaskResult.ACK
    generating = await house.job(job.id)
    assert generating.stage is Stage.GENERATING
    assert await house.queue.exists(generating.task)


async def test_recreated_task_comes_when_the_job_is_due(house: House) -> None:
    job = await house.submit(await house.sign_up())
    await house.deliver(job, 0)
    generating = await house.job(job.id)
    # As if the task had never been created; a name that was used stays blocked.
    del house.queue._entries[generating.task]
    await house.deliver(job, 0)
    (entry,) = [entry for entry in house.queue.entries() if entry.ref == generating.task]
    assert entry.due_at == generating.due_at


async def test_delivery_after_the_end_changes_nothing(house: House) -> None:
    job = await house.run(await house.submit(await house.sign_up()))
    for step in range(job.step + 1):
        assert await house.deliver(job, step) is TaskResult.ACK
    assert await house.job(job.id) == job
    assert not house.queue.entries()


async def test_database_outage_makes_the_queue_retry(house: House) -> None:
    job = await house.submit(await house.sign_up())
    house.store.fail("get")
    assert await house.deliver(job, 0) is TaskResult.RETRY
    assert house.creates == 0


# --- the lease ---


@pytest.mark.parametrize("stage", [Stage.STARTING, Stage.STORING])
async def test_delivery_under_a_live_lease_is_retried(house: House, stage: Stage) -> None:
    job = await house.submit(await house.sign_up())
    await apply(house.services, job.id, events.LeaseRequested(0, "me"))
    if stage is Stage.STORING:
        await apply(house.services, job.id, events.Accepted(1, "op"))
        await apply(house.services, job.id, events.GenerationFinished(1, "me", ("https://x",)))
    before = await house.job(job.id)
    assert before.stage is stage
    assert await house.deliver(job) is TaskResult.RETRY
    assert await house.job(job.id) == before


async def test_delivery_losing_the_lease_race_is_retried(house: House) -> None:
    job = await house.submit(await house.sign_up())

    async def rival() -> None:
        await apply(house.services, job.id, events.LeaseRequested(0, "rival"))

    house.store.before("commit", rival)
    assert await house.deliver(job, 0) is TaskResult.RETRY
    assert house.creates == 0


async def test_expired_lease_holder_does_not_create(house: House) -> None:
    job = await house.submit(await house.sign_up())

    async def slow() -> None:
        house.clock.advance(lifecycle.LEASE_S - lifecycle.CREATE_TIMEOUT_S + 1)

    # The claim is decided, and its commit takes that long.
    house.store.before("commit", slow)
    assert await house.deliver(job, 0) is TaskResult.RETRY
    assert house.creates == 0
    after = await house.job(job.id)
    assert (after.stage, after.attempt) == (Stage.QUEUED, 0)
    assert await house.deliver(job) is TaskResult.ACK
    assert house.creates == 1


async def test_crash_during_create_leaves_an_uncertain_job(house: House) -> None:
    job = await house.submit(await house.sign_up())
    await with_dead_holder(house, job)
    assert await house.deliver(job, 0) is TaskResult.ACK
    assert (await house.job(job.id)).stage is Stage.UNCERTAIN
    assert house.creates == 0


async def test_crash_while_storing_is_taken_over(house: House) -> None:
    job = await house.until(await house.submit(await house.sign_up()), "generating")
    (await house.omni.poll(job.operation or ""))
    uris = house.omni.started[job.operation or ""].uris
    await apply(house.services, job.id, events.GenerationFinished(job.step, "dead", uris))
    assert await house.deliver(job) is TaskResult.RETRY
    house.clock.advance(LONGER_THAN_THE_LEASE_S)
    assert await house.deliver(job) is TaskResult.ACK
    assert (await house.job(job.id)).stage is Stage.COMPLETED
    house.check()


# --- the create ---


async def test_busy_provider_slows_the_queue_and_starts_later(house: House) -> None:
    house.script(creates=[Throttled("full", 7.0)])
    job = await house.submit(await house.sign_up())
    assert await house.deliver(job, 0) is TaskResult.THROTTLE
    deferred = await house.job(job.id)
    assert (deferred.stage, deferred.step, deferred.attempt) == (Stage.QUEUED, 1, 0)
    assert deferred.due_at is not None
    assert (deferred.due_at - house.clock()).total_seconds() == 7.0
    house.clock.advance(7.0)
    assert await house.deliver(job, 0) is TaskResult.ACK
    assert house.creates == 1
    assert await house.deliver(job) is TaskResult.ACK
    assert (await house.job(job.id)).attempt == 1


async def test_retry_after_is_respected_despite_early_deliveries(house: House) -> None:
    house.script(creates=[Throttled("full", 600.0)])
    job = await house.submit(await house.sign_up())
    began = house.clock()
    assert await house.deliver(job, 0) is TaskResult.THROTTLE
    for waited_s in (2, 6, 14, 30, 62, 599):
        house.clock.now = began + timedelta(seconds=waited_s)
        assert await house.deliver(job, 0) is TaskResult.ACK, "the task that was answered 503 has nothing left to do"
        assert await house.deliver(job) is TaskResult.RETRY
    assert (house.creates, len(house.omni.prepared)) == (1, 1)
    deferred = await house.job(job.id)
    (entry,) = [entry for entry in house.queue.entries() if entry.ref == deferred.task]
    assert entry.due_at == began + timedelta(seconds=600)
    house.clock.now = entry.due_at
    assert await house.deliver(job) is TaskResult.ACK
    assert (await house.job(job.id)).attempt == 1


# --- what comes before the claim ---


async def test_slow_preparation_precedes_the_lease(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await house.submit(await house.sign_up())
    seen: list[Stage] = []

    async def slow(prepared: Job) -> Any:
        house.clock.advance(LONGER_THAN_THE_LEASE_S)
        seen.append((await house.job(job.id)).stage)
        return house.omni.start

    monkeypatch.setattr(house.omni, "prepare", slow)
    assert await house.deliver(job, 0) is TaskResult.ACK
    assert seen == [Stage.QUEUED]
    assert (await house.job(job.id)).stage is Stage.GENERATING


@pytest.mark.parametrize("failure", [Throttled("no token"), OSError("no route"), RuntimeError("no credentials")])
async def test_failed_preparation_costs_no_attempt(house: House, failure: Exception) -> None:
    house.script(prepares=[failure, failure])
    job = await house.submit(await house.sign_up())
    for _ in range(2):
        assert await house.deliver(job, 0) is TaskResult.RETRY
        assert await house.job(job.id) == job
    assert await house.deliver(job, 0) is TaskResult.ACK
    assert (await house.job(job.id)).attempt == 1


async def test_crash_during_preparation_leaves_a_queued_job(house: House) -> None:
    begun = asyncio.Event()

    async def never(job: Job) -> Any:
        begun.set()
        await asyncio.Event().wait()

    house.omni.prepare = never  # type: ignore[method-assign]
    job = await house.submit(await house.sign_up())
    delivery = asyncio.create_task(house.deliver(job, 0))
    await begun.wait()
    delivery.cancel()
    await asyncio.gather(delivery, return_exceptions=True)
    assert await house.job(job.id) == job


async def test_preparation_that_always_fails_ends_at_the_queue_deadline(house: House) -> None:
    house.configure(queue_timeout_s=600)
    house.script(prepares=[OSError("no credentials")] * 5_000)
    job = await house.run(await house.submit(await house.sign_up()), lambda job: job.final)
    assert job.error is not None
    assert job.error.code == "QUEUE_TIMEOUT"
    assert (house.creates, house.amounts(job)) == (0, [-30, 30])


async def test_impossible_request_fails_before_any_attempt(house: House) -> None:
    house.script(prepares=[Rejected("INPUT_GONE", "gone")])
    job = await house.run(await house.submit(await house.sign_up()))
    assert job.error is not None
    assert (job.error.code, job.attempt, house.creates) == ("INPUT_GONE", 0, 0)
    house.check()


async def test_busy_without_retry_after_defers_30s(house: House) -> None:
    house.script(creates=[Throttled("full")])
    job = await house.submit(await house.sign_up())
    await house.deliver(job, 0)
    due_at = (await house.job(job.id)).due_at
    assert due_at is not None
    assert (due_at - house.clock()).total_seconds() == worker.BUSY_WAIT_S


async def test_rejected_create_ends_the_job_without_a_second(house: House) -> None:
    house.script(creates=[Rejected("SAFETY_BLOCKED", "violence")])
    job = await house.run(await house.submit(await house.sign_up()))
    assert job.error is not None
    assert (job.error.code, job.error.reason) == ("SAFETY_BLOCKED", "violence")
    assert house.creates == 1


async def test_create_without_an_answer_is_never_repeated(house: House) -> None:
    house.script(creates=[ConnectionError("cut")])
    job = await house.run(await house.submit(await house.sign_up()), lambda job: job.final)
    assert job.error is not None
    assert job.error.code == "START_UNCERTAIN"
    assert house.creates == 1


async def test_slow_create_is_uncertain(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(job: Job, prefix: str) -> str:
        await asyncio.Event().wait()
        return "op"

    monkeypatch.setattr(house.omni, "start", never)
    monkeypatch.setattr(lifecycle, "CREATE_TIMEOUT_S", 0.01)
    job = await house.submit(await house.sign_up())
    assert await house.deliver(job, 0) is TaskResult.ACK
    assert (await house.job(job.id)).stage is Stage.UNCERTAIN


async def test_delivery_killed_during_create_leaves_its_lease(house: House) -> None:
    begun = asyncio.Event()

    async def never(job: Job, prefix: str) -> str:
        begun.set()
        await asyncio.Event().wait()
        return "op"

    house.omni.start = never  # type: ignore[method-assign]
    job = await house.submit(await house.sign_up())
    delivery = asyncio.create_task(house.deliver(job, 0))
    await begun.wait()
    delivery.cancel()
    await asyncio.gather(delivery, return_exceptions=True)
    assert (await house.job(job.id)).stage is Stage.STARTING
    assert await house.deliver(job, 0) is TaskResult.RETRY


async def test_unconfigured_model_fails_with_refund(house: House) -> None:
    job = await house.submit(await house.sign_up())
    house.services.providers.by_provider.pop("gemini")
    await house.deliver(job, 0)
    failed = await house.job(job.id)
    assert failed.error is not None
    assert failed.error.code == "MODEL_RETIRED"
    assert house.amounts(job) == [-30, 30]


async def test_restart_once_creates_at_most_twice(house: House) -> None:
    house.configure(uncertain_policy="restart_once")
    house.script(creates=[ConnectionError("cut"), ConnectionError("cut"), None])
    job = await house.run(await house.submit(await house.sign_up()), lambda job: job.final)
    assert job.stage is Stage.FAILED
    assert house.creates == 2


async def test_second_attempt_has_its_own_prefix(house: House) -> None:
    house.configure(uncertain_policy="restart_once")
    house.script(creates=[ConnectionError("cut"), None])
    job = await house.run(await house.submit_veo(await house.sign_up()), lambda job: job.final)
    assert job.stage is Stage.COMPLETED
    assert [started.prefix for started in house.veo.started.values()] == [f"{job.files_prefix}2/"]


# --- the name is worth money ---


@pytest.mark.parametrize("failures", [1, 50, 300])
async def test_operation_name_survives_a_database_outage(house: House, failures: int) -> None:
    job = await house.submit(await house.sign_up())
    house.store.let_pass("commit")
    house.store.fail("commit", times=failures)
    assert await house.deliver(job, 0) is TaskResult.ACK
    kept = await house.job(job.id)
    assert (kept.stage, kept.operation) == (Stage.GENERATING, f"operations/{job.id}-0")


@pytest.mark.parametrize("error", [PermissionDenied, InvalidArgument, NotFound, RuntimeError])
async def test_operation_name_survives_any_temporary_firestore_error(house: House, error: Any, capsys: Any) -> None:
    """A permission that is being edited, a rejected argument, anything: the video is paid for."""
    job = await house.submit(await house.sign_up())
    house.store.let_pass("commit")
    house.store.fail("commit", times=20, error=error)
    assert await house.deliver(job, 0) is TaskResult.ACK
    assert (await house.job(job.id)).operation == f"operations/{job.id}-0"
    told = capsys.readouterr().out
    assert '"operation_not_kept"' in told
    assert f"operations/{job.id}-0" in told


async def test_permanently_rejected_name_leaves_a_start_to_search_for(
    house: House, veo_video: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await house.submit_veo(await house.sign_up())
    commit = house.store.commit

    async def without_names(documents: Any) -> Any:
        if any(isinstance(document, Job) and document.operation for document in documents):
            raise InvalidArgument("operation")  # type: ignore[no-untyped-call]
        return await commit(documents)

    monkeypatch.setattr(house.store._inner, "commit", without_names)
    monkeypatch.setattr(house.services.firestore, "commit", without_names, raising=False)
    with pytest.raises(InvalidArgument):
        await house.deliver(job, 0)
    uncertain = await house.job(job.id)
    assert uncertain.stage is Stage.UNCERTAIN
    await house.media.write(
        f"{uncertain.prefix}1/sample_0.mp4", lambda file: file.write(veo_video) and None, "video/mp4"
    )
    assert (await house.run(job, lambda job: job.final)).stage is Stage.COMPLETED


async def test_rejection_survives_a_database_outage(house: House) -> None:
    house.script(creates=[Rejected("SAFETY_BLOCKED", "violence")])
    job = await house.submit(await house.sign_up())
    house.store.let_pass("commit")
    house.store.fail("commit", times=5, error=PermissionDenied)
    assert await house.deliver(job, 0) is TaskResult.ACK
    failed = await house.job(job.id)
    assert failed.error is not None
    assert failed.error.code == "SAFETY_BLOCKED"


async def test_name_unsaved_for_10_minutes_is_logged_and_dropped(house: House, capsys: Any) -> None:
    job = await house.submit(await house.sign_up())
    house.store.let_pass("commit")
    house.store.fail("commit", times=100_000)
    began = house.clock()
    assert await house.deliver(job, 0) is TaskResult.RETRY
    assert (house.clock() - began).total_seconds() >= worker.KEEP_NAME_FOR_S
    assert f"operations/{job.id}-0" in capsys.readouterr().out


async def test_name_after_a_cancel_is_kept_for_cleanup(house: House) -> None:
    caller = await house.sign_up()
    job = await house.submit(caller)

    async def canceled() -> None:
        await submission.cancel(house.services, caller, job.id)

    house.store.let_pass("commit")
    house.store.before("commit", canceled)
    await house.deliver(job, 0)
    after = await house.job(job.id)
    assert (after.stage, after.operation) == (Stage.CANCELED, f"operations/{job.id}-0")
    await house.run(job)
    assert house.omni.started[after.operation or ""].cancelled


async def test_second_name_of_an_attempt_is_logged_as_orphan(house: House, capsys: Any) -> None:
    job = await house.until(await house.submit(await house.sign_up()), "generating")
    await worker._keep_name(house.services, job, "operations/other")
    assert '"generation_orphaned"' in capsys.readouterr().out
    assert (await house.job(job.id)).operation == job.operation


async def test_job_that_vanishes_mid_delivery_is_acknowledged(house: House) -> None:
    job = await house.submit(await house.sign_up())

    async def vanish() -> None:
        house.store.remove("jobs", job.id)

    house.store.before("commit", vanish)
    assert await house.deliver(job, 0) is TaskResult.ACK


# --- uncertain ---


async def test_files_of_an_uncertain_attempt_are_adopted(house: House) -> None:
    house.script(creates=[LostAnswer()])
    job = await house.run(await house.submit_veo(await house.sign_up()))
    assert job.stage is Stage.COMPLETED
    assert job.operation is None
    assert house.amounts(job) == [-40]
    assert house.creates == 1
    house.check()


async def test_too_few_files_are_adopted_only_after_the_wait(house: House) -> None:
    house.script(creates=[LostAnswer()], looks=[Videos(1)])
    job = await house.until(await house.submit_veo(await house.sign_up(), count=2), "uncertain")
    waited = await house.run(job, lambda found: found.stage is not Stage.UNCERTAIN)
    assert waited.storing_started_at is not None
    assert waited.attempt_started_at is not None
    assert (waited.storing_started_at - waited.attempt_started_at).total_seconds() == 360
    assert (waited.stage, waited.refunded) == (Stage.COMPLETED, 40)
    house.check()


async def test_unrelated_files_under_the_prefix_are_ignored(house: House) -> None:
    house.script(creates=[ConnectionError("cut")])
    job = await house.until(await house.submit_veo(await house.sign_up()), "uncertain")
    await house.media.write(f"{job.prefix}note.txt", lambda file: file.write(b"x") and None, "text/plain")
    assert (await house.run(job, lambda job: job.final)).stage is Stage.FAILED


async def test_operation_named_by_an_event_is_adopted(house: House) -> None:
    house.script(creates=[LostAnswer()])
    job = await house.until(await house.submit(await house.sign_up()), "uncertain")
    await apply(house.services, job.id, events.OperationReported(f"operations/{job.id}-0"))
    done = await house.run(job)
    assert (done.stage, done.operation) == (Stage.COMPLETED, f"operations/{job.id}-0")
    assert house.creates == 1
    house.check()


async def test_bucket_outage_does_not_end_an_uncertain_job(house: House) -> None:
    house.script(creates=[ConnectionError("cut")])
    job = await house.until(await house.submit_veo(await house.sign_up()), "uncertain")
    house.clock.advance(1_000)
    house.media.fail("list")
    assert await house.deliver(job) is TaskResult.RETRY
    assert (await house.job(job.id)).stage is Stage.UNCERTAIN


# --- looking ---


async def test_failed_poll_before_the_deadline_is_repeated(house: House) -> None:
    house.script(looks=[OSError("no route"), Videos()])
    job = await house.until(await house.submit(await house.sign_up()), "generating")
    assert await house.deliver(job) is TaskResult.RETRY
    assert (await house.job(job.id)) == job
    assert await house.deliver(job) is TaskResult.ACK
    assert (await house.job(job.id)).stage is Stage.COMPLETED


async def wrote(house: House, job: Job, data: bytes, index: int = 0) -> None:
    """As the provider does, though it does not say so any more."""
    await house.media.write(f"{job.prefix}1/sample_{index}.mp4", lambda file: file.write(data) and None, "video/mp4")


@pytest.mark.parametrize("late", [False, True])
async def test_video_in_the_bucket_is_adopted_despite_an_unreadable_operation(
    house: House, veo_video: bytes, late: bool, capsys: Any
) -> None:
    """A model that is retired along with its endpoint, a permission, an outage."""
    house.script(looks=[LookupError("404: no longer available")])
    job = await house.until(await house.submit_veo(await house.sign_up()), "generating")
    assert await house.deliver(job) is TaskResult.RETRY
    await wrote(house, job, veo_video)
    if late:
        house.clock.advance(2 * house.config.config.generation_timeout_s)
    assert await house.deliver(job) is TaskResult.ACK
    done = await house.job(job.id)
    assert (done.stage, house.amounts(done)) == (Stage.COMPLETED, [-40])
    assert '"adopted"' in capsys.readouterr().out
    house.check()


async def test_bucket_is_searched_before_abandoning_a_running_generation(house: House, veo_video: bytes) -> None:
    house.script(looks=[Running()])
    job = await house.until(await house.submit_veo(await house.sign_up(), count=2), "generating")
    await wrote(house, job, veo_video)
    await house.deliver(job)
    assert (await house.job(job.id)).stage is Stage.GENERATING
    house.clock.advance(house.config.config.generation_timeout_s)
    await house.deliver(job)
    done = await house.job(job.id)
    assert (done.stage, done.refunded) == (Stage.COMPLETED, 40)
    house.check()


@pytest.mark.parametrize("error", [Unavailable, StorageRefused, RuntimeError])
async def test_unlistable_bucket_postpones_timeouts_by_an_hour(house: House, veo_video: bytes, error: Any) -> None:
    house.script(looks=[OSError("no route")])
    job = await house.until(await house.submit_veo(await house.sign_up()), "generating")
    await wrote(house, job, veo_video)
    house.clock.advance(house.config.config.generation_timeout_s)
    house.media.fail("list", times=3, error=error)
    for _ in range(3):
        assert await house.deliver(job) is TaskResult.RETRY
    assert await house.deliver(job) is TaskResult.ACK
    assert (await house.job(job.id)).stage is Stage.COMPLETED


@pytest.mark.parametrize("stage", ["generating", "uncertain"])
async def test_permanently_unlistable_bucket_does_not_hold_jobs_forever(house: House, stage: str) -> None:
    house.script(creates=[None if stage == "generating" else ConnectionError("cut")], looks=[OSError("no route")])
    job = await house.until(await house.submit_veo(await house.sign_up()), stage)
    house.media.fail("list", times=10_000, error=StorageRefused)
    ended = await house.run(job, lambda job: job.final)
    assert ended.stage is Stage.FAILED
    assert ended.completed_at is not None
    assert ended.attempt_started_at is not None
    waited_s = (ended.completed_at - ended.attempt_started_at).total_seconds()
    assert waited_s > house.config.config.storing_timeout_s
    assert house.amounts(job) == [-40, 40]


async def test_failed_poll_after_the_deadline_fails_with_refund(house: House) -> None:
    house.script(looks=[OSError("no route")])
    job = await house.until(await house.submit(await house.sign_up()), "generating")
    house.clock.advance(house.config.config.generation_timeout_s)
    assert await house.deliver(job) is TaskResult.ACK
    failed = await house.job(job.id)
    assert failed.error is not None
    assert failed.error.code == "GENERATION_TIMEOUT"
    house.check()


async def test_video_found_at_the_deadline_counts(house: House) -> None:
    job = await house.until(await house.submit(await house.sign_up()), "generating")
    house.clock.advance(house.config.config.generation_timeout_s)
    await house.deliver(job)
    assert (await house.job(job.id)).stage is Stage.COMPLETED


async def test_concurrent_polls_store_once(house: House) -> None:
    job = await house.until(await house.submit(await house.sign_up()), "generating")
    await asyncio.gather(house.deliver(job, job.step), house.deliver(job, job.step))
    assert (await house.job(job.id)).stage is Stage.COMPLETED
    assert len(house.omni.fetches) == 1
    house.check()


async def test_cancel_before_the_video_arrives_stands(house: House) -> None:
    caller = await house.sign_up()
    job = await house.until(await house.submit(caller), "generating")

    async def canceled() -> None:
        await submission.cancel(house.services, caller, job.id)

    house.store.before("commit", canceled)
    await house.deliver(job)
    assert (await house.job(job.id)).stage is Stage.CANCELED
    assert house.omni.fetches == []
    house.check()


async def test_delivery_losing_the_race_to_store_is_retried(house: House) -> None:
    job = await house.until(await house.submit(await house.sign_up()), "generating")
    await house.omni.poll(job.operation or "")
    uris = house.omni.started[job.operation or ""].uris
    await apply(house.services, job.id, events.GenerationFinished(job.step, "dead", uris))
    house.clock.advance(LONGER_THAN_THE_LEASE_S)
    storing_job = await house.job(job.id)

    async def rival() -> None:
        await apply(house.services, job.id, events.LeaseRequested(storing_job.step, "rival"))

    house.store.before("commit", rival)
    assert await house.deliver(job) is TaskResult.RETRY
    assert house.omni.fetches == []


async def test_storing_resumed_too_late_fails_with_refund(house: House) -> None:
    job = await house.until(await house.submit(await house.sign_up()), "generating")
    await apply(house.services, job.id, events.GenerationFinished(job.step, "dead", ("https://x",)))
    house.clock.advance(house.config.config.storing_timeout_s)
    assert await house.deliver(job) is TaskResult.ACK
    assert (await house.job(job.id)).stage is Stage.FAILED
    house.check()


# --- waiting ---


async def test_waiting_job_starts_when_another_ends(house: House) -> None:
    caller = await house.sign_up()
    others = [await house.submit(caller) for _ in range(2)]
    house.configure(active_jobs_limit=2)
    job = await house.submit(await house.sign_up("bob"))
    account = await house.account("bob")
    # Nothing makes a job wait yet; the stage is the core's.
    await house.store.commit(
        [job.changed(stage=Stage.WAITING, account="alice"), account.changed(active_jobs=(), change_id="x")]
    )
    assert await house.deliver(job) is TaskResult.ACK
    assert (await house.job(job.id)).stage is Stage.WAITING
    await submission.cancel(house.services, caller, others[0].id)
    await house.deliver(job)
    assert (await house.job(job.id)).stage is Stage.QUEUED
    assert (await house.account()).active_jobs == (others[1].id, job.id)


# --- tidying ---


async def test_canceled_generation_is_stopped_with_nothing_left_due(house: House) -> None:
    caller = await house.sign_up()
    job = await house.until(await house.submit(caller), "generating")
    await submission.cancel(house.services, caller, job.id)
    done = await house.run(job)
    assert house.omni.started[job.operation or ""].cancelled
    assert done.files_removed_at is not None
    assert await house.files() == []


async def test_late_output_of_a_canceled_generation_is_removed(house: House) -> None:
    caller = await house.sign_up()
    house.script(looks=[Running(), Running(), Running(), Videos()])
    job = await house.until(await house.submit_veo(caller), "generating")
    await submission.cancel(house.services, caller, job.id)
    await house.run(job)
    assert house.veo.started[job.operation or ""].uris
    assert await house.files() == []


async def test_video_after_the_timeout_is_removed_counted_and_free(house: House, capsys: Any) -> None:
    house.script(looks=[Running()] * 100)
    job = await house.run(await house.submit_veo(await house.sign_up()), lambda job: job.final)
    house.veo.started[job.operation or ""].script.looks = [Videos()]
    await house.run(job)
    assert await house.files() == []
    assert capsys.readouterr().out.count('"late_success"') == 1
    assert house.amounts(job) == [-40, 40]


async def test_files_after_an_uncertain_job_failed_are_removed_and_counted(
    house: House, veo_video: bytes, capsys: Any
) -> None:
    house.script(creates=[ConnectionError("cut")])
    job = await house.run(await house.submit_veo(await house.sign_up()), lambda job: job.final)
    await house.media.write(f"{job.prefix}late.mp4", lambda file: file.write(veo_video) and None, "video/mp4")
    await house.run(job)
    assert await house.files() == []
    assert '"late_success"' in capsys.readouterr().out


async def test_unreachable_late_generation_is_polled_for_a_day(house: House) -> None:
    caller = await house.sign_up()
    house.script(looks=[OSError("no route")])
    job = await house.until(await house.submit(caller), "generating")
    await submission.cancel(house.services, caller, job.id)
    began = house.clock()
    await house.run(job)
    assert 23 * 3_600 < (house.clock() - began).total_seconds() < 26 * 3_600


async def test_job_canceled_before_its_create_needs_no_cleanup(house: House) -> None:
    caller = await house.sign_up()
    job = await submission.cancel(house.services, caller, (await house.submit(caller)).id)
    assert job.due_at is None


async def test_late_output_of_an_abandoned_attempt_is_removed_but_the_video_stays(
    house: House, veo_video: bytes
) -> None:
    house.configure(uncertain_policy="restart_once")
    house.script(creates=[ConnectionError("cut"), None])
    job = await house.run(await house.submit_veo(await house.sign_up()), lambda job: job.final)
    late = f"{job.files_prefix}1/late.mp4"
    await house.media.write(late, lambda file: file.write(veo_video) and None, "video/mp4")
    done = await house.run(job)
    assert done.files_removed_at is None
    assert late not in await house.files()
    house.check()


async def test_deleting_a_video_removes_its_files_and_poster(house: House) -> None:
    caller = await house.sign_up()
    job = await house.run(await house.submit(caller))
    assert len(await house.files()) == 2
    await queries.delete(house.services, caller, job.id)
    await house.run(job)
    assert await house.files() == []
    house.check()


async def test_bucket_outage_postpones_file_removal(house: House) -> None:
    caller = await house.sign_up()
    job = await house.run(await house.submit(caller))
    await queries.delete(house.services, caller, job.id)
    house.media.fail("delete")
    assert await house.deliver(job) is TaskResult.RETRY
    assert (await house.job(job.id)).due_at is not None
    await house.run(job)
    assert await house.files() == []


async def test_cancel_while_storing_leaves_no_files(house: House) -> None:
    caller = await house.sign_up()
    job = await house.until(await house.submit(caller), "generating")

    async def canceled_and_tidied() -> None:
        await submission.cancel(house.services, caller, job.id)
        await house.deliver(await house.job(job.id))

    # The task's delivery is in progress, so that only the cancel's own task is in the queue.
    house.queue.purge()
    house.media.before("write", canceled_and_tidied)
    await house.deliver(job)
    assert (await house.job(job.id)).stage is Stage.CANCELED
    if house.queue.entries():
        await house.run(job)
    assert await house.files() == []


async def test_name_after_completion_keeps_the_video(house: House) -> None:
    house.script(creates=[LostAnswer()])
    job = await house.run(await house.submit_veo(await house.sign_up()))
    assert job.stage is Stage.COMPLETED
    # The create's answer came after all, to a holder that could not write it down for minutes.
    await worker._keep_name(house.services, job, f"operations/{job.id}-0")
    if house.queue.entries():
        await house.run(job)
    assert len(await house.files()) == 2
    house.check()


def test_every_unfinished_stage_has_its_own_action() -> None:
    assert set(worker._ACTIONS) == lifecycle.UNFINISHED


def test_time_limits_are_consistent() -> None:
    from local.memory.queue import DISPATCH_DEADLINE_S

    assert lifecycle.CREATE_TIMEOUT_S < lifecycle.LEASE_S < 900 < DISPATCH_DEADLINE_S
    assert worker.KEEP_NAME_FOR_S < 900
    assert storing.RENEW_EVERY_S < lifecycle.LEASE_S / 2
