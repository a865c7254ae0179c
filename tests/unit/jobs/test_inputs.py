"""Input images, extended videos, and requests that a client repeats."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from shared.api import views
from shared.api.videos import CreateVideo
from shared.core.documents import Job, Stage
from shared.core.errors import ApiError
from shared.jobs import inputs, queries, submission
from shared.maintenance import retention
from shared.media.image_workers import ImageWorkers
from shared.platform import passes
from shared.platform.ports import HttpAnswer, NotReached
from tests.unit.conftest import House, film
from tests.unit.media.test_images import picture

PNG = picture("PNG")
OTHER = picture("JPEG", (640, 360))
MINI = {"prompt": "a boat", "model": "omni-flash", "seconds": 3, "resolution": "360p"}


def inline(data: bytes) -> dict[str, str]:
    return {"data": base64.b64encode(data).decode()}


def data_url(data: bytes, head: str = "data:image/png;base64") -> dict[str, str]:
    return {"image_url": f"{head},{base64.b64encode(data).decode()}"}


def body_of(**body: Any) -> CreateVideo:
    return CreateVideo.model_validate(MINI | body)


async def refused(call: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize(
    "image",
    [
        {"data": base64.encodebytes(PNG).decode()},
        {"data": base64.encodebytes(PNG).decode().replace("\n", "\r\n    ")},
        {"data": data_url(PNG)["image_url"]},
        {"image_url": "data:image/png;base64,\n" + base64.encodebytes(PNG).decode()},
        {"image_url": " " + data_url(PNG)["image_url"]},
    ],
    ids=["lines", "indented lines", "a data URL in data", "lines in a data URL", "blanks before a data URL"],
)
async def test_image_is_read_from_any_base64_spelling(image: dict[str, str]) -> None:
    (given,) = await inputs.given(body_of(input_reference=image))
    assert given.data == PNG


class Web:
    """The world outside, as far as it has images."""

    def __init__(self, pages: Mapping[str, bytes]) -> None:
        self.pages = pages
        self.asked: list[str] = []

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        raise NotReached("nothing is posted")

    async def fetch(self, url: str, max_bytes: int, accept: str = "*/*") -> HttpAnswer:
        self.asked.append(url)
        if url not in self.pages:
            raise NotReached("the server returned 404")
        assert len(self.pages[url]) <= max_bytes
        return HttpAnswer(200, "text/plain", self.pages[url])


def with_web(house: House, **pages: bytes) -> Web:
    web = Web({f"https://example.com/{name}": data for name, data in pages.items()})
    house.services = replace(house.services, public_http=web)
    return web


# --- stored with the job ---


async def test_images_are_stored_before_the_job_is_committed(house: House) -> None:
    caller = await house.sign_up()
    job = await house.submit(caller, input_reference=inline(PNG), last_frame=data_url(OTHER))
    first, last = job.request.inputs
    assert (first.role, first.content_type, first.width_px, first.height_px) == ("first_frame", "image/png", 128, 96)
    assert (last.role, last.content_type, last.width_px, last.height_px) == ("last_frame", "image/jpeg", 640, 360)
    assert (house.read(first.object), house.read(last.object)) == (PNG, OTHER)
    assert f"/{job.tenant}/{job.account}/{job.id}/" in first.object
    shown = views.video(job, house.clock()).inputs
    assert [(each.role, each.size_bytes) for each in shown] == [("first_frame", len(PNG)), ("last_frame", len(OTHER))]


async def test_image_url_is_fetched(house: House) -> None:
    caller = await house.sign_up()
    web = with_web(house, cat=PNG)
    job = await house.submit(caller, input_reference={"image_url": "https://example.com/cat"})
    assert house.read(job.request.inputs[0].object) == PNG
    assert web.asked == ["https://example.com/cat"]


async def test_unreachable_image_url_is_named_and_charges_nothing(house: House) -> None:
    caller = await house.sign_up()
    with_web(house)
    body = body_of(reference_images=[inline(PNG), {"image_url": "https://example.com/gone"}])
    error = await refused(submission.submit(house.services, caller, body, None))
    assert (error.code, error.details) == ("IMAGE_NOT_FETCHED", {"field": "reference_images.1"})
    assert await house.files() == []
    assert (await house.account()).balance == 500


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (inline(b"no image"), "isn't a PNG"),
        ({"data": "?"}, "not valid base64"),
        ({"data": base64.b64encode(PNG).decode() + "-"}, "not valid base64"),
        ({"image_url": "data:image/png,abc"}, "must be in base64"),
        (data_url(PNG[:60]), "damaged"),
        (inline(picture("PNG", (32, 32))), "64 to 8192"),
        (inline(PNG + bytes(8 * 1024 * 1024)), "more than 8,388,608 bytes"),
    ],
)
async def test_unusable_image_is_rejected_with_the_reason(house: House, image: dict[str, str], why: str) -> None:
    caller = await house.sign_up()
    error = await refused(submission.submit(house.services, caller, body_of(input_reference=image), None))
    assert (error.code, error.entry.status, error.details["field"]) == ("INVALID_IMAGE", 400, "input_reference")
    assert why in (error.message or "")
    # The estimate says the same.
    assert await refused(submission.estimate(house.services, caller, body_of(input_reference=image))) == error
    assert house.store.documents(Job) == []
    assert await house.files() == []


async def test_estimate_checks_images_unless_refused_anyway(house: House) -> None:
    caller = await house.sign_up()
    web = with_web(house, cat=PNG, broken=PNG[:-4])
    for name, code in (("cat", None), ("broken", "INVALID_IMAGE"), ("nowhere", "IMAGE_NOT_FETCHED")):
        body = body_of(input_reference={"image_url": f"https://example.com/{name}"})
        if code is None:
            assert (await submission.estimate(house.services, caller, body)).accepted
        else:
            assert (await refused(submission.estimate(house.services, caller, body))).code == code
    asked = len(web.asked)
    house.configure(active_jobs_limit=0)
    assert (await submission.estimate(house.services, caller, body)).refusal == "TOO_MANY_ACTIVE_JOBS"
    assert len(web.asked) == asked
    assert await house.files() == []


async def test_temporary_read_failure_is_not_blamed_on_the_image(house: House) -> None:
    caller = await house.sign_up()
    house.services = replace(house.services, images=ImageWorkers(("/no/such/program",)))
    error = await refused(house.submit(caller, input_reference=inline(PNG)))
    assert (error.code, error.retry_after_s) == ("UNAVAILABLE", 5)
    assert house.store.documents(Job) == []


async def test_type_is_detected_from_the_bytes(house: House) -> None:
    """Not what the URL or the file's name says."""
    job = await house.submit(await house.sign_up(), input_reference=data_url(OTHER, "data:text/plain;base64"))
    assert job.request.inputs[0].content_type == "image/jpeg"
    assert job.request.inputs[0].object.endswith(".jpg")


