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


def test_the_url_of_a_job_is_kept_with_it() -> None:
    assert with_own_url().job.webhook_url == URL


@pytest.mark.parametrize("life", [listened(), with_own_url()], ids=["endpoint", "own URL"])
def test_a_completed_job_is_due_until_it_is_announced(life: Life) -> None:
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


def test_a_job_that_nobody_listens_to_is_not_due_when_it_is_completed() -> None:
    life = Life().completed()
    assert (life.job.to_announce, life.job.due_at) == (False, None)


def test_an_endpoint_that_was_made_while_the_job_ran_hears_of_its_end() -> None:
    life = Life().storing()
    life.account = life.account.changed(webhook_endpoints=("whe_1",))
    life.hear(e.Stored(life.job.step, "h2", (STORED,)))
    assert life.job.to_announce


def test_a_job_canceled_before_it_began_is_announced_and_leaves_nothing_to_tidy() -> None:
    life = listened()
    life.hear(e.CancelRequested())
    assert (life.job.stage, life.job.to_announce, life.job.to_tidy) == (Stage.CANCELED, True, False)
    life.hear(e.Announced(life.job.step))
    assert life.job.due_at is None


def test_what_is_to_be_tidied_is_tidied_after_the_announcement() -> None:
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


def test_an_end_is_announced_once() -> None:
    life = listened().completed()
    announced = e.Announced(life.job.step)
    life.hear(announced)
    assert life.hear(announced) is None
    assert life.hear(e.Announced(life.job.step)) is None


def test_an_announcement_of_an_older_step_is_not_heard() -> None:
    life = listened().completed()
    life.hear(e.TaskLost(life.job.step), later(61))
    assert life.hear(e.Announced(life.job.step - 1)) is None
    assert life.job.to_announce


def test_no_unfinished_job_is_announced() -> None:
    for life in (listened(), listened().claimed(), listened().generating(), listened().storing()):
        assert life.hear(e.Announced(life.job.step)) is None


def test_an_announcement_that_fell_is_put_back_as_one() -> None:
    life = listened().completed()
    life.hear(e.TaskLost(life.job.step), later(61))
    assert (life.job.to_announce, life.job.to_tidy) == (True, False)
    life.hear(e.Announced(life.job.step), later(61))
    assert (life.job.due_at, life.job.files_removed_at) == (None, None)


def test_a_video_that_is_deleted_before_it_was_announced_is_still_tidied() -> None:
    life = with_own_url().completed()
    life.hear(e.DeleteRequested())
    assert (life.job.webhook_url, life.job.to_announce, life.job.to_tidy) == (None, True, True)
    life.hear(e.Announced(life.job.step))
    assert life.job.due_at is not None
    tidied_at = NOW + timedelta(seconds=lifecycle.FUNCTION_TIMEOUT_S)
    life.hear(e.CleanedUp(life.job.step, again=False), tidied_at)
    assert (life.job.due_at, life.job.files_removed_at) == (None, tidied_at)


def test_a_name_that_comes_after_the_end_is_tidied_after_the_announcement() -> None:
    life = listened().uncertain()
    life.hear(e.CancelRequested())
    life.hear(e.Accepted(1, "op-late"))
    assert (life.job.operation, life.job.to_announce) == ("op-late", True)
    life.hear(e.Announced(life.job.step))
    assert (life.job.to_tidy, life.job.due_at) == (True, NOW)


def test_an_announcement_takes_no_account_and_changes_no_money() -> None:
    life = listened().completed()
    assert not lifecycle.needs_account(life.job, e.Announced(life.job.step), NOW + timedelta(days=1), CONFIG)
    amounts = life.amounts
    change = life.hear(e.Announced(life.job.step))
    assert change is not None
    assert (change.account, change.transactions) == (None, ())
    assert life.amounts == amounts
