"""What each event changes, exactly: these fields, that task, those words, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from shared import events as e
from shared import lifecycle
from shared.errors import CATALOG
from shared.generators.catalog import MODELS
from shared.lifecycle import Task
from shared.models import (
    FINAL,
    STATUS_OF,
    Input,
    Job,
    JobError,
    Lease,
    Output,
    Plan,
    Stage,
)
from shared.schedule import next_look
from tests.unit.test_lifecycle import CONFIG, NOW, REQUEST, STORED, Life, later

RARELY = CONFIG.model_copy(update={"polling": "rarely"})
RESTART = CONFIG.model_copy(update={"uncertain_policy": "restart_once"})
IMAGE = Input(
    role="first_frame",
    object="inputs/1.png",
    content_type="image/png",
    size_bytes=9,
    crc32c="A",
    width_px=9,
    height_px=9,
)
# What every change of a job brings with it; told() sees to these.
MARKS = {"version", "updated_at", "status", "task"}
NONE = object()


def told(life: Life, event: e.Event, at: datetime = NOW, task_at: Any = NONE, signals: tuple[str, ...] = ()) -> Any:
    """The fields that the event changed. `task_at` is when the task comes, None for now; without it there is none."""
    before = life.job
    change = life.hear(event, at)
    assert change is not None
    job = change.job
    assert (job.version, job.updated_at, job.status) == (before.version + 1, at, STATUS_OF[job.stage])
    assert job.task.name == f"abc-{job.step}"
    body = {"job": "video_abc", "step": job.step}
    assert change.task == (None if task_at is NONE else Task(job.task, task_at, body, "/tasks/step"))
    assert change.signals == signals
    return {
        name: getattr(job, name)
        for name in Job.model_fields
        if name not in MARKS and getattr(job, name) != getattr(before, name)
    }


def changed(life: Life, **changes: Any) -> Life:
    life.job = life.job.changed(**changes)
    return life


def described(life: Life) -> tuple[str, int, str, str | None]:
    entry = life.entries[-1]
    return entry.id, entry.amount, entry.description, entry.job


# --- the way to a video ---


def test_a_claim_takes_the_lease_and_counts_the_attempt() -> None:
    assert told(Life(), e.Claim(0, "h1"), later(5)) == {
        "stage": Stage.STARTING,
        "lease": Lease(holder="h1", until=later(125)),
        "due_at": later(125),
        "attempt": 1,
        "attempt_started_at": later(5),
    }


def test_a_name_starts_the_looking_before_the_usual_time() -> None:
    first = next_look(later(5), 60, later(5))
    assert told(Life().claimed(), e.Accepted(1, "op-1"), later(5), task_at=first) == {
        "stage": Stage.GENERATING,
        "step": 1,
        "lease": None,
        "operation": "op-1",
        "started_at": later(5),
        "due_at": first,
    }


def test_looks_are_counted_from_the_name_and_not_from_the_attempt() -> None:
    life = Life().uncertain()
    life.hear(e.Accepted(1, "op-1"), later(100))
    again = next_look(later(100), 60, later(145))
    assert told(life, e.Running(2), later(145), task_at=again) == {"step": 3, "due_at": again}


def test_looks_of_a_job_that_never_noted_its_start_are_counted_from_the_attempt() -> None:
    life = changed(Life().generating(later(10)), started_at=None)
    again = next_look(later(10), 60, later(55))
    assert told(life, e.Running(1), later(55), task_at=again) == {"step": 2, "due_at": again}


def test_where_events_tell_of_the_end_jobs_are_looked_at_rarely() -> None:
    life = Life().claimed()
    life.config = RARELY
    first = next_look(later(5), 60, later(5), rarely=True)
    assert told(life, e.Accepted(1, "op-1"), later(5), task_at=first)["due_at"] == first
    again = next_look(later(5), 60, first, rarely=True)
    assert told(life, e.Running(1), first, task_at=again)["due_at"] == again


def test_a_look_that_an_event_asked_for_and_that_comes_too_early_is_repeated_soon() -> None:
    life = Life().claimed()
    life.config = RARELY
    life.hear(e.Accepted(1, "op-1"), later(5))
    again = next_look(later(5), 60, later(58))
    assert told(life, e.Running(1), later(58), task_at=again)["due_at"] == again
    assert again < next_look(later(5), 60, later(58), rarely=True)


def test_a_finished_generation_is_stored_by_whoever_learned_of_it() -> None:
    life = Life(count=3).generating()
    assert told(life, e.Finished(1, "h2", ("gs://b/0.mp4", "gs://b/1.mp4"), 1, "why"), later(45)) == {
        "stage": Stage.STORING,
        "step": 2,
        "lease": Lease(holder="h2", until=later(165)),
        "due_at": later(165),
        "outputs": (Output(uri="gs://b/0.mp4"), Output(uri="gs://b/1.mp4")),
        "filtered": 1,
        "filter_reason": "why",
        "storing_started_at": later(45),
    }


def test_an_adopted_video_began_when_it_was_found() -> None:
    found = told(
        Life().uncertain(), e.Finished(1, "h2", ("gs://b/x.mp4",), found=True), later(50), signals=("adopted",)
    )
    assert (found["started_at"], found["storing_started_at"]) == (later(50), later(50))


def test_a_stored_video_ends_the_job() -> None:
    assert told(Life().storing(), e.Stored(2, "h2", (STORED,)), later(60)) == {
        "stage": Stage.COMPLETED,
        "lease": None,
        "due_at": None,
        "outputs": (STORED,),
        "completed_at": later(60),
        "expires_at": later(60 + 365 * 86_400),
    }


def test_a_part_that_was_kept_back_is_refunded_and_said() -> None:
    life = Life(count=4).storing(uris=("gs://b/0.mp4", "gs://b/1.mp4", "gs://b/2.mp4"), filtered=1)
    life.hear(e.Stored(2, "h2", (STORED,) * 3))
    words = "1 of 4 videos were kept back by the safety filter"
    assert described(life) == ("video_abc-refund", 80, words, "video_abc")


def test_a_failed_storing_is_tried_again_by_a_task_of_its_own() -> None:
    assert told(Life().storing(), e.NotStored(2, "h2", "STORING_FAILED", "cut"), later(9), task_at=later(14)) == {
        "step": 3,
        "lease": None,
        "storing_tries": 1,
        "due_at": later(14),
    }


def test_a_lease_never_outlives_the_time_for_storing() -> None:
    life = Life().storing()
    assert told(life, e.Claim(2, "h3"), later(3_590)) == {
        "lease": Lease(holder="h3", until=later(3_710)),
        "due_at": later(3_600),
    }


def test_a_renewal_after_the_deadline_is_due_at_once() -> None:
    life = Life().storing()
    assert told(life, e.Renew(2, "h2"), later(3_700))["due_at"] == later(3_700)


def test_waiting_goes_on_and_ends_in_a_place() -> None:
    life = changed(Life(), stage=Stage.WAITING)
    life.account = life.account.changed(active_jobs=("a", "b", "c"))
    assert told(life, e.Enter(0), later(10), task_at=later(40)) == {"step": 1, "due_at": later(40)}
    assert life.job.task.queue == "poll"
    life.account = life.account.changed(active_jobs=())
    assert told(life, e.Enter(1), later(50), task_at=None) == {"stage": Stage.QUEUED, "step": 2, "due_at": later(50)}
    assert life.job.task.queue == "generate-veo-3-1-fast"


def test_a_waiting_job_enters_as_its_own_plan_allows() -> None:
    life = changed(Life(CONFIG.model_copy(update={"plans": {"pro": Plan(active_jobs_limit=1)}})), stage=Stage.WAITING)
    life.account = life.account.changed(plan="pro", active_jobs=("a",))
    life.hear(e.Enter(0))
    assert life.job.stage is Stage.WAITING


# --- nothing, or no answer ---


@pytest.mark.parametrize(("at_s", "due_s"), [(5, 35), (21_590, 21_600), (21_700, 21_700)])
def test_a_busy_provider_is_asked_again_but_not_after_the_deadline(at_s: int, due_s: int) -> None:
    assert told(Life().claimed(), e.Deferred(0, "h1", 30.0), later(at_s), task_at=later(due_s)) == {
        "stage": Stage.QUEUED,
        "step": 1,
        "lease": None,
        "attempt": 0,
        "attempt_started_at": None,
        "due_at": later(due_s),
    }


def test_an_uncertain_start_is_looked_for_every_half_minute() -> None:
    life = Life().claimed()
    signals = ("uncertain_start",)
    assert told(life, e.Lost(0, "h1"), later(5), task_at=later(35), signals=signals) == {
        "stage": Stage.UNCERTAIN,
        "step": 1,
        "lease": None,
        "due_at": later(35),
    }
    assert told(life, e.Unseen(1), later(35), task_at=later(65)) == {"step": 2, "due_at": later(65)}


def test_a_lease_that_is_missing_makes_the_start_uncertain_too() -> None:
    life = changed(Life().claimed(), lease=None)
    assert told(life, e.Lost(0, "h1"), task_at=later(30), signals=("uncertain_start",))["stage"] is Stage.UNCERTAIN


def test_a_restart_says_that_a_generation_was_abandoned() -> None:
    life = Life(RESTART).uncertain()
    assert told(life, e.Unseen(1), later(360), task_at=None, signals=("abandoned_generation",)) == {
        "stage": Stage.QUEUED,
        "step": 2,
        "due_at": later(360),
    }


def test_an_uncertain_job_waits_for_its_own_models_longest_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = replace(MODELS["veo-3.1-fast"], longest_s=500.0)
    monkeypatch.setitem(MODELS, "veo-3.1-fast", slow)
    assert lifecycle.deadline(Life().uncertain().job, CONFIG) == later(500)


def test_an_operation_that_was_hinted_at_is_noted_beside_the_job() -> None:
    assert told(Life().claimed(), e.Hint("op-1"), later(1)) == {"hinted_operation": "op-1"}


# --- the ends without a video ---


def ends(code: str, reason: str | None, at: datetime = NOW, **more: Any) -> dict[str, Any]:
    error = JobError(code=code, message=CATALOG[code].message, reason=reason)
    return {"stage": Stage.FAILED, "error": error, "refunded": 80, "completed_at": at, **more}


@pytest.mark.parametrize(
    ("event", "code", "reason"),
    [
        (e.Finished(1, "h", (), 1, "violence"), "SAFETY_BLOCKED", "violence"),
        (e.Finished(1, "h", (), 0, "tired"), "PROVIDER_ERROR", "tired"),
        (e.Finished(1, "h", ()), "PROVIDER_ERROR", "the generation ended without a video"),
        (e.Broke(1, "PROVIDER_ERROR", "broken"), "PROVIDER_ERROR", "broken"),
    ],
)
def test_a_generation_that_ended_without_a_video_leaves_nothing_to_do(event: e.Event, code: str, reason: str) -> None:
    life = Life().generating()
    assert told(life, event, later(45)) == ends(code, reason, later(45), due_at=None)
    assert described(life) == ("video_abc-refund", 80, f"{code}: {CATALOG[code].message}", "video_abc")


def test_an_uncertain_start_that_ended_without_a_video_fails_too() -> None:
    failed = told(Life().uncertain(), e.Finished(1, "h", (), 1, "violence"), later(50))
    assert failed == ends("SAFETY_BLOCKED", "violence", later(50), due_at=None)


def test_a_refused_create_leaves_nothing_to_do() -> None:
    failed = told(Life().claimed(), e.Refused(0, "h1", "PROMPT_REJECTED", "bad"))
    assert failed == ends("PROMPT_REJECTED", "bad", lease=None, due_at=None)


@pytest.mark.parametrize(
    ("stage", "event", "at_s", "code", "reason", "signals"),
    [
        ("uncertain", e.Unseen(1), 360, "START_UNCERTAIN", None, ("abandoned_generation",)),
        ("generating", e.Running(1), 900, "GENERATION_TIMEOUT", None, ()),
        ("storing", e.NotStored(2, "h2", "INVALID_VIDEO", "odd", True), 9, "INVALID_VIDEO", "odd", ()),
        ("storing", e.NotStored(2, "h2", "STORING_FAILED", "cut"), 3_600, "STORING_FAILED", "cut", ()),
    ],
)
def test_a_generation_that_was_given_up_is_tidied_at_once(
    stage: str, event: e.Event, at_s: int, code: str, reason: str | None, signals: tuple[str, ...]
) -> None:
    life: Life = getattr(Life(), stage)()
    failed = told(life, event, later(at_s), task_at=None, signals=signals)
    failed.pop("lease", None)
    assert failed == ends(code, reason, later(at_s), step=life.job.step, due_at=later(at_s), to_tidy=True)
    assert life.job.lease is None


def test_a_queued_job_that_was_never_started_leaves_nothing_to_do() -> None:
    assert told(Life(), e.Claim(0, "h"), later(21_600)) == ends("QUEUE_TIMEOUT", None, later(21_600), due_at=None)


def test_a_code_that_gives_nothing_back_gives_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "PROMPT_REJECTED", replace(CATALOG["PROMPT_REJECTED"], refund=False))
    life = Life().claimed()
    life.hear(e.Refused(0, "h1", "PROMPT_REJECTED", "bad"))
    assert (life.amounts, life.job.refunded) == ([-80], 0)


def test_a_cancel_gives_everything_back_and_says_so() -> None:
    life = Life()
    life.account = life.account.changed(active_jobs=("a", "video_abc", "b"))
    assert told(life, e.Cancel(), later(5)) == {
        "stage": Stage.CANCELED,
        "refunded": 80,
        "completed_at": later(5),
        "due_at": None,
    }
    assert described(life) == ("video_abc-refund", 80, "Canceled", "video_abc")
    assert life.account.active_jobs == ("a", "b")


@pytest.mark.parametrize("stage", [Stage.WAITING, Stage.QUEUED])
def test_what_was_never_started_is_refunded_whatever_the_policy(stage: Stage) -> None:
    life = changed(Life(CONFIG.model_copy(update={"cancel_refund": "none"})), stage=stage)
    life.hear(e.Cancel())
    assert life.amounts == [-80, 80]


def test_images_of_a_job_without_a_video_are_tidied_though_nothing_was_started() -> None:
    canceled = told(Life(inputs=(IMAGE,)), e.Cancel(), later(5), task_at=None)
    assert (canceled["to_tidy"], canceled["due_at"]) == (True, later(5))


def test_images_of_a_finished_video_are_kept_with_it() -> None:
    stored = told(Life(inputs=(IMAGE,)).storing(), e.Stored(2, "h2", (STORED,)))
    assert stored["due_at"] is None
    assert "to_tidy" not in stored


def test_a_name_that_comes_after_the_end_is_kept_for_tidying() -> None:
    life = Life().claimed()
    life.hear(e.Cancel())
    life.hear(e.Tidied(1, again=False))
    assert told(life, e.Accepted(1, "op-late"), later(5), task_at=None) == {
        "step": 2,
        "operation": "op-late",
        "due_at": later(5),
        "to_tidy": True,
    }


# --- after the end ---


def test_a_deleted_job_keeps_nothing_of_its_content() -> None:
    life = changed(
        Life().completed(),
        request=REQUEST.model_copy(update={"negative_prompt": "rain"}),
        labels={"k": "v"},
        error=JobError(code="STORING_FAILED", message="m"),
        filter_reason="why",
        webhook_url="https://example.com/hook",
    )
    assert told(life, e.Delete(), later(5), task_at=None) == {
        "step": 3,
        "due_at": later(5),
        "request": REQUEST.model_copy(update={"prompt": "", "negative_prompt": None}),
        "outputs": (),
        "labels": {},
        "error": None,
        "filter_reason": None,
        "webhook_url": None,
        "expires_at": None,
        "deleted_at": later(5),
        "to_tidy": True,
    }


def test_an_expired_video_is_removed_and_does_not_expire_again() -> None:
    life = Life().completed()
    end = later(365 * 86_400)
    expired = {"step": 3, "due_at": end, "outputs": (), "expires_at": None, "to_tidy": True}
    assert told(life, e.Expire(), end, task_at=None) == expired
    assert life.hear(e.Expire(), end) is None


def test_a_view_moves_the_end_and_is_noted() -> None:
    day = later(86_400)
    moved = {"last_viewed_at": day, "expires_at": later(366 * 86_400)}
    assert told(Life().completed(), e.Viewed(), day) == moved


def test_a_late_success_is_counted_once() -> None:
    life = Life().uncertain()
    life.hear(e.Unseen(1), later(360))
    assert told(life, e.LateSuccess(), later(400), signals=("late_success",)) == {"late_success": True}
    assert life.hear(e.LateSuccess(), later(401)) is None


@pytest.mark.parametrize(("ended_s", "wait_s"), [(10, 300), (1_000, 1_000), (10_000, 3_600)])
def test_what_goes_on_after_the_end_is_looked_at_ever_more_rarely(ended_s: int, wait_s: int) -> None:
    life = Life().generating()
    life.hear(e.Cancel())
    due_at = later(ended_s + wait_s)
    assert told(life, e.Tidied(2, again=True), later(ended_s), task_at=due_at) == {"step": 3, "due_at": due_at}


def test_a_delivery_that_may_still_be_storing_is_waited_for() -> None:
    life = Life().storing()
    life.hear(e.Cancel(), later(1_000))
    due_at = later(1_899 + 899)
    assert told(life, e.Tidied(3, again=False), later(1_899), task_at=due_at) == {"step": 4, "due_at": due_at}
    assert told(life, e.Tidied(4, again=False), later(1_900)) == {
        "due_at": None,
        "to_tidy": False,
        "files_removed_at": later(1_900),
    }


@pytest.mark.parametrize("stage", ["claimed", "generating"])
def test_nothing_is_waited_for_where_nothing_was_storing(stage: str) -> None:
    life: Life = getattr(Life(), stage)()
    life.hear(e.Cancel())
    told(life, e.Tidied(life.job.step, again=False))
    assert life.job.due_at is None


def test_images_are_forgotten_once_they_are_removed() -> None:
    life = Life(inputs=(IMAGE,))
    life.hear(e.Cancel())
    assert told(life, e.Tidied(1, again=False), later(5)) == {
        "due_at": None,
        "to_tidy": False,
        "files_removed_at": later(5),
        "request": REQUEST,
    }


def test_a_finished_video_survives_the_tidying_of_its_first_attempt() -> None:
    life = changed(Life(inputs=(IMAGE,)).completed(), due_at=NOW, to_tidy=True, files_removed_at=NOW)
    assert told(life, e.Tidied(2, again=False)) == {"due_at": None, "to_tidy": False, "files_removed_at": None}


def test_a_video_that_was_deleted_is_removed_again_as_long_as_another_delivery_may_still_store_it() -> None:
    life = Life().completed()
    life.hear(e.Delete(), later(5))
    due_at = later(5 + 300)
    assert told(life, e.Tidied(3, again=False), later(5), task_at=due_at) == {"step": 4, "due_at": due_at}
    assert told(life, e.Tidied(4, again=False), later(899), task_at=later(899 + 899))["step"] == 5
    assert told(life, e.Tidied(5, again=False), later(900))["files_removed_at"] == later(900)


def test_what_was_tidied_is_not_tidied_again() -> None:
    assert Life().completed().hear(e.Tidied(2, again=False)) is None


def test_files_that_were_never_stored_are_removed_with_the_failed_job() -> None:
    life = Life().storing()
    life.hear(e.NotStored(2, "h2", "INVALID_VIDEO", "odd", permanent=True))
    assert told(life, e.Tidied(3, again=False), later(900))["files_removed_at"] == later(900)


def test_a_given_up_generation_is_watched_for_a_day() -> None:
    assert lifecycle.watched_until(Life().claimed(later(7)).job) == later(86_407)


# --- who is to hear of the end ---


@pytest.mark.parametrize("of", ["job", "account"])
def test_the_end_is_announced_where_somebody_listens(of: str) -> None:
    life = Life()
    if of == "job":
        changed(life, webhook_url="https://example.com/hook")
    else:
        life.account = life.account.changed(webhook_endpoints=("we_1",))
    canceled = told(life, e.Cancel(), later(5), task_at=None)
    assert (canceled["to_announce"], canceled["due_at"], "to_tidy" in canceled) == (True, later(5), False)
    assert life.amounts == [-80, 80]
    assert told(life, e.Announced(1), later(6)) == {"to_announce": False, "due_at": None}
    assert life.hear(e.Announced(1), later(7)) is None


def test_tidying_comes_after_the_announcement() -> None:
    life = changed(Life().generating(), webhook_url="https://example.com/hook")
    life.hear(e.Cancel(), later(5))
    assert (life.job.to_announce, life.job.to_tidy) == (True, True)
    assert told(life, e.Announced(2), later(6), task_at=None) == {"step": 3, "to_announce": False, "due_at": later(6)}


# --- what fell ---


def test_a_fallen_task_is_put_back_at_once_and_counted() -> None:
    assert told(Life(), e.Fallen(0), later(60), task_at=None, signals=("swept",)) == {"step": 1, "due_at": later(60)}


def test_a_task_has_not_fallen_while_its_lease_lives() -> None:
    life = Life().storing()
    life.hear(e.Claim(2, "h3"), later(3_590))
    assert life.hear(e.Fallen(2), later(3_709)) is None
    swept = told(life, e.Fallen(2), later(3_710), task_at=None, signals=("swept",))
    assert swept == {"step": 3, "due_at": later(3_710)}


# --- deadlines, and who needs the account ---


@pytest.mark.parametrize(
    ("stage", "changes", "due_s"),
    [
        (Stage.WAITING, {}, 21_600),
        (Stage.QUEUED, {"lease": None}, 21_600),
        (Stage.STARTING, {"lease": None}, 21_600),
        (Stage.STARTING, {"lease": Lease(holder="h", until=later(130))}, 130),
        (Stage.UNCERTAIN, {}, 370),
        (Stage.UNCERTAIN, {"attempt_started_at": None}, 360),
        (Stage.GENERATING, {}, 910),
        (Stage.STORING, {}, 3_620),
        (Stage.STORING, {"storing_started_at": None}, 3_600),
    ],
)
def test_each_stage_has_its_own_deadline(stage: Stage, changes: dict[str, Any], due_s: int) -> None:
    times = {"attempt_started_at": later(10), "storing_started_at": later(20)}
    job = Life().job.changed(**{"stage": stage, **times, **changes})
    assert lifecycle.deadline(job, CONFIG) == later(due_s)


def test_finished_needs_the_account_only_without_a_video() -> None:
    job = Life().generating().job
    assert lifecycle.needs_account(job, e.Finished(1, "h", ()), NOW, CONFIG)
    assert not lifecycle.needs_account(job, e.Finished(1, "h", ("gs://b/x.mp4",)), NOW, CONFIG)


@pytest.mark.parametrize("final", sorted(FINAL))
def test_an_ended_job_never_needs_the_account(final: Stage) -> None:
    job = Life().completed().job.changed(stage=final)
    assert not lifecycle.needs_account(job, e.Delete(), later(10**6), CONFIG)


@pytest.mark.parametrize("event", [e.Enter(0), e.Cancel()])
def test_an_end_without_the_account_is_a_bug_and_not_a_lost_refund(event: e.Event) -> None:
    job = Life().job.changed(stage=Stage.WAITING)
    with pytest.raises(AssertionError):
        lifecycle.decide(job, None, event, NOW, CONFIG)


def test_a_decision_that_leads_where_the_table_does_not_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lifecycle.TRANSITIONS, e.Cancel, {Stage.QUEUED: frozenset({Stage.FAILED})})
    with pytest.raises(AssertionError):
        Life().hear(e.Cancel())