@pytest.mark.parametrize("config", [{"enabled": False}, {"active_jobs_limit": 0}])
async def test_refused_request_fetches_and_stores_nothing(house: House, config: dict[str, Any]) -> None:
    caller = await house.sign_up()
    web = with_web(house, cat=PNG)
    house.configure(**config)
    await refused(house.submit(caller, input_reference={"image_url": "https://example.com/cat"}))
    assert web.asked == []
    assert await house.files() == []


async def test_late_refusal_removes_its_images(house: House) -> None:
    caller = await house.sign_up()

    async def disabled() -> None:
        await house.store.commit([(await house.account()).changed(disabled=True)])

    house.store.before("get_all", disabled)
    error = await refused(house.submit(caller, input_reference=inline(PNG)))
    assert error.code == "ACCOUNT_DISABLED"
    assert await house.files() == []


async def test_bucket_outage_is_unavailable_and_charges_nothing(house: House) -> None:
    caller = await house.sign_up()
    house.media.let_pass("write")
    house.media.fail("write")
    error = await refused(house.submit(caller, input_reference=inline(PNG), last_frame=inline(OTHER)))
    assert error.code == "UNAVAILABLE"
    assert (await house.account()).balance == 500
    assert await house.files() == []


# --- the same request again ---


async def test_same_key_and_images_give_the_same_job_in_any_form(house: House) -> None:
    caller = await house.sign_up()
    first = await submission.submit(house.services, caller, body_of(input_reference=inline(PNG)), "k")
    again = await submission.submit(house.services, caller, body_of(input_reference=data_url(PNG)), "k")
    assert (again.job.id, again.replayed) == (first.job.id, True)
    assert await house.files() == [each.object for each in first.job.request.inputs]


async def test_same_key_with_another_image_is_rejected(house: House) -> None:
    caller = await house.sign_up()
    await submission.submit(house.services, caller, body_of(input_reference=inline(PNG)), "k")
    for other in (body_of(input_reference=inline(OTHER)), body_of(), body_of(reference_images=[inline(PNG)])):
        assert (await refused(submission.submit(house.services, caller, other, "k"))).code == "IDEMPOTENCY_KEY_REUSED"
    assert len(await house.files()) == 1


