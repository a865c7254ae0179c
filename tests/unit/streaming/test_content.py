"""A finished video's bytes, by a signed URL or through us."""

from __future__ import annotations

import base64
from datetime import timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote_plus

import pytest
from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from shared.api.videos import ContentQuery
from shared.core.documents import Job, Stage
from shared.core.errors import ApiError
from shared.jobs import outputs, queries
from shared.streaming import content
from tests.unit.conftest import House

VIDEO = ContentQuery()
SAVED = ContentQuery(download=True)
THUMBNAIL = ContentQuery(variant="thumbnail")


async def completed(house: House) -> Job:
    return await house.run(await house.submit(await house.sign_up()))


async def answer(house: House, job: Job, query: ContentQuery = VIDEO, head: bool = False, **headers: str) -> Response:
    sent = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return await content.proxied(house.services, outputs.content(job, query), sent, head)


async def body(response: Response) -> bytes:
    if not isinstance(response, StreamingResponse):
        return bytes(response.body)
    return b"".join([bytes(piece) async for piece in response.body_iterator])  # type: ignore[arg-type]


def refused(job: Job, query: ContentQuery = VIDEO) -> ApiError:
    with pytest.raises(ApiError) as error:
        outputs.content(job, query)
    return error.value


async def test_whole_video_matches_what_was_stored(house: House, small_video: bytes) -> None:
    response = await answer(house, await completed(house))
    assert response.status_code == 200
    assert await body(response) == small_video
    assert response.headers["content-type"] == "video/mp4"
    assert response.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(("spare_bytes", "stated"), [(-1, False), (0, True)])
async def test_response_that_cloud_run_would_drop_omits_its_length(
    house: House, small_video: bytes, monkeypatch: pytest.MonkeyPatch, spare_bytes: int, stated: bool
) -> None:
    monkeypatch.setattr(content, "LONGEST_WITH_LENGTH_BYTES", len(small_video) + spare_bytes)
    job = await completed(house)
    response = await answer(house, job)
    assert ("content-length" in response.headers) == stated
    assert await body(response) == small_video
    # A response to HEAD has no body that could be dropped.
    assert (await answer(house, job, head=True)).headers["content-length"] == str(len(small_video))


@pytest.mark.parametrize(
    ("range_", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=100-199", 100, 199),
        ("bytes=100-", 100, -1),
        ("bytes=-100", -100, -1),
        ("bytes=-999999999", 0, -1),
        ("bytes=0-999999999", 0, -1),
        ("bytes=-1", -1, -1),
        ("bytes= 0 - 99", 0, 99),
    ],
)
async def test_range_returns_just_that_part(
    house: House, small_video: bytes, range_: str, first: int, last: int
) -> None:
    size = len(small_video)
    first, last = first % size, last % size
    response = await answer(house, await completed(house), range=range_)
    assert response.status_code == 206
    assert response.headers["content-range"] == f"bytes {first}-{last}/{size}"
    assert response.headers["content-length"] == str(last - first + 1)
    assert await body(response) == small_video[first : last + 1]


@pytest.mark.parametrize(
    "range_",
    ["", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,5-6", "bytes=a-b", "items=0-5", "bytes=0-99x", "bytes=1" * 20],
)
async def test_malformed_or_multiple_range_is_ignored(house: House, small_video: bytes, range_: str) -> None:
    response = await answer(house, await completed(house), range=range_)
    assert response.status_code == 200
    assert await body(response) == small_video


@pytest.mark.parametrize("range_", ["bytes=999999999-", "bytes=999999999-9999999999", "bytes=-0"])
async def test_range_outside_the_file_is_416(house: House, small_video: bytes, range_: str) -> None:
    with pytest.raises(ApiError) as error:
        await answer(house, await completed(house), range=range_)
    assert error.value.code == "RANGE_NOT_SATISFIABLE"
    assert error.value.headers["Content-Range"] == f"bytes */{len(small_video)}"


async def test_first_byte_after_the_end_is_416(house: House, small_video: bytes) -> None:
    job = await completed(house)
    assert (await answer(house, job, range=f"bytes={len(small_video) - 1}-")).status_code == 206
    with pytest.raises(ApiError):
        await answer(house, job, range=f"bytes={len(small_video)}-")


async def test_response_holds_at_most_16_mib(house: House) -> None:
    job = await completed(house)
    (output,) = job.outputs
    large = job.changed(outputs=(output.model_copy(update={"size_bytes": 100 * 1024 * 1024}),))
    response = await answer(house, large, head=True, range="bytes=10-")
    assert response.headers["content-range"] == f"bytes 10-{10 + 16 * 1024 * 1024 - 1}/{100 * 1024 * 1024}"


async def test_cached_content_is_304(house: House) -> None:
    job = await completed(house)
    etag = (await answer(house, job)).headers["etag"]
    for condition in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = await answer(house, job, if_none_match=condition)
        assert (response.status_code, await body(response)) == (304, b"")
    assert (await answer(house, job, if_none_match='"other"')).status_code == 200


async def test_etag_depends_on_the_bytes(house: House) -> None:
    job = await completed(house)
    (output,) = job.outputs
    checksum = base64.b64decode(output.crc32c or "").hex()
    assert (await answer(house, job)).headers["etag"] == f'"{checksum}-{output.size_bytes}"'


async def test_range_of_another_version_returns_the_whole(house: House) -> None:
    job = await completed(house)
    etag = (await answer(house, job)).headers["etag"]
    assert (await answer(house, job, range="bytes=0-9", if_range=etag)).status_code == 206
    assert (await answer(house, job, range="bytes=0-9", if_range='"other"')).status_code == 200


async def test_head_has_all_headers_and_reads_nothing(house: House, small_video: bytes) -> None:
    job = await completed(house)
    calls = dict(house.media.calls)
    response = await answer(house, job, head=True)
    assert (response.status_code, response.headers["content-length"]) == (200, str(len(small_video)))
    assert await body(response) == b""
    assert dict(house.media.calls) == calls


async def test_thumbnail_is_the_poster(house: House) -> None:
    job = await completed(house)
    response = await answer(house, job, THUMBNAIL)
    assert response.headers["content-type"] == "image/jpeg"
    assert (await body(response)).startswith(b"\xff\xd8")


async def test_missing_poster_is_gone(house: House) -> None:
    job = await completed(house)
    await house.media.delete(job.posters_prefix)
    with pytest.raises(ApiError) as error:
        await answer(house, job, THUMBNAIL)
    assert error.value.code == "GONE"


async def test_redirect_leads_to_a_signed_url_and_is_not_cached(house: House) -> None:
    job = await completed(house)
    response = await content.redirect(house.services, outputs.content(job, VIDEO))
    assert (response.status_code, response.headers["cache-control"]) == (302, "no-store")
    assert "signature=" in response.headers["location"]


async def test_page_gets_the_url_and_its_expiry(house: House) -> None:
    job = await completed(house)
    signed = await content.signed_url(house.services, outputs.content(job, VIDEO))
    assert signed.expires_at == int(house.clock().timestamp()) + 15 * 60


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        *((stage, "JOB_NOT_FINISHED") for stage in Stage if stage not in ("completed", "failed", "canceled")),
        (Stage.FAILED, "VIDEO_NOT_AVAILABLE"),
        (Stage.CANCELED, "VIDEO_NOT_AVAILABLE"),
    ],
)
async def test_only_completed_jobs_have_content(house: House, stage: Stage, code: str) -> None:
    assert refused((await completed(house)).changed(stage=stage)).code == code


