"""An end that somebody is to hear of: the job stays due until the queue of webhooks has it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.core import events as e
from shared.core import lifecycle
from shared.core.admission import Submission
from shared.core.documents import Stage
from tests.unit.life import CONFIG, NOW, REQUEST, STORED, Life, account, later

URL = "https://hooks.example.com/rushes"


def listened(**request: object) -> Life:
    """A job of an account that has a webhook endpoint."""
    life = Life(**request)  # type: ignore[arg-type]
    life.account = life.account.changed(webhook_endpoints=("whe_1",))
    return life


def with_own_url() -> Life:
    """A job that named a URL itself."""
    life = Life()
    plan = Submission("video_abc", REQUEST, 80, expected_s=60.0, fingerprint="f", provider="vertex", webhook_url=URL)
    life.job = lifecycle.submit(plan, account(), NOW, CONFIG).job
    return life


def test_url_of_a_job_is_stored_with_it() -> None:
    assert with_own_url().job.webhook_url == URL


@pytest.mark.parametrize("life", [listened(), with_own_url()], ids=["endpoint", "own URL"])
def test_completed_job_stays_due_until_announced(life: Life) -> None:
    life.completed()
    assert life.job.stage is Stage.COMPLETED
    assert (life.job.to_announce, life.job.to_tidy, life.job.due_at) == (True, False, NOW)
    assert life.tasks[-1] == lifecycle.current_task(life.job).__class__(
        life.job.task, None, {"job": life.job.id, "step": life.job.step}
    )
    tasks = len(life.tasks)
    life.hear(e.Announced(life.job.step))
    assert (life.job.to_announce, life.job.due_at) == (False, None)
    assert len(life.tasks) == tasks
    assert life.job.files_removed_at is None


def test_completed_job_without_listeners_is_not_due() -> None:
    life = Life().completed()
    assert (life.job.to_announce, life.job.due_at) == (False, None)


def test_endpoint_created_during_the_job_is_notified() -> None:
    life = Life().storing()
    life.account = life.account.changed(webhook_endpoints=("whe_1",))
    life.hear(e.Stored(life.job.step, "h2", (STORED,)))
    assert life.job.to_announce


def test_job_canceled_before_starting_is_announced_without_cleanup() -> None:
    life = listened()
    life.hear(e.CancelRequested())
    assert (life.job.stage, life.job.to_announce, life.job.to_tidy) == (Stage.CANCELED, True, False)
    life.hear(e.Announced(life.job.step))
    assert life.job.due_at is None


def test_cleanup_follows_the_announcement() -> None:
    life = listened().generating()
    life.hear(e.CancelRequested())
    assert (life.job.to_announce, life.job.to_tidy) == (True, True)
    assert life.hear(e.CleanedUp(life.job.step, again=False)) is None
    step = life.job.step
    life.hear(e.Announced(step))
    assert (life.job.step, life.job.due_at, life.job.to_announce) == (step + 1, NOW, False)
    assert life.tasks[-1] is not None
    assert life.tasks[-1].body["step"] == step + 1
    life.hear(e.CleanedUp(life.job.step, again=False))
    assert (life.job.due_at, life.job.files_removed_at, life.job.to_tidy) == (None, NOW, False)


def test_end_is_announced_once() -> None:
    life = listened().completed()
    announced = e.Announced(life.job.step)
    life.hear(announced)
    assert life.hear(announced) is None
    assert life.hear(e.Announced(life.job.step)) is None


def test_stale_announcement_is_ignored() -> None:
    life = listened().completed()
    life.hear(e.TaskLost(life.job.step), later(61))
    assert life.hear(e.Announced(life.job.step - 1)) is None
    assert life.job.to_announce


def test_unfinished_job_is_not_announced() -> None:
    for life in (listened(), listened().claimed(), listened().generating(), listened().storing()):
        assert life.hear(e.Announced(life.job.step)) is None


def test_lost_announcement_is_re_enqueued() -> None:
    life = listened().completed()
    life.hear(e.TaskLost(life.job.step), later(61))
    assert (life.job.to_announce, life.job.to_tidy) == (True, False)
    life.hear(e.Announced(life.job.step), later(61))
    assert (life.job.due_at, life.job.files_removed_at) == (None, None)


def test_video_deleted_before_its_announcement_is_cleaned_up() -> None:
    life = with_own_url().completed()
    life.hear(e.DeleteRequested())
    assert (life.job.webhook_url, life.job.to_announce, life.job.to_tidy) == (None, True, True)
    life.hear(e.Announced(life.job.step))
    assert life.job.due_at is not None
    tidied_at = NOW + timedelta(seconds=lifecycle.FUNCTION_TIMEOUT_S)
    life.hear(e.CleanedUp(life.job.step, again=False), tidied_at)
    assert (life.job.due_at, life.job.files_removed_at) == (None, tidied_at)


def test_operation_name_after_the_end_is_cleaned_up_after_the_announcement() -> None:
    life = listened().uncertain()
    life.hear(e.CancelRequested())
    life.hear(e.Accepted(1, "op-late"))
    assert (life.job.operation, life.job.to_announce) == ("op-late", True)
    life.hear(e.Announced(life.job.step))
    assert (life.job.to_tidy, life.job.due_at) == (True, NOW)


def test_announcement_touches_no_account_or_credits() -> None:
    life = listened().completed()
    assert not lifecycle.needs_account(life.job, e.Announced(life.job.step), NOW + timedelta(days=1), CONFIG)
    amounts = life.amounts
    change = life.hear(e.Announced(life.job.step))
    assert change is not None
    assert (change.account, change.transactions) == (None, ())
    assert life.amounts == amounts