async def test_replay_fetches_nothing(house: House) -> None:
    """What is behind a URL may be gone by then."""
    caller = await house.sign_up()
    web = with_web(house, cat=PNG)
    body = body_of(input_reference={"image_url": "https://example.com/cat"})
    first = await submission.submit(house.services, caller, body, "k")
    web.pages = {}
    assert (await submission.submit(house.services, caller, body, "k")).job.id == first.job.id


async def test_concurrent_same_key_leaves_one_jobs_images(house: House) -> None:
    """The loser removes its own images, never the winner's."""
    caller = await house.sign_up()
    body = body_of(input_reference=inline(PNG))
    winner: list[Job] = []

    async def wins() -> None:
        winner.append((await submission.submit(house.services, caller, body, "k")).job)

    house.media.before("write", wins)
    lost = await submission.submit(house.services, caller, body, "k")
    assert (lost.replayed, lost.job.id) == (True, winner[0].id)
    assert await house.files() == [each.object for each in winner[0].request.inputs]


# --- removed with the job's files ---


async def test_finished_video_keeps_its_images_until_deleted(house: House) -> None:
    caller = await house.sign_up()
    job = await house.run(await house.submit(caller, input_reference=inline(PNG)))
    assert job.stage is Stage.COMPLETED
    assert house.read(job.request.inputs[0].object) == PNG
    await queries.delete(house.services, caller, job.id)
    job = await house.run(job, lambda found: found.files_removed_at is not None)
    assert await house.files() == []
    assert job.request.inputs == ()


async def test_expired_video_loses_its_images(house: House) -> None:
    job = await house.run(await house.submit(await house.sign_up(), input_reference=inline(PNG)))
    house.clock.advance(366 * 86_400)
    await retention.apply_retention(house.services)
    await house.run(job, lambda found: found.files_removed_at is not None)
    assert await house.files() == []


async def test_never_started_job_loses_its_images(house: House) -> None:
    caller = await house.sign_up()
    job = await house.submit(caller, input_reference=inline(PNG))
    await submission.cancel(house.services, caller, job.id)
    await house.run(job)
    assert await house.files() == []
    house.check()


async def test_job_failed_at_once_loses_its_images(house: House) -> None:
    from shared.platform.provider import Rejected

    house.script(creates=[Rejected("PROMPT_REJECTED", "no")])
    job = await house.run(await house.submit(await house.sign_up(), input_reference=inline(PNG)))
    assert job.stage is Stage.FAILED
    assert await house.files() == []
    house.check()


async def test_images_of_a_crashed_request_are_swept_when_old(house: House) -> None:
    caller = await house.sign_up()
    kept = await house.submit(caller, input_reference=inline(PNG))
    images = await inputs.given(body_of(input_reference=inline(PNG)))
    await inputs.store(house.services, caller, "video_of_nobody", images)
    await inputs.store(house.services, caller, kept.id, images)
    house.clock.advance(12 * 3_600)
    assert await inputs.sweep(house.services) == 0, "a request may have begun before midnight"
    house.clock.advance(3_600)
    assert await inputs.sweep(house.services) == 2
    assert await house.files() == [kept.request.inputs[0].object]
    house.clock.advance(2 * 86_400)
    assert (await retention.apply_retention(house.services))["inputs_swept"] == 0


async def test_image_sweep_reads_each_once_in_pages_with_its_jobs(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "IMAGES_A_PAGE", 4)
    caller = await house.sign_up(balance=10_000)
    house.configure(active_jobs_limit=500)
    kept = [await house.submit(caller, input_reference=inline(PNG)) for _ in range(7)]
    house.clock.advance(2 * 86_400)
    later = await house.submit(caller, input_reference=inline(PNG))

    async def slow() -> None:
        house.clock.advance(passes.PASS_FOR.total_seconds())

    house.media.before("page", slow)
    for _ in range(3):
        await inputs.sweep(house.services)
    assert (house.store.calls["get_many"], house.media.calls["list"]) == (2, 0)
    assert house.media.calls["page"] == 4, "two pages, and that there is no more, twice"
    assert len(await house.files()) == len([*kept, later])


# --- going on from a video ---


async def finished(house: House, caller: Any) -> Job:
    return await house.run(await house.submit(caller))


async def test_extension_costs_what_it_adds_and_is_as_long_as_both(house: House) -> None:
    caller = await house.sign_up()
    source = await finished(house, caller)
    house.configure(credits_per_second=3, extension_credits_per_second=20)
    house.omni.video = film(7, 640, 360)
    job = await house.submit(caller, extends=source.id, seconds=4, resolution=None)
    assert job.request.extends is not None
    assert (job.cost, job.request.size, job.request.extends.object) == (80, "640x360", source.outputs[0].object)
    job = await house.run(job)
    assert job.stage is Stage.COMPLETED
    assert job.outputs[0].seconds == pytest.approx(7, abs=0.1)
    shown = views.video(job, house.clock())
    assert (shown.seconds, shown.added_seconds, shown.extends) == ("7", 4, source.id)
    house.check()


