"""What is stored, and what travels."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from shared.api.tasks import StepBody
from shared.api.videos import ContentQuery, CreateVideo, ListVideosQuery
from shared.core.documents import FINAL, STATUS_OF, Job, LiveSettings, Stage, Status, dimensions_px
from tests.unit.conftest import House


def test_every_stage_has_a_status_and_final_ones_are_distinct() -> None:
    assert set(STATUS_OF) == set(Stage)
    assert {STATUS_OF[stage] for stage in FINAL} == {Status.COMPLETED, Status.FAILED, Status.CANCELED}
    assert {STATUS_OF[stage] for stage in set(Stage) - FINAL} == {Status.QUEUED, Status.IN_PROGRESS}


@pytest.mark.parametrize(
    ("aspect_ratio", "resolution", "size"),
    [("16:9", "360p", (640, 360)), ("9:16", "720p", (720, 1280)), ("16:9", "4k", (3840, 2160))],
)
def test_frame_has_its_pixels(aspect_ratio: Any, resolution: Any, size: tuple[int, int]) -> None:
    assert dimensions_px(aspect_ratio, resolution) == size


async def test_revision_is_never_written(house: House) -> None:
    job = await house.submit(await house.sign_up())
    assert job.revision is not None
    assert "revision" not in job.model_dump()
    assert "revision" not in repr(job)


async def test_changed_document_is_a_new_one(house: House) -> None:
    job = await house.submit(await house.sign_up())
    assert job.changed(step=9).step == 9
    assert job.step == 0
    with pytest.raises(ValidationError):
        job.step = 1  # type: ignore[misc]


async def test_job_survives_storage_round_trip(house: House) -> None:
    job = await house.run(await house.submit(await house.sign_up(), labels={"a": "b"}, project="p"))
    again = Job.model_validate(job.model_dump())
    assert again == job.changed(revision=None)


async def test_attempts_never_share_a_file_prefix(house: House) -> None:
    job = await house.submit(await house.sign_up())
    one, two = job.changed(attempt=1), job.changed(attempt=2)
    assert one.prefix != two.prefix
    assert one.prefix.startswith(job.files_prefix)
    assert not job.posters_prefix.startswith(job.files_prefix)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"prompt": ""},
        {"prompt": " \n\t "},
        {"prompt": 7},
        {"prompt": "p", "seconds": 0},
        {"prompt": "p", "seconds": 61},
        {"prompt": "p", "seconds": 7.5},
        {"prompt": "p", "seconds": "eight"},
        {"prompt": "p", "size": "huge"},
        {"prompt": "p", "size": "1x1"},
        {"prompt": "p", "aspect_ratio": "4:3"},
        {"prompt": "p", "resolution": "8k"},
        {"prompt": "p", "seed": -1},
        {"prompt": "p", "seed": 2**32},
        {"prompt": "p", "count": 0},
        {"prompt": "p", "count": 5},
        {"prompt": "p", "project": "a b"},
        {"prompt": "p", "project": "x" * 65},
        {"prompt": "p", "labels": {"k" * 64: "v"}},
        {"prompt": "p", "labels": {"k": "v" * 256}},
        {"prompt": "p", "labels": {str(number): "v" for number in range(17)}},
        {"prompt": "p", "labels": {"k": 7}},
        {"prompt": "p", "negative_prompt": "x" * 4_097},
        {"prompt": "p", "unknown": 1},
    ],
)
def test_invalid_request_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CreateVideo.model_validate(wrong)


def test_form_numbers_may_be_strings() -> None:
    body = CreateVideo.model_validate({"prompt": "p", "seconds": "8", "count": "2", "generate_audio": "false"})
    assert (body.seconds, body.count, body.generate_audio) == (8, 2, False)


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        (StepBody, {"job": "x" * 65, "step": 0}),
        (StepBody, {"job": "x", "step": -1}),
        (ListVideosQuery, {"limit": "0"}),
        (ListVideosQuery, {"limit": "101"}),
        (ListVideosQuery, {"status": "waiting"}),
        (ListVideosQuery, {"order": "random"}),
        (ListVideosQuery, {"created_after": "-1"}),
        (ListVideosQuery, {"created_before": "99999999999999"}),
        (ContentQuery, {"variant": "audio"}),
        (ContentQuery, {"index": "4"}),
        (ContentQuery, {"redirect": "maybe"}),
    ],
)
def test_invalid_query_is_rejected(model: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"credits_per_second": -1},
        {"credits_per_second_by_model": {"omni-flash": -1}},
        {"credits_per_second_by_model": {"veo-3.1 4K": 80}},
        {"credits_per_second_by_model": {"veo-3.1 8k": 80}},
        {"active_jobs_limit": -1},
        {"generation_timeout_s": 0},
        {"uncertain_policy": "restart_always"},
        {"cancel_refund": "half"},
        {"rollout_percent": 101},
        {"retention_days": 0},
        {"enabled": "perhaps"},
        {"expected_times": {"omni-flash": 0}},
    ],
)
def test_live_settings_have_limits(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LiveSettings.model_validate(wrong)
