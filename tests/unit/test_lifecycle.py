"""The life of a job, told by the core alone: no store, no queue, no clock but the `now` that each line says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared import events as e
from shared import ledger, lifecycle
from shared.errors import ApiError
from shared.lifecycle import TRANSITIONS, Change, Submission, decide
from shared.models import FINAL, Account, Job, LiveConfig, Output, Stage, Status, Transaction, VideoRequest

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONFIG = LiveConfig(signup_credits=500)
REQUEST = VideoRequest(
    prompt="a paper boat", model="veo-3.1-fast", seconds=8, aspect_ratio="16:9", resolution="720p", generate_audio=True
)
STORED = Output(uri="gs://b/x.mp4", object="x.mp4", size_bytes=2_000, crc32c="AAAAAA==", seconds=8.0)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def account(**changes: Any) -> Account:
    fresh = Account(id="alice", issuer="i", sub="s", tenant="default", created_at=NOW, change_id="x")
    opened, _ = ledger.open_account(fresh, True, CONFIG, NOW)
    assert isinstance(opened, Account)
    return opened.changed(**changes)


def submitted(config: LiveConfig = CONFIG, **request: Any) -> Change:
    asked = REQUEST.model_copy(update=request)
    plan = Submission("video_abc", asked, 80 * asked.count, expected_s=60.0, fingerprint="f", provider="vertex")
    return lifecycle.submit(plan, account(), NOW, config)


class Life:
    """One job driven by events; keeps the ledger and the tasks that came of them."""

    def __init__(self, config: LiveConfig = CONFIG, **request: Any) -> None:
        self.config = config
        change = submitted(config, **request)
        assert change.account is not None
        self.job: Job = change.job
        self.account: Account = change.account
        self.entries: list[Transaction] = list(change.transactions)
        self.tasks = [change.task]
        self.signals: list[str] = []

    def hear(self, event: e.Event, at: datetime = NOW) -> Change | None:
        change = decide(self.job, self.account, event, at, self.config)
        if change is not None:
            self.job = change.job
            self.account = change.account or self.account
            self.entries += change.transactions
            self.tasks += [change.task] if change.task else []
            self.signals += change.signals
        return change

    def claimed(self, at: datetime = NOW) -> Life:
        self.hear(e.Claim(self.job.step, "h1"), at)
        return self

    def generating(self, at: datetime = NOW) -> Life:
        self.claimed(at).hear(e.Accepted(self.job.attempt, "op-1"), at)
        return self

    def storing(self, at: datetime = NOW, uris: tuple[str, ...] = ("gs://b/x.mp4",), filtered: int = 0) -> Life:
        self.generating(at).hear(e.Finished(self.job.step, "h2", uris, filtered, "why"), at)
        return self

    def completed(self, at: datetime = NOW) -> Life:
        self.storing(at).hear(e.Stored(self.job.step, "h2", (STORED,)), at)
        return self

    def uncertain(self, at: datetime = NOW) -> Life:
        self.claimed(at).hear(e.Lost(self.job.step, "h1"), at)
        return self

    @property
    def amounts(self) -> list[int]:
        return [entry.amount for entry in self.entries]


# --- the happy way ---


def test_a_submission_charges_and_queues_in_one_change() -> None:
    change = submitted()
    assert change.job.stage is Stage.QUEUED
    assert change.job.status is Status.QUEUED
    assert change.account is not None
    assert change.account.balance == 420
    assert change.account.active_jobs == ("video_abc",)
    assert [(t.id, t.amount, t.balance_after, t.sequence) for t in change.transactions] == [
        ("video_abc-charge", -80, 420, 2)
    ]


def test_the_first_task_goes_to_the_models_own_queue_and_names_start_with_the_random_part() -> None:
    task = submitted().task
    assert task is not None
    assert (task.ref.queue, task.ref.name, task.body) == (
        "generate-veo-3-1-fast",
        "abc-0",
        {"job": "video_abc", "step": 0},
    )


def test_a_job_goes_from_queued_to_completed_and_keeps_its_charge() -> None:
    life = Life()
    stages = [life.job.stage]
    for step in (life.claimed, life.generating):
        step()
    life = Life().completed()
    assert stages == [Stage.QUEUED]
    assert life.job.stage is Stage.COMPLETED
    assert life.job.status is Status.COMPLETED
    assert life.amounts == [-80]
    assert life.account.active_jobs == ()
    assert life.job.due_at is None
    assert life.job.expires_at == later(365 * 86_400)


def test_a_lease_is_held_for_its_time_and_the_job_is_due_when_it_ends() -> None:
    job = Life().claimed().job
    assert job.lease is not None
    assert job.lease.until == later(lifecycle.LEASE_S)
    assert job.due_at == job.lease.until


def test_every_step_makes_a_new_task_under_a_new_name() -> None:
    life = Life().generating()
    life.hear(e.Running(life.job.step))
    names = [task.ref.name for task in life.tasks if task]
    assert names == ["abc-0", "abc-1", "abc-2"]
    assert [task.ref.queue for task in life.tasks if task][1:] == ["poll", "poll"]


def test_storing_goes_on_in_the_delivery_that_learned_of_the_video() -> None:
    life = Life().generating()
    change = life.hear(e.Finished(life.job.step, "h2", ("gs://b/x.mp4",)))
    assert change is not None
    assert change.task is None
    assert life.job.lease is not None
    assert life.job.lease.holder == "h2"


# --- what is not heard ---


def test_a_step_event_of_an_older_step_changes_nothing() -> None:
    life = Life().generating()
    assert life.hear(e.Running(life.job.step - 1)) is None


@pytest.mark.parametrize("event", [e.Running, e.Claim, e.Stored, e.Cancel, e.Finished, e.NotStored])
def test_an_ended_job_hears_no_more_of_its_generation(event: type[e.Event]) -> None:
    life = Life().completed()
    arguments: dict[type[e.Event], tuple[Any, ...]] = {
        e.Claim: (life.job.step, "h"),
        e.Running: (life.job.step,),
        e.Stored: (life.job.step, "h2", (STORED,)),
        e.Finished: (life.job.step, "h", ("gs://b/x.mp4",)),
        e.NotStored: (life.job.step, "h2", "STORING_FAILED", "r"),
        e.Cancel: (),
    }
    assert life.hear(event(*arguments[event])) is None
    assert life.amounts == [-80]


def test_a_second_claim_during_a_live_lease_is_not_heard() -> None:
    life = Life().storing()
    assert life.hear(e.Claim(life.job.step, "other")) is None


def test_a_dead_storing_lease_can_be_claimed() -> None:
    life = Life().storing()
    life.hear(e.Claim(life.job.step, "other"), later(lifecycle.LEASE_S))
    assert life.job.lease is not None
    assert life.job.lease.holder == "other"


@pytest.mark.parametrize(
    "event",
    [
        lambda step: e.Stored(step, "zombie", (STORED,)),
        lambda step: e.NotStored(step, "zombie", "STORING_FAILED", "r"),
        lambda step: e.Renew(step, "zombie"),
    ],
)
def test_only_the_holder_of_the_lease_is_heard_while_storing(event: Any) -> None:
    life = Life().storing()
    assert life.hear(event(life.job.step)) is None


@pytest.mark.parametrize(
    "event", [lambda s: e.Refused(s, "zombie", "PROMPT_REJECTED", "r"), lambda s: e.Deferred(s, "zombie", 1)]
)
def test_only_the_holder_of_the_lease_is_heard_while_starting(event: Any) -> None:
    life = Life().claimed()
    assert life.hear(event(life.job.step)) is None


def test_every_event_has_a_row_in_the_table_and_a_decision() -> None:
    kinds = {kind for kind in vars(e).values() if isinstance(kind, type) and issubclass(kind, e.Event)}
    assert set(TRANSITIONS) == kinds - {e.Event, e.StepEvent}
    assert set(lifecycle._DECISIONS) == set(TRANSITIONS)


# --- the provider says no, or nothing ---


def test_a_busy_provider_costs_no_attempt_and_a_task_comes_after_the_wait() -> None:
    life = Life().claimed()
    change = life.hear(e.Deferred(life.job.step, "h1", 30.0))
    assert change is not None
    assert change.task is not None
    assert (change.task.ref.queue, change.task.at) == ("generate-veo-3-1-fast", later(30))
    assert (life.job.stage, life.job.attempt, life.job.step, life.job.lease) == (Stage.QUEUED, 0, 1, None)
    assert life.job.due_at == later(30)


@pytest.mark.parametrize(
    ("at_s", "claimed"), [(0, False), (2, False), (6, False), (14, False), (599, False), (600, True)]
)
def test_no_claim_is_granted_before_the_providers_retry_after_is_over(at_s: int, claimed: bool) -> None:
    """However often the queue brings the task: after 2, 6, and 14 s."""
    life = Life().claimed()
    life.hear(e.Deferred(life.job.step, "h1", 600.0))
    change = life.hear(e.Claim(life.job.step, "h2"), later(at_s))
    assert (change is not None) == claimed
    assert life.job.stage is (Stage.STARTING if claimed else Stage.QUEUED)


def test_a_refusal_before_any_claim_fails_the_job_and_counts_no_attempt() -> None:
    life = Life()
    life.hear(e.Refused(life.job.step, None, "INPUT_GONE", "gone"))
    assert (life.job.stage, life.job.attempt, life.job.due_at) == (Stage.FAILED, 0, None)
    assert life.amounts == [-80, 80]


def test_a_refusal_fails_the_job_with_a_full_refund() -> None:
    life = Life().claimed()
    life.hear(e.Refused(life.job.step, "h1", "PROMPT_REJECTED", "bad words"))
    assert life.job.stage is Stage.FAILED
    assert life.job.error is not None
    assert (life.job.error.code, life.job.error.reason) == ("PROMPT_REJECTED", "bad words")
    assert life.amounts == [-80, 80]
    assert life.account.balance == 500
    assert life.job.due_at is None


def test_a_lost_answer_makes_the_job_uncertain_and_starts_nothing() -> None:
    life = Life().uncertain()
    assert life.job.stage is Stage.UNCERTAIN
    assert life.job.attempt == 1
    assert life.signals == ["uncertain_start"]


def test_a_dead_lease_of_another_holder_makes_the_job_uncertain_but_a_live_one_does_not() -> None:
    life = Life().claimed()
    assert life.hear(e.Lost(life.job.step, "other"), later(lifecycle.LEASE_S - 1)) is None
    life.hear(e.Lost(life.job.step, "other"), later(lifecycle.LEASE_S))
    assert life.job.stage is Stage.UNCERTAIN


def test_the_name_is_kept_for_its_attempt_whatever_the_step() -> None:
    life = Life().uncertain()
    life.hear(e.Accepted(1, "op-late"))
    assert (life.job.stage, life.job.operation) == (Stage.GENERATING, "op-late")


def test_a_second_name_for_the_same_attempt_is_not_heard() -> None:
    life = Life().generating()
    assert life.hear(e.Accepted(1, "op-2")) is None
    assert life.job.operation == "op-1"


def test_an_ended_job_keeps_the_name_so_that_what_it_still_delivers_can_be_removed() -> None:
    life = Life().claimed()
    life.hear(e.Cancel())
    life.hear(e.Accepted(1, "op-late"))
    assert (life.job.stage, life.job.operation) == (Stage.CANCELED, "op-late")
    assert life.job.due_at == NOW


def test_an_uncertain_job_waits_the_longest_generation_and_then_fails_with_a_refund() -> None:
    life = Life().uncertain()
    life.hear(e.Unseen(life.job.step), later(359))
    assert life.job.stage is Stage.UNCERTAIN
    life.hear(e.Unseen(life.job.step), later(360))
    assert life.job.stage is Stage.FAILED
    assert life.job.error is not None
    assert life.job.error.code == "START_UNCERTAIN"
    assert life.amounts == [-80, 80]
    assert life.signals[-1] == "abandoned_generation"


def test_restart_once_starts_a_second_attempt_and_never_a_third() -> None:
    life = Life(CONFIG.model_copy(update={"uncertain_policy": "restart_once"})).uncertain()
    life.hear(e.Unseen(life.job.step), later(360))
    assert life.job.stage is Stage.QUEUED
    life.claimed(later(361)).hear(e.Lost(life.job.step, "h1"), later(361))
    assert life.job.attempt == 2
    life.hear(e.Unseen(life.job.step), later(361 + 360))
    assert life.job.stage is Stage.FAILED


def test_a_name_that_comes_before_the_restart_saves_it() -> None:
    life = Life(CONFIG.model_copy(update={"uncertain_policy": "restart_once"})).uncertain()
    life.hear(e.Unseen(life.job.step), later(360))
    life.hear(e.Accepted(1, "op-late"), later(361))
    assert (life.job.stage, life.job.attempt) == (Stage.GENERATING, 1)


@pytest.mark.parametrize("stage", ["uncertain", "generating"])
def test_files_that_are_found_of_an_attempt_are_adopted(stage: str) -> None:
    life: Life = getattr(Life(), stage)()
    life.hear(e.Finished(life.job.step, "h2", ("gs://b/x.mp4",), found=True))
    assert life.job.stage is Stage.STORING
    assert "adopted" in life.signals


# --- looking ---


def test_a_generation_that_outlives_its_deadline_fails_with_a_refund_and_is_watched_on() -> None:
    life = Life().generating()
    life.hear(e.Running(life.job.step), later(899))
    assert life.job.stage is Stage.GENERATING
    life.hear(e.Running(life.job.step), later(900))
    assert life.job.stage is Stage.FAILED
    assert life.job.error is not None
    assert life.job.error.code == "GENERATION_TIMEOUT"
    assert life.amounts == [-80, 80]
    assert life.job.due_at == later(900)


def test_a_look_is_never_planned_after_the_deadline() -> None:
    life = Life().generating()
    life.hear(e.Running(life.job.step), later(890))
    assert life.job.due_at is not None
    assert life.job.due_at <= later(900)


def test_a_video_that_was_filtered_whole_fails_with_the_reason_and_a_refund() -> None:
    life = Life().generating()
    life.hear(e.Finished(life.job.step, "h", (), 1, "violence"))
    assert life.job.error is not None
    assert (life.job.error.code, life.job.error.reason) == ("SAFETY_BLOCKED", "violence")
    assert life.amounts == [-80, 80]


def test_done_without_a_video_is_a_failure_of_the_provider() -> None:
    life = Life().generating()
    life.hear(e.Finished(life.job.step, "h", ()))
    assert life.job.error is not None
    assert life.job.error.code == "PROVIDER_ERROR"


def test_partly_filtered_videos_are_refunded_in_part_when_the_rest_is_stored() -> None:
    life = Life(count=4).storing(uris=("gs://b/0.mp4", "gs://b/1.mp4", "gs://b/2.mp4"), filtered=1)
    life.hear(e.Stored(life.job.step, "h2", (STORED, STORED, STORED)))
    assert life.job.stage is Stage.COMPLETED
    assert life.amounts == [-320, 80]
    assert life.job.refunded == 80


# --- storing ---


def test_a_storing_that_failed_comes_again_later_each_time() -> None:
    life = Life().storing()
    life.hear(e.NotStored(life.job.step, "h2", "STORING_FAILED", "cut"))
    assert life.job.due_at == later(5)
    life.hear(e.Claim(life.job.step, "h3"))
    life.hear(e.NotStored(life.job.step, "h3", "STORING_FAILED", "cut"))
    assert life.job.due_at == later(10)
    assert life.job.storing_tries == 2


@pytest.mark.parametrize(("at_s", "permanent"), [(3_600, False), (1, True)])
def test_storing_ends_in_a_refund_at_its_deadline_or_when_no_try_can_help(at_s: int, permanent: bool) -> None:
    life = Life().storing()
    life.hear(e.NotStored(life.job.step, "h2", "INVALID_VIDEO", "r", permanent), later(at_s))
    assert life.job.stage is Stage.FAILED
    assert life.amounts == [-80, 80]


def test_a_renewed_lease_lives_on() -> None:
    life = Life().storing()
    life.hear(e.Renew(life.job.step, "h2"), later(60))
    assert life.job.due_at == later(60 + lifecycle.LEASE_S)


# --- cancel, delete, expire, tidy ---


def test_canceling_a_queued_job_refunds_it_whatever_the_policy() -> None:
    life = Life(CONFIG.model_copy(update={"cancel_refund": "none"}))
    life.hear(e.Cancel())
    assert life.job.stage is Stage.CANCELED
    assert life.amounts == [-80, 80]
    assert life.job.due_at is None


@pytest.mark.parametrize(("policy", "amounts"), [("full", [-80, 80]), ("by_model", [-80]), ("none", [-80])])
def test_canceling_a_started_job_refunds_as_the_policy_says(policy: str, amounts: list[int]) -> None:
    life = Life(CONFIG.model_copy(update={"cancel_refund": policy})).generating()
    life.hear(e.Cancel())
    assert life.amounts == amounts
    assert life.account.active_jobs == ()
    assert life.job.due_at == NOW


def test_deleting_erases_the_content_and_keeps_the_fingerprint() -> None:
    life = Life().completed()
    life.hear(e.Delete(), later(5))
    assert (life.job.request.prompt, life.job.outputs, life.job.fingerprint) == ("", (), "f")
    assert life.job.deleted_at == later(5)
    assert life.job.stage is Stage.COMPLETED
    assert life.job.due_at is not None


def test_deleting_twice_changes_nothing_more() -> None:
    life = Life().completed()
    life.hear(e.Delete())
    assert life.hear(e.Delete()) is None


def test_a_video_expires_only_when_its_time_is_over() -> None:
    life = Life().completed()
    assert life.hear(e.Expire(), later(364 * 86_400)) is None
    life.hear(e.Expire(), later(365 * 86_400))
    assert life.job.outputs == ()
    assert life.job.due_at is not None


def test_tidying_marks_the_files_as_removed_and_leaves_nothing_due() -> None:
    life = Life().generating()
    life.hear(e.Cancel())
    life.hear(e.Tidied(life.job.step, again=False))
    assert life.job.files_removed_at == NOW
    assert life.job.due_at is None


def test_a_straggling_generation_is_watched_for_a_day_and_no_longer() -> None:
    life = Life().generating()
    life.hear(e.Cancel())
    life.hear(e.Tidied(life.job.step, again=True), later(10))
    assert life.job.due_at == later(310)
    life.hear(e.Tidied(life.job.step, again=True), later(lifecycle.TIDY_FOR_S))
    assert life.job.due_at is None


# --- what fell ---


def test_a_fallen_task_is_put_back_under_a_new_name_after_a_minute() -> None:
    life = Life()
    assert life.hear(e.Fallen(0), later(59)) is None
    life.hear(e.Fallen(0), later(60))
    assert life.job.task.name == "abc-1"
    assert life.job.task.queue == "generate-veo-3-1-fast"
    assert life.job.stage is Stage.QUEUED


def test_a_job_with_a_live_lease_has_not_fallen() -> None:
    life = Life().storing()
    assert life.hear(e.Fallen(life.job.step), later(100)) is None


def test_a_dead_lease_survives_the_sweep_so_that_the_attempt_is_not_forgotten() -> None:
    life = Life().claimed()
    life.hear(e.Fallen(life.job.step), later(lifecycle.LEASE_S + 60))
    assert (life.job.stage, life.job.lease is not None) == (Stage.STARTING, True)


def test_a_job_that_waited_too_long_in_the_queue_fails_with_a_refund() -> None:
    life = Life()
    life.hear(e.Claim(0, "h"), later(21_600))
    assert life.job.error is not None
    assert life.job.error.code == "QUEUE_TIMEOUT"
    assert life.amounts == [-80, 80]


# --- waiting ---


def test_a_waiting_job_enters_when_a_slot_is_free_and_not_before() -> None:
    life = Life()
    life.job = life.job.changed(stage=Stage.WAITING)
    life.account = life.account.changed(active_jobs=("a", "b", "c"))
    life.hear(e.Enter(0))
    assert life.job.stage is Stage.WAITING
    assert life.job.due_at == later(30)
    life.account = life.account.changed(active_jobs=("a", "b"))
    life.hear(e.Enter(1))
    assert life.job.stage is Stage.QUEUED
    assert life.account.active_jobs == ("a", "b", "video_abc")


# --- money ---


def test_too_few_credits_are_refused_with_the_figures() -> None:
    plan = Submission("video_abc", REQUEST, 80, 60.0, "f", "vertex")
    with pytest.raises(ApiError) as refused:
        lifecycle.submit(plan, account(balance=79), NOW, CONFIG)
    assert refused.value.code == "INSUFFICIENT_CREDITS"
    assert refused.value.details == {"required": 80, "available": 79, "deficit": 1}


def test_the_limit_of_active_jobs_is_refused_with_their_list() -> None:
    plan = Submission("video_abc", REQUEST, 80, 60.0, "f", "vertex")
    with pytest.raises(ApiError) as refused:
        lifecycle.submit(plan, account(active_jobs=("a", "b", "c")), NOW, CONFIG)
    assert refused.value.code == "TOO_MANY_ACTIVE_JOBS"
    assert refused.value.details["active_jobs"] == ["a", "b", "c"]


def test_exactly_enough_credits_are_enough() -> None:
    plan = Submission("video_abc", REQUEST, 80, 60.0, "f", "vertex")
    change = lifecycle.submit(plan, account(balance=80), NOW, CONFIG)
    assert change.account is not None
    assert change.account.balance == 0


def test_only_a_verified_address_earns_the_signup_credits() -> None:
    fresh = Account(id="bob", issuer="i", sub="s", tenant="default", created_at=NOW)
    (unverified,) = ledger.open_account(fresh, False, CONFIG, NOW)
    assert isinstance(unverified, Account)
    assert unverified.balance == 0
    verified, entry = ledger.open_account(fresh, True, CONFIG, NOW)
    assert isinstance(verified, Account)
    assert isinstance(entry, Transaction)
    assert (verified.balance, verified.sequence, entry.id) == (500, 1, "bob-signup")


def test_a_grant_is_one_entry_under_the_id_of_its_key() -> None:
    after, entry = ledger.grant(account(), "grant-k", 70, "thanks", NOW)
    assert isinstance(after, Account)
    assert (after.balance, entry.id) == (570, "grant-k")


def test_a_balance_never_goes_below_zero() -> None:
    with pytest.raises(AssertionError):
        ledger.post(account(balance=5), "x", "charge", -6, "d", NOW)


# --- every unfinished job can be found again ---


@pytest.mark.parametrize("stage", ["claimed", "generating", "storing", "uncertain"])
def test_an_unfinished_job_is_due_no_later_than_its_deadline(stage: str) -> None:
    life = Life()
    getattr(life, stage)()
    assert life.job.due_at is not None
    assert life.job.due_at <= lifecycle.deadline(life.job, CONFIG)


@pytest.mark.parametrize("final", sorted(FINAL))
def test_the_account_is_needed_whenever_an_event_may_end_the_job(final: Stage) -> None:
    life = Life().generating()
    assert not lifecycle.needs_account(life.job, e.Running(1), NOW, CONFIG)
    assert lifecycle.needs_account(life.job, e.Running(1), later(900), CONFIG)
    assert lifecycle.needs_account(life.job, e.Cancel(), NOW, CONFIG)
    assert not lifecycle.needs_account(life.job.changed(stage=final), e.Cancel(), NOW, CONFIG)


def test_a_change_lists_its_documents_with_the_job_first() -> None:
    change = submitted()
    assert [type(document) for document in change.documents] == [Job, Account, Transaction]
    assert replace(change, account=None, transactions=()).documents == (change.job,)


# --- deadlines, without a delivery ---

QUEUE_TIMEOUT_S = CONFIG.queue_timeout_s


@pytest.mark.parametrize(
    ("life", "overdue_s", "stage", "code", "amounts"),
    [
        (lambda: Life(), QUEUE_TIMEOUT_S, Stage.FAILED, "QUEUE_TIMEOUT", [-80, 80]),
        (lambda: Life().claimed(), lifecycle.LEASE_S, Stage.UNCERTAIN, None, [-80]),
        (lambda: Life().uncertain(), 360, Stage.FAILED, "START_UNCERTAIN", [-80, 80]),
    ],
    ids=["queued", "starting", "uncertain"],
)
def test_a_job_past_its_deadline_is_ended_and_its_task_is_obsolete(
    life: Callable[[], Life], overdue_s: int, stage: Stage, code: str | None, amounts: list[int]
) -> None:
    it = life()
    before = it.job
    assert it.hear(e.Overdue(before.step), later(overdue_s - 1)) is None
    assert it.hear(e.Overdue(before.step - 1), later(overdue_s)) is None
    change = it.hear(e.Overdue(before.step), later(overdue_s))
    assert change is not None
    assert (it.job.stage, it.job.error and it.job.error.code) == (stage, code)
    assert change.obsolete == before.task
    assert it.amounts == amounts


def test_what_was_paid_for_is_not_given_up_without_a_last_try() -> None:
    for life in (Life().generating(), Life().storing(), Life().completed()):
        assert life.hear(e.Overdue(life.job.step), later(1_000_000)) is None


def test_only_a_step_that_is_left_without_its_delivery_makes_a_task_obsolete() -> None:
    life = Life()
    task = life.job.task
    canceled = life.hear(e.Cancel(), later(1))
    assert canceled is not None
    assert canceled.obsolete == task
    claimed = Life().hear(e.Claim(0, "h1"))
    assert claimed is not None
    assert claimed.obsolete is None