async def test_extension_without_the_original_part_is_rejected(house: House) -> None:
    caller = await house.sign_up()
    source = await finished(house, caller)
    job = await house.run(await house.submit(caller, extends=source.id, seconds=3, resolution=None))
    assert (job.stage, job.error.code if job.error else None) == (Stage.FAILED, "INVALID_VIDEO")
    assert house.amounts(job) == [-30, 30]


async def test_extension_defaults_to_the_videos_model(house: House) -> None:
    caller = await house.sign_up()
    source = await finished(house, caller)
    job = await house.submit(caller, extends=source.id, model=None, resolution=None)
    assert job.request.model == "omni-flash"


async def test_extension_estimate_is_its_cost(house: House) -> None:
    caller = await house.sign_up()
    source = await finished(house, caller)
    body = CreateVideo(prompt="and then", extends=source.id, seconds=5)
    estimate = await submission.estimate(house.services, caller, body)
    assert (estimate.cost, estimate.seconds, estimate.size) == (50, "8", "640x360")


async def test_another_users_video_cannot_be_extended(house: House) -> None:
    source = await finished(house, await house.sign_up())
    body = CreateVideo(prompt="and then", extends=source.id)
    error = await refused(submission.submit(house.services, await house.sign_up("bob"), body, None))
    assert error.code == "NOT_FOUND"


@pytest.mark.parametrize(
    ("end", "code"), [("running", "JOB_NOT_FINISHED"), ("canceled", "VIDEO_NOT_AVAILABLE"), ("expired", "GONE")]
)
async def test_missing_video_cannot_be_extended(house: House, end: str, code: str) -> None:
    caller = await house.sign_up()
    if end == "expired":
        source = await finished(house, caller)
        house.clock.advance(366 * 86_400)
        await retention.apply_retention(house.services)
    else:
        source = await house.submit(caller)
    if end == "canceled":
        await submission.cancel(house.services, caller, source.id)
    error = await refused(
        submission.submit(house.services, caller, CreateVideo(prompt="and then", extends=source.id), None)
    )
    assert error.code == code


async def test_replay_works_after_the_extended_video_was_deleted(house: House) -> None:
    caller = await house.sign_up()
    source = await finished(house, caller)
    body = CreateVideo(prompt="and then", extends=source.id)
    first = await submission.submit(house.services, caller, body, "k")
    await queries.delete(house.services, caller, source.id)
    assert (await submission.submit(house.services, caller, body, "k")).job.id == first.job.id


# --- a client that sends a request again by itself ---


async def test_retry_gets_the_first_requests_job(house: House) -> None:
    caller = await house.sign_up()
    first = await submission.submit(house.services, caller, body_of(), None)
    again = await submission.submit(house.services, caller, body_of(), None, repeats=1)
    assert (again.job.id, again.replayed) == (first.job.id, True)
    assert house.amounts(first.job) == [-30]
    house.check()


async def test_retry_of_a_failed_request_creates_a_job(house: House) -> None:
    caller = await house.sign_up()
    await submission.submit(house.services, caller, body_of(prompt="another"), None)
    assert not (await submission.submit(house.services, caller, body_of(), None, repeats=1)).replayed


async def test_each_retry_number_claims_a_job_once(house: House) -> None:
    caller = await house.sign_up()
    older = await submission.submit(house.services, caller, body_of(), None)
    house.clock.advance(1)
    newer = await submission.submit(house.services, caller, body_of(), None)
    taken = [await submission.submit(house.services, caller, body_of(), None, repeats=1) for _ in range(3)]
    assert [each.job.id for each in taken[:2]] == [older.job.id, newer.job.id]
    assert not taken[2].replayed
    again = await submission.submit(house.services, caller, body_of(), None, repeats=2)
    assert again.job.id == older.job.id


async def test_retry_with_a_lost_commit_claims_one_job(house: House) -> None:
    caller = await house.sign_up()
    older = await submission.submit(house.services, caller, body_of(), None)
    house.clock.advance(1)
    newer = await submission.submit(house.services, caller, body_of(), None)
    house.store.lose("commit")
    again = await submission.submit(house.services, caller, body_of(), None, repeats=1)
    assert again.job.id == older.job.id
    assert (await house.job(newer.job.id)).repeats_taken == 0