async def test_expired_video_is_gone(house: House) -> None:
    job = await completed(house)
    assert refused(job.changed(files_removed_at=house.clock())).code == "GONE"
    assert refused(job.changed(outputs=())).code == "GONE"


async def test_single_video_has_no_second_index(house: House) -> None:
    error = refused(await completed(house), ContentQuery(index=1))
    assert (error.code, error.details) == ("NOT_FOUND", {"field": "index"})


async def test_deleted_video_is_not_found(house: House) -> None:
    caller = await house.sign_up()
    job = await house.run(await house.submit(caller))
    await queries.delete(house.services, caller, job.id)
    with pytest.raises(ApiError) as error:
        await queries.own_job(house.services, caller, job.id)
    assert error.value.code == "NOT_FOUND"


async def test_file_name_belongs_to_the_job(house: House) -> None:
    job = await completed(house)
    disposition: Any = (await answer(house, job)).headers["content-disposition"]
    assert disposition == f'inline; filename="{job.id}-0.mp4"'


# --- what the browser keeps, and under what name ---


async def test_last_modified_is_the_completion_time(house: House) -> None:
    job = await completed(house)
    assert job.completed_at is not None
    modified = format_datetime(job.completed_at, usegmt=True)
    assert (await answer(house, job)).headers["last-modified"] == modified
    assert (await answer(house, job, THUMBNAIL)).headers["last-modified"] == modified
    assert (await answer(house, job, range="bytes=0-9", if_range=modified)).status_code == 206
    earlier = format_datetime(job.completed_at - timedelta(seconds=1), usegmt=True)
    assert (await answer(house, job, range="bytes=0-9", if_range=earlier)).status_code == 200


async def test_if_modified_since_completion_is_304(house: House) -> None:
    job = await completed(house)
    assert job.completed_at is not None
    for seconds, status in ((-1, 200), (0, 304), (1, 304)):
        since = format_datetime(job.completed_at + timedelta(seconds=seconds), usegmt=True)
        assert (await answer(house, job, if_modified_since=since)).status_code == status
        assert (await answer(house, job, if_modified_since=since, if_none_match='"other"')).status_code == 200
    for malformed in ("yesterday", "", "Fri, 99 Nov 2026 99:99:99 GMT", "Fri, 27 Nov 99999999999 17:00:00 GMT"):
        assert (await answer(house, job, if_modified_since=malformed)).status_code == 200


async def test_download_is_named_after_its_prompt(house: House) -> None:
    job = await completed(house)
    query = ContentQuery.model_validate({"download": "1"})
    assert (await answer(house, job, query)).headers["content-disposition"] == 'attachment; filename="a-paper-boat.mp4"'
    poster = ContentQuery(download=True, variant="thumbnail")
    assert (await answer(house, job, poster)).headers["content-disposition"].endswith('"a-paper-boat.jpg"')
    two = job.changed(outputs=job.outputs * 2)
    second = outputs.content(two, ContentQuery(download=True, index=1))
    assert second.filename == "a-paper-boat-2.mp4"
    nameless = job.changed(request=job.request.model_copy(update={"prompt": "!?"}))
    assert outputs.content(nameless, query).filename == f"{job.id}-0.mp4"


async def test_signed_url_has_the_requested_disposition(house: House) -> None:
    job = await completed(house)
    shown, saved = [
        (await content.signed_url(house.services, outputs.content(job, query))).url for query in (VIDEO, SAVED)
    ]
    assert "paper-boat" not in shown
    assert (
        unquote_plus(saved.partition("disposition=")[2].partition("&")[0]) == 'attachment; filename="a-paper-boat.mp4"'
    )
