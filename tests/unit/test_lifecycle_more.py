"""The corners of the core: what the life of an ordinary job does not reach."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import events as e
from shared import lifecycle
from shared.models import Job, LiveConfig, Stage, Transaction, Warned
from tests import invariants
from tests.unit.test_lifecycle import CONFIG, NOW, STORED, Life, later


def test_a_job_that_waited_for_a_slot_too_long_fails_with_a_refund() -> None:
    life = Life()
    life.job = life.job.changed(stage=Stage.WAITING)
    life.hear(e.Enter(0), later(21_600))
    assert life.job.error is not None
    assert life.job.error.code == "QUEUE_TIMEOUT"
    assert life.amounts == [-80, 80]


def test_a_waiting_job_needs_its_account_and_no_slot() -> None:
    job = Life().job.changed(stage=Stage.WAITING)
    assert lifecycle.needs_account(job, e.Enter(0), NOW, CONFIG)
    assert not job.holds_slot


def test_the_first_hint_is_kept_and_no_second() -> None:
    life = Life().uncertain()
    life.hear(e.Hint("op-1"))
    assert life.hear(e.Hint("op-2")) is None
    assert life.job.hinted_operation == "op-1"


def test_a_hint_for_a_job_that_knows_its_operation_is_not_heard() -> None:
    life = Life().generating()
    assert life.hear(e.Hint("op-2")) is None
    # Heard in this stage, but of an attempt whose name is known already.
    life.job = life.job.changed(stage=Stage.STARTING)
    assert life.hear(e.Hint("op-2")) is None


def test_a_name_of_another_attempt_is_not_heard() -> None:
    assert Life().uncertain().hear(e.Accepted(2, "op")) is None


def test_a_name_that_comes_after_completion_keeps_the_video() -> None:
    life = Life().uncertain()
    life.hear(e.Finished(life.job.step, "h2", ("gs://b/x.mp4",)))
    life.hear(e.Stored(life.job.step, "h2", (STORED,)))
    life.hear(e.Accepted(1, "op-late"))
    assert (life.job.stage, life.job.outputs) == (Stage.COMPLETED, (STORED,))
    life.hear(e.Tidied(life.job.step, again=False))
    assert (life.job.files_removed_at, life.job.due_at) == (None, None)


def test_storing_gets_a_last_try_after_its_time() -> None:
    """Perhaps no delivery came for an hour; a paid video is there all the same."""
    life = Life().storing()
    life.hear(e.Claim(life.job.step, "other"), later(3_700))
    assert (life.job.stage, life.job.last_tries) == (Stage.STORING, 1)
    life.hear(e.Stored(life.job.step, "other", (STORED,)), later(3_710))
    assert life.job.stage is Stage.COMPLETED
    assert life.amounts == [-80]


def test_a_last_try_that_fails_ends_the_job_with_its_refund() -> None:
    life = Life().storing()
    life.hear(e.Claim(life.job.step, "other"), later(3_700))
    life.hear(e.NotStored(life.job.step, "other", "STORAGE_REFUSED", "403"), later(3_710))
    assert life.job.error is not None
    assert life.job.error.code == "STORAGE_REFUSED"
    assert life.amounts == [-80, 80]


def test_a_video_that_kills_whoever_stores_it_is_given_up_after_some_last_tries() -> None:
    life = Life().storing()
    at_s = 3_700
    for number in range(lifecycle.LAST_TRIES):
        life.hear(e.Claim(life.job.step, f"dead {number}"), later(at_s))
        assert life.job.stage is Stage.STORING
        at_s += lifecycle.LEASE_S
    life.hear(e.Claim(life.job.step, "other"), later(at_s))
    assert life.job.error is not None
    assert life.job.error.code == "STORING_FAILED"
    assert life.amounts == [-80, 80]


def test_a_refused_second_start_leaves_the_first_ones_files_to_be_removed() -> None:
    life = Life(CONFIG.model_copy(update={"uncertain_policy": "restart_once"})).uncertain()
    life.hear(e.Unseen(life.job.step), later(360))
    life.claimed(later(360)).hear(e.Refused(life.job.step, "h1", "PROMPT_REJECTED", "r"), later(361))
    assert (life.job.stage, life.job.to_tidy) == (Stage.FAILED, True)


def test_a_provider_that_broke_ends_an_uncertain_job_too() -> None:
    life = Life().uncertain()
    life.hear(e.Broke(life.job.step, "PROVIDER_ERROR", "r"))
    assert life.job.stage is Stage.FAILED
    assert life.job.due_at is None


def test_more_videos_than_were_asked_for_are_not_kept() -> None:
    life = Life(count=1).storing(uris=("gs://b/0.mp4", "gs://b/1.mp4"))
    assert [output.uri for output in life.job.outputs] == ["gs://b/0.mp4"]
    assert life.job.filtered == 0


def test_a_second_attempt_that_completes_leaves_the_first_to_be_tidied() -> None:
    life = Life(CONFIG.model_copy(update={"uncertain_policy": "restart_once"})).uncertain()
    life.hear(e.Unseen(life.job.step), later(360))
    life.storing(later(361)).hear(e.Stored(life.job.step, "h2", (STORED,)), later(362))
    assert life.job.stage is Stage.COMPLETED
    assert life.job.due_at == later(362)
    life.hear(e.Tidied(life.job.step, again=False), later(363))
    assert (life.job.files_removed_at, life.job.due_at) == (None, None)


def test_a_view_is_noted_once_a_day_and_moves_the_end() -> None:
    life = Life().completed()
    assert life.hear(e.Viewed(), later(86_399)) is None
    life.hear(e.Viewed(), later(86_400))
    assert life.job.expires_at == later(86_400 + 365 * 86_400)
    assert life.hear(e.Viewed(), later(86_400 + 60)) is None


def test_a_shorter_retention_does_not_take_back_what_was_promised() -> None:
    life = Life().completed()
    life.config = CONFIG.model_copy(update={"retention_days": 1})
    life.hear(e.Viewed(), later(10 * 86_400))
    assert life.job.expires_at == later(365 * 86_400)


def test_an_expired_or_deleted_video_hears_no_view() -> None:
    life = Life().completed()
    life.hear(e.Delete(), later(10))
    assert life.hear(e.Viewed(), later(5 * 86_400)) is None


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_has_a_deadline(stage: Stage) -> None:
    job = Life().job.changed(stage=stage, lease=None)
    assert lifecycle.deadline(job, CONFIG) > job.created_at


def test_a_model_that_left_the_catalogue_still_has_a_queue_and_a_longest_time() -> None:
    life = Life()
    life.job = life.job.changed(request=life.job.request.model_copy(update={"model": "veo-2"}))
    life.hear(e.Fallen(0), later(60))
    assert life.job.task.queue == lifecycle.POLL_QUEUE
    life.claimed(later(61)).hear(e.Lost(life.job.step, "h1"), later(61))
    assert lifecycle.deadline(life.job, CONFIG) == later(61 + lifecycle.DEFAULT_LONGEST_S)


def test_the_task_of_a_step_is_due_when_the_job_is() -> None:
    life = Life().generating()
    task = lifecycle.current_task(life.job)
    assert (task.ref, task.at, task.path) == (life.job.task, life.job.due_at, "/tasks/step")
    assert task.body == {"job": life.job.id, "step": life.job.step}


# --- whatever happens, in whatever order ---

MOVED = Warned(code="FAILED_OVER", message="another")
MAY_HAPPEN = (
    lambda job, holder: e.Claim(job.step, holder),
    lambda job, holder: e.Renew(job.step, holder),
    lambda job, holder: e.Accepted(max(job.attempt, 1), f"op-{job.attempt}"),
    lambda job, holder: e.Accepted(1, "op-late"),
    lambda job, holder: e.Deferred(job.step, holder, 30),
    lambda job, holder: e.Switched(job.step, holder, "gemini", job.request, 40.0, MOVED),
    lambda job, holder: e.Refused(job.step, holder, "PROMPT_REJECTED", "r"),
    lambda job, holder: e.Lost(job.step, holder),
    lambda job, holder: e.Unseen(job.step),
    lambda job, holder: e.Running(job.step),
    lambda job, holder: e.Running(job.step - 1),
    lambda job, holder: e.Finished(job.step, holder, ("gs://b/0.mp4", "gs://b/1.mp4")),
    lambda job, holder: e.Finished(job.step, holder, ("gs://b/0.mp4",), 1, "why"),
    # Files are all that is found of an uncertain attempt, so there it is never finished without any.
    lambda job, holder: e.Unseen(job.step) if job.stage == "uncertain" else e.Finished(job.step, holder, (), 2, "why"),
    lambda job, holder: e.Broke(job.step, "PROVIDER_ERROR", "r"),
    lambda job, holder: e.Stored(job.step, holder, (STORED,) * len(job.outputs)),
    lambda job, holder: e.NotStored(job.step, holder, "STORING_FAILED", "r"),
    lambda job, holder: e.NotStored(job.step, holder, "INVALID_VIDEO", "r", permanent=True),
    lambda job, holder: e.Cancel(),
    lambda job, holder: e.Hint("op-hint"),
    lambda job, holder: e.Fallen(job.step),
    lambda job, holder: e.Overdue(job.step),
    lambda job, holder: e.Delete(),
    lambda job, holder: e.Viewed(),
    lambda job, holder: e.Expire(),
    lambda job, holder: e.Tidied(job.step, again=True),
    lambda job, holder: e.LateSuccess(),
)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_all_promises_hold_after_every_event_in_any_order(data: st.DataObject) -> None:
    config = LiveConfig(
        signup_credits=500,
        uncertain_policy=data.draw(st.sampled_from(["at_most_once", "restart_once"])),
        cancel_refund=data.draw(st.sampled_from(["by_model", "full", "none"])),
    )
    life, now = Life(config, count=2), NOW
    # What every life starts from: the grant for signing up.
    signup = Transaction(
        id="alice-signup",
        account="alice",
        tenant="default",
        type="signup",
        amount=500,
        balance_after=500,
        sequence=1,
        description="d",
        created_at=NOW,
    )
    for _ in range(data.draw(st.integers(1, 15))):
        now += timedelta(seconds=data.draw(st.sampled_from([0, 1, 30, 121, 400, 4_000, 30_000, 40_000_000])))
        holder = data.draw(st.sampled_from(["h1", "h2"]))
        before = life.job
        life.hear(data.draw(st.sampled_from(MAY_HAPPEN))(before, holder), now)
        assert life.job.step >= before.step
        assert life.job.attempt <= 2
        assert not before.final or life.job.stage is before.stage
        invariants.check_ledger(life.account, [signup, *life.entries])
        invariants.check_money(life.job, life.entries)
        assert life.account.active_jobs == ((life.job.id,) if life.job.holds_slot else ())
        check_due(life.job, config)


def check_due(job: Job, config: LiveConfig) -> None:
    """An unfinished job is due by its deadline, or when its lease ends; what came after that makes it due at once."""
    if not job.final:
        assert job.due_at is not None
        latest = [lifecycle.deadline(job, config), job.updated_at, *([job.lease.until] if job.lease else [])]
        assert job.due_at <= max(latest)


def test_an_ended_job_keeps_the_first_name() -> None:
    life = Life().generating()
    life.hear(e.Cancel())
    assert life.hear(e.Accepted(1, "op-2")) is None
    assert life.job.operation == "op-1"


def test_nothing_was_started_for_a_job_that_was_never_claimed() -> None:
    assert Life().hear(e.Accepted(0, "op-1")) is None
