"""Stored documents as clients see them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api import views
from shared.core import admission, lifecycle
from shared.core import events as e
from shared.core.documents import Account, Job, JobError, LiveSettings, Output, Stage, Transaction
from shared.core.errors import CATALOG
from shared.core.lifecycle import decide
from tests.unit.conftest import NOW, House

CONFIG = LiveSettings(uncertain_policy="restart_once", signup_credits=500)
OUTPUT = Output(uri="u", object="o.mp4", size_bytes=2_000, crc32c="AAAAAA==", seconds=8.0, poster="p.jpg")


def queued() -> tuple[Job, Account]:
    from shared.core.documents import VideoRequest

    request = VideoRequest(
        prompt="p", model="omni-flash", seconds=8, aspect_ratio="16:9", resolution="720p", generate_audio=True
    )
    account = Account(id="a", issuer="i", sub="s", tenant="t", balance=500, sequence=1, created_at=NOW)
    change = lifecycle.submit(admission.Submission("video_a", request, 80, 60.0, "f", "vertex"), account, NOW, CONFIG)
    assert change.account is not None
    return change.job, change.account


def possible(job: Job) -> list[e.Event]:
    """What may happen to the job next."""
    step, holder = job.step, job.lease.holder if job.lease else "h"
    return [
        e.LeaseRequested(step, "h"),
        e.Accepted(max(job.attempt, 1), f"op-{job.attempt}"),
        e.Deferred(step, holder, 30),
        e.StartUnknown(step, holder),
        e.NotFoundYet(step),
        e.StillRunning(step),
        e.GenerationFinished(step, "h", ("u",)),
        # Files are all that is found of an uncertain attempt, so there it is never finished without any.
        *([] if job.stage is Stage.UNCERTAIN else [e.GenerationFinished(step, "h", (), 1)]),
        e.GenerationFailed(step, "PROVIDER_ERROR", "r"),
        e.LeaseRenewed(step, holder),
        e.StoringFailed(step, holder, "STORING_FAILED", "r"),
        e.Stored(step, holder, (OUTPUT,)),
        e.CancelRequested(),
        e.TaskLost(step),
        e.Overdue(step),
        e.CleanedUp(step, again=True),
        e.DeleteRequested(),
        e.RetentionElapsed(),
        e.Viewed(),
    ]


@given(st.data())
def test_progress_never_decreases_and_is_100_only_when_playable(data: st.DataObject) -> None:
    (job, account), now = queued(), NOW
    shown = views.progress(job, now)
    for _ in range(data.draw(st.integers(1, 25))):
        now += timedelta(seconds=data.draw(st.floats(0, 400)))
        before = views.progress(job, now)
        change = decide(job, account, data.draw(st.sampled_from(possible(job))), now, CONFIG)
        if change is not None:
            job, account = change.job, change.account or account
        after = views.progress(job, now)
        assert shown <= before <= after <= 100
        assert (after == 100) == (job.stage is Stage.COMPLETED)
        shown = after


@pytest.mark.parametrize(("elapsed_s", "percent"), [(0, 0), (30, 60), (60, 82), (120, 93), (86_400, 95)])
def test_progress_approaches_95_however_long_it_takes(elapsed_s: float, percent: int) -> None:
    job, _ = queued()
    job = job.changed(stage=Stage.GENERATING, started_at=NOW)
    assert views.progress(job, NOW + timedelta(seconds=elapsed_s)) == percent


def test_slow_clock_gives_no_negative_progress() -> None:
    job, _ = queued()
    job = job.changed(stage=Stage.GENERATING, started_at=NOW)
    assert views.progress(job, NOW - timedelta(seconds=5)) == 0


def test_ended_job_keeps_its_progress() -> None:
    job, _ = queued()
    job = job.changed(stage=Stage.FAILED, started_at=NOW, completed_at=NOW + timedelta(seconds=60))
    assert views.progress(job, NOW + timedelta(days=1)) == views.progress(job, NOW + timedelta(days=2)) == 95


def test_job_failed_while_storing_keeps_its_progress() -> None:
    job, _ = queued()
    job = job.changed(stage=Stage.FAILED, started_at=NOW, storing_started_at=NOW)
    assert views.progress(job, NOW) == views.STORING_PROGRESS


async def test_video_shows_its_request_and_cost(house: House) -> None:
    job = await house.submit(await house.sign_up(), labels={"a": "b"}, project="p", seed=7)
    video = views.video(job, house.clock())
    assert (video.id, video.object, video.status, video.stage) == (job.id, "video", "queued", "queued")
    assert (video.model, video.seconds, video.size) == ("omni-flash", "3", "640x360")
    assert (video.seed, video.cost, video.labels, video.project) == (7, 30, {"a": "b"}, "p")
    assert (video.created_at, video.completed_at, video.files) == (int(NOW.timestamp()), None, [])


async def test_completed_job_lists_its_files_with_metadata(house: House, small_video: bytes) -> None:
    job = await house.run(await house.submit(await house.sign_up()))
    (file,) = views.video(job, house.clock()).files
    assert (file.index, file.size_bytes, file.seconds) == (0, len(small_video), 3.0)
    assert (file.width, file.height, file.crc32c) == (640, 360, job.outputs[0].crc32c)


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.COMPLETED])
def test_files_are_listed_only_when_playable(stage: Stage) -> None:
    job, _ = queued()
    assert views.video(job.changed(stage=stage, outputs=(OUTPUT,)), NOW).files == []


def test_internals_are_hidden() -> None:
    job, _ = queued()
    job = job.changed(operation="operations/secret", hinted_operation="operations/secret", outputs=(OUTPUT,))
    shown = views.video(job, NOW).model_dump_json()
    assert "secret" not in shown
    assert "fingerprint" not in shown
    assert "lease" not in shown


def test_failed_job_says_why_and_what_to_do() -> None:
    job, _ = queued()
    error = JobError(code="SAFETY_BLOCKED", message="blocked", reason="violence")
    shown = views.video(job.changed(stage=Stage.FAILED, error=error), NOW).error
    assert shown is not None
    assert (shown.code, shown.message, shown.reason, shown.retryable) == (
        "SAFETY_BLOCKED",
        "blocked",
        "violence",
        False,
    )
    assert "prompt" in shown.suggested_action


@pytest.mark.parametrize(
    ("code", "reason", "shown"),
    [
        ("SAFETY_BLOCKED", "violence (support code 61493863)", "violence (support code 61493863)"),
        ("SAFETY_BLOCKED", "I can't and/or won't. See https://example.com/policy", "I can't and/or won't. See"),
        ("PROMPT_TOO_LONG", "The prompt is longer than 1024 tokens.", "The prompt is longer than 1024 tokens."),
        (
            "PROMPT_REJECTED",
            "If you think this was an error, send feedback.",
            "If you think this was an error, send feedback.",
        ),
        ("PROMPT_REJECTED", "Unable to read gs://videos/t/a/video_x/1.png", None),
        ("PROMPT_REJECTED", "[Errno 2] processing input: '/tmp/x'", None),
        ("PROMPT_REJECTED", "The service account a@b.iam.gserviceaccount.com lacks a role.", None),
        ("PROMPT_REJECTED", "projects/p/locations/l/publishers/google/models/m", None),
        ("PROMPT_REJECTED", "ValueError: bad", None),
        ("SAFETY_BLOCKED", None, None),
        ("STORING_FAILED", "FileNotFoundError: gs://videos/x", None),
        ("STORAGE_REFUSED", "Cloud Storage: 403 a@b does not have storage.objects.get", None),
        ("PROVIDER_DENIED", "Permission 'aiplatform.endpoints.predict' denied", None),
        ("PROVIDER_ERROR", "internal error", None),
        ("MODEL_RETIRED", "Publisher Model `projects/p/...` was not found", None),
        ("INVALID_VIDEO", "the video is 4.00 s long instead of 8 s", None),
        ("INPUT_GONE", "inputs/t/a/1.png is not in the bucket any more", None),
    ],
)
def test_reason_is_the_providers_words_about_the_prompt_or_nothing(
    code: str, reason: str | None, shown: str | None
) -> None:
    job, _ = queued()
    failed = job.changed(stage=Stage.FAILED, error=JobError(code=code, message="m", reason=reason))
    error = views.video(failed, NOW).error
    assert error is not None
    assert error.reason == shown


def test_only_prompt_related_codes_show_a_reason() -> None:
    """A new code shows none until somebody says that it may."""
    shown = {code for code, entry in CATALOG.items() if entry.about_prompt}
    assert shown == {"SAFETY_BLOCKED", "PROMPT_REJECTED", "PROMPT_TOO_LONG"}


@pytest.mark.parametrize(("found", "shown", "more"), [(0, 0, False), (2, 2, False), (3, 2, True)])
def test_page_says_whether_there_is_more(found: int, shown: int, more: bool) -> None:
    job, _ = queued()
    jobs = [job.changed(id=f"video_{number}") for number in range(found)]
    page = views.video_page(jobs, 2, NOW)
    assert (len(page.data), page.has_more) == (shown, more)
    assert page.first_id == (page.data[0].id if shown else None)
    assert page.last_id == (page.data[-1].id if shown else None)


@pytest.mark.parametrize(("found", "more"), [(0, False), (2, False), (3, True)])
def test_ledger_page_says_whether_there_is_more(found: int, more: bool) -> None:
    entry: dict[str, Any] = {"account": "a", "tenant": "t", "type": "charge", "amount": -80, "balance_after": 1}
    entries = [
        Transaction(id=f"e{number}", sequence=number, description="d", job="video_a", created_at=NOW, **entry)
        for number in range(found)
    ]
    page = views.transaction_page(entries, 2)
    assert (len(page.data), page.has_more) == (min(found, 2), more)
    assert all((view.video, view.amount) == ("video_a", -80) for view in page.data)


def test_account_shows_its_balance_and_limit() -> None:
    _, account = queued()
    view = views.account(account, LiveSettings(active_jobs_limit=7))
    assert (view.balance, view.active_jobs, view.active_jobs_limit) == (420, ["video_a"], 7)
    assert "sub" not in view.model_dump()