async def test_two_first_requests_are_two_jobs(house: House) -> None:
    caller = await house.sign_up()
    one = await submission.submit(house.services, caller, body_of(), None)
    assert (await submission.submit(house.services, caller, body_of(), None)).job.id != one.job.id


async def test_retry_is_recognized_for_10_minutes(house: House) -> None:
    caller = await house.sign_up()
    first = await submission.submit(house.services, caller, body_of(), None)
    house.clock.advance(11 * 60)
    again = await submission.submit(house.services, caller, body_of(), None, repeats=1)
    assert again.job.id != first.job.id


async def test_job_with_a_key_is_not_matched_to_retries(house: House) -> None:
    caller = await house.sign_up()
    keyed = await submission.submit(house.services, caller, body_of(), "k")
    assert (await submission.submit(house.services, caller, body_of(), None, repeats=1)).job.id != keyed.job.id


async def test_retry_with_images_leaves_no_second_images(house: House) -> None:
    caller = await house.sign_up()
    body = body_of(input_reference=inline(PNG))
    first = await submission.submit(house.services, caller, body, None)
    again = await submission.submit(house.services, caller, body, None, repeats=1)
    assert again.job.id == first.job.id
    assert len(await house.files()) == 1


async def test_retry_gets_its_job_even_when_nothing_can_be_submitted(house: House) -> None:
    caller = await house.sign_up(balance=30)
    first = await submission.submit(house.services, caller, body_of(), None)
    assert (await submission.submit(house.services, caller, body_of(), None, repeats=1)).job.id == first.job.id


async def test_first_request_committed_during_its_retry_is_found(house: House) -> None:
    """The retry's own commit conflicts with a changed account, so it searches again."""
    caller = await house.sign_up()
    first: list[Job] = []

    async def commits() -> None:
        plan = await submission._plan(house.services, caller, body_of(), None, house.config.config)
        from shared.core import lifecycle
        from shared.jobs import transitions

        account = await house.account()
        change = lifecycle.submit(plan, account, house.clock(), house.config.config)
        first.append(await transitions.commit(house.services, transitions.with_change_id(change, house.services.ids())))

    house.store.before("commit", commits)
    again = await submission.submit(house.services, caller, body_of(), None, repeats=1)
    assert (again.replayed, again.job.id) == (True, first[0].id)
    house.check()


# --- models that were replaced ---


async def test_replaced_model_gives_a_video_and_a_warning(house: House) -> None:
    caller = await house.sign_up()
    job = await house.submit(caller, model="sora-2", seconds=12, resolution=None)
    assert (job.request.model, job.request.seconds, job.cost) == ("veo-3.1-fast", 8, 80)
    shown = views.video(job, house.clock())
    assert [warning.code for warning in shown.warnings] == ["MODEL_REPLACED", "SECONDS_CHANGED"]


async def test_estimate_warns_too(house: House) -> None:
    body = CreateVideo(prompt="p", model="veo-3.0-generate-preview")
    estimate = await submission.estimate(house.services, await house.sign_up(), body)
    assert (estimate.model, [each.code for each in estimate.warnings]) == ("veo-3.1", ["MODEL_REPLACED"])


async def test_administrators_can_forbid_replacements(house: House) -> None:
    caller = await house.sign_up()
    house.configure(allow_replacements=False)
    error = await refused(house.submit(caller, model="sora-2", resolution=None))
    assert (error.code, error.details["successor"]) == ("MODEL_NOT_FOUND", "veo-3.1-fast")


async def test_tenant_can_set_its_default_model(house: House) -> None:
    caller = await house.sign_up()
    house.configure(default_models={"default": "omni-flash", "other": "veo-3.1"})
    assert (await house.submit(caller, model=None)).request.model == "omni-flash"
    default = [each.id for each in (await queries.models(house.services, caller)).data if each.default]
    assert default == ["omni-flash"]


async def test_unavailable_default_is_skipped(house: House) -> None:
    caller = await house.sign_up()
    house.configure(default_models={"default": "veo-99"})
    assert (await house.submit(caller, model=None, resolution=None, seconds=4)).request.model == "veo-3.1-fast"


async def test_model_can_be_read_by_any_of_its_names(house: House) -> None:
    caller = await house.sign_up()
    for name in ("veo-3.1-fast", "veo-3.1-fast-generate-001", "sora-2"):
        model = await queries.model(house.services, caller, name)
        assert (model.id, model.default, model.owned_by) == ("veo-3.1-fast", True, "google")
        assert "sora-2" in model.replaces
    house.configure(allow_replacements=False)
    for name in ("sora-2", "veo-99"):
        assert (await refused(queries.model(house.services, caller, name))).code == "NOT_FOUND"
