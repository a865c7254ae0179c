"""From the provider to our bucket: quick tries, verification, the poster frame, the lease meanwhile."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from local.memory.generator import Videos
from local.memory.media import MemoryObjectStore
from shared.core import events, lifecycle
from shared.core.documents import Job, Stage
from shared.core.errors import StorageRefused
from shared.jobs import queries, storing
from shared.jobs.transitions import apply
from shared.media import video
from tests.unit.conftest import BUCKET, House, film

CUT = ConnectionError("cut")
TRIES_OF_A_DELIVERY = 1 + len(storing.QUICK_TRIES_AFTER_S)


async def generating(house: House, veo: bool = False) -> Job:
    caller = await house.sign_up()
    return await house.until(await (house.submit_veo(caller) if veo else house.submit(caller)), "generating")


async def stored(house: House, veo: bool = False) -> Job:
    """The job after the delivery that learned of its video."""
    job = await generating(house, veo)
    await house.deliver(job)
    return await house.job(job.id)


async def test_stored_files_match_the_record(house: House, small_video: bytes) -> None:
    job = await stored(house)
    (output,) = job.outputs
    assert output.object == f"{job.prefix}0.mp4"
    assert house.read(output.object) == small_video
    assert (output.size_bytes, output.seconds, output.width_px, output.height_px) == (len(small_video), 3.0, 640, 360)
    house.check()


async def test_poster_is_an_image_under_another_prefix(house: House) -> None:
    job = await stored(house)
    poster = job.outputs[0].poster
    assert poster == f"posters/{job.tenant}/{job.account}/{job.id}/1/0.jpg"
    assert (house.read(poster) or b"").startswith(b"\xff\xd8")


async def test_video_already_in_our_bucket_is_not_copied(house: House) -> None:
    job = await stored(house, veo=True)
    assert job.stage is Stage.COMPLETED
    assert house.veo.fetches == []
    assert job.outputs[0].uri == f"gs://{BUCKET}/{job.outputs[0].object}"


@pytest.mark.parametrize("cuts", [1, 2, 3])
async def test_cut_download_recovers_within_seconds(house: House, cuts: int) -> None:
    house.script(fetches=[CUT] * cuts)
    job = await generating(house)
    began = house.clock()
    await house.deliver(job)
    assert (await house.job(job.id)).stage is Stage.COMPLETED
    assert (house.clock() - began).total_seconds() == sum(storing.QUICK_TRIES_AFTER_S[:cuts])
    assert len(house.omni.fetches) == cuts + 1
    house.check()


async def test_cut_download_leaves_no_partial_object(house: House) -> None:
    house.script(fetches=[CUT] * 100)
    await stored(house)
    assert await house.files() == []


async def test_after_four_failures_the_queue_retries(house: House) -> None:
    house.script(fetches=[CUT] * 4)
    job = await stored(house)
    assert (job.stage, job.storing_tries, job.lease) == (Stage.STORING, 1, None)
    assert len(house.omni.fetches) == 4
    assert await house.queue.exists(job.task)
    assert (await house.run(job)).stage is Stage.COMPLETED
    house.check()


async def test_storing_past_its_deadline_fails_with_refund(house: House) -> None:
    house.script(fetches=[CUT] * 100_000)
    began = house.clock()
    job = await house.run(await stored(house), lambda job: job.final)
    assert job.error is not None
    assert job.error.code == "STORING_FAILED"
    assert (house.clock() - began).total_seconds() >= house.config.config.storing_timeout_s
    assert house.amounts(job) == [-30, 30]


@pytest.mark.parametrize(
    ("seconds", "width", "height", "container", "reason"),
    [
        (4, 640, 360, "mp4", "4.00 s long instead of 3 s"),
        (3, 640, 352, "mp4", "640x352 instead of 640x360"),
        (3, 640, 360, "matroska", "not mp4"),
    ],
)
async def test_wrong_video_fails_with_refund(
    house: House, seconds: int, width: int, height: int, container: str, reason: str
) -> None:
    house.omni.video = film(seconds, width, height, container)
    job = await stored(house)
    assert job.error is not None
    assert job.error.code == "INVALID_VIDEO"
    assert reason in (job.error.reason or "")
    assert house.amounts(job) == [-30, 30]
    await house.run(job)
    assert await house.files() == []


@pytest.mark.parametrize("junk", [b"", b"x" * 1_000, b"\0" * 50_000])
async def test_non_video_file_fails_with_refund(house: House, junk: bytes) -> None:
    house.omni.video = junk
    job = await stored(house)
    assert job.error is not None
    assert job.error.code == "INVALID_VIDEO"
    assert house.amounts(job) == [-30, 30]


async def test_wrong_file_is_downloaded_again_before_failing(
    house: House, small_video: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [small_video[: len(small_video) // 2], small_video]
    monkeypatch.setattr(house.omni, "download", lambda uri, destination: destination.write(files.pop(0)))
    assert (await stored(house)).stage is Stage.COMPLETED
    house.check()


async def test_files_that_differ_each_time_are_not_blamed_on_the_provider(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(1_000))
    monkeypatch.setattr(
        house.omni, "download", lambda uri, destination: destination.write(b"%d" % next(numbers) * 2_000)
    )
    job = await stored(house)
    assert (job.stage, job.storing_tries) == (Stage.STORING, 1)


async def test_wrong_provider_written_file_is_kept_until_the_end(house: House) -> None:
    house.veo.video = film(6, 1280, 720)
    job = await stored(house, veo=True)
    assert job.error is not None
    assert job.error.code == "INVALID_VIDEO"
    assert len(await house.files()) == 1
    await house.run(job)
    assert await house.files() == []


async def test_one_bad_video_of_several_fails_the_job(house: House, veo_video: bytes) -> None:
    house.script(looks=[Videos(2)])
    job = await house.until(await house.submit_veo(await house.sign_up(), count=2), "generating")

    async def spoiled() -> None:
        name = f"{job.prefix}1/sample_1.mp4"
        await house.media._inner.delete(name)
        await house.media._inner.write(name, lambda file: file.write(b"x" * 5_000) and None, "video/mp4")

    house.media.before("stat", spoiled)
    await house.deliver(job)
    failed = await house.job(job.id)
    assert failed.stage is Stage.FAILED
    assert house.amounts(job) == [-80, 80]


async def test_promised_but_missing_file_is_awaited(house: House) -> None:
    job = await generating(house, veo=True)

    async def lost() -> None:
        await house.media._inner.delete(job.prefix)

    house.media.before("stat", lost)
    await house.deliver(job)
    assert (await house.job(job.id)).stage is Stage.STORING


async def test_bytes_stored_earlier_are_not_downloaded_again(house: House) -> None:
    job = await generating(house)
    house.media.let_pass("write")
    house.media.fail("write", times=4)
    await house.deliver(job)
    assert (await house.run(job)).stage is Stage.COMPLETED
    assert len(house.omni.fetches) == 1
    house.check()


async def test_poster_stored_earlier_is_kept(house: House) -> None:
    job = await generating(house)
    poster = f"{job.posters_prefix}{job.attempt}/0.jpg"
    await house.media.write(poster, lambda file: file.write(b"other") and None, "image/jpeg")
    await house.deliver(job)
    assert (await house.job(job.id)).stage is Stage.COMPLETED
    assert house.read(poster) == b"other"


async def test_lease_is_renewed_while_bytes_flow(house: House) -> None:
    job = await generating(house)
    left_s = []

    async def slow(call: Callable[[], Any]) -> Any:
        for _ in range(100):
            await house.clock.sleep(lifecycle.LEASE_S / 10)
            lease = (await house.job(job.id)).lease
            assert lease is not None
            left_s.append((lease.until - house.clock()).total_seconds())
        return call()

    house.media._inner = MemoryObjectStore(BUCKET, clock=house.clock, run=slow)
    await house.deliver(job)
    assert (await house.job(job.id)).stage is Stage.COMPLETED
    assert min(left_s) > lifecycle.LEASE_S / 2
    house.check()


async def test_delivery_during_long_storing_is_retried(house: House) -> None:
    job = await generating(house)
    verdicts = []

    async def slow(call: Callable[[], Any]) -> Any:
        await house.clock.sleep(5 * lifecycle.LEASE_S)
        verdicts.append(await house.deliver(job))
        return call()

    house.media._inner = MemoryObjectStore(BUCKET, clock=house.clock, run=slow)
    await house.deliver(job)
    assert {result.value for result in verdicts} == {500}
    assert len(house.omni.fetches) == 1


async def test_failed_renewal_is_retried(house: House) -> None:
    job = await generating(house)

    async def slow(call: Callable[[], Any]) -> Any:
        house.store.fail("get")
        await house.clock.sleep(lifecycle.LEASE_S)
        return call()

    house.media._inner = MemoryObjectStore(BUCKET, clock=house.clock, run=slow)
    await house.deliver(job)
    assert (await house.job(job.id)).stage is Stage.COMPLETED


async def test_lease_is_not_renewed_after_storing(house: House) -> None:
    await stored(house)
    reads = house.store.calls["get"]
    await house.clock.sleep(10 * lifecycle.LEASE_S)
    assert house.store.calls["get"] == reads


async def test_bucket_outage_costs_only_time(house: House) -> None:
    job = await generating(house)
    house.media.fail("stat", times=9)
    await house.deliver(job)
    assert (await house.run(job)).stage is Stage.COMPLETED
    house.check()


@pytest.mark.parametrize("effect", ["write", "use", "stat"])
async def test_temporary_storage_refusal_is_reported_at_once_and_costs_only_time(
    house: House, effect: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A change of a permission takes minutes to arrive, and 403 is a rate limit too."""
    job = await generating(house)
    house.media.fail(effect, times=3 * TRIES_OF_A_DELIVERY, error=StorageRefused)
    await house.deliver(job)
    assert (await house.job(job.id)).stage is Stage.STORING
    assert '"storage_refused"' in capsys.readouterr().out
    assert (await house.run(job)).stage is Stage.COMPLETED
    house.check()


async def test_storage_refusal_until_the_deadline_fails_with_refund(
    house: House,
) -> None:
    job = await generating(house, veo=True)
    house.media.fail("stat", times=10_000, error=StorageRefused)
    began = house.clock()
    ended = await house.run(job, lambda job: job.final)
    assert (ended.stage, ended.error and ended.error.code) == (Stage.FAILED, "STORAGE_REFUSED")
    assert (house.clock() - began).total_seconds() >= house.config.config.storing_timeout_s
    assert ended.refunded == ended.cost
    assert len(await house.files()) == 1, "only the cleaning up after the end removes it"


async def test_storing_stalled_past_its_deadline_is_done_by_the_next_delivery(house: House) -> None:
    job = await generating(house, veo=True)
    await house.veo.poll(job.operation or "")
    uris = house.veo.started[job.operation or ""].uris
    await apply(house.services, job.id, events.GenerationFinished(job.step, "dead", uris))
    house.clock.advance(house.config.config.storing_timeout_s + 100)
    await house.deliver(job)
    assert (await house.job(job.id)).stage is Stage.COMPLETED
    house.check()


# --- what a file is ---


def test_metadata_is_measured_from_the_file(small_video: bytes) -> None:
    facts = video.inspect(io.BytesIO(small_video))
    assert (facts.seconds, facts.width_px, facts.height_px) == (3.0, 640, 360)
    assert facts.poster.startswith(b"\xff\xd8")


@pytest.mark.parametrize("model", ["omni-flash", "veo-3.1-fast"])
async def test_bucket_metadata_describes_the_video_until_it_is_deleted(house: House, model: str) -> None:
    caller = await house.sign_up()
    submit = house.submit if model == "omni-flash" else house.submit_veo
    job = await house.run(await submit(caller, prompt="a paper boat\nin the rain"))
    (output,) = job.outputs
    said = house.media._files.find(output.object).fields
    assert said["contentDisposition"] == 'inline; filename="a-paper-boat-in-the-rain.mp4"'
    assert said["metadata"] == {
        "job": job.id,
        "kind": "video",
        "model": model,
        "index": "0",
        "prompt": "a paper boat in the rain",
    }
    await queries.delete(house.services, caller, job.id)
    await house.run(await house.job(job.id))
    assert await house.files() == []


async def test_video_whose_metadata_cannot_be_set_still_completes(house: House, capsys: Any) -> None:
    house.media.fail("describe", times=100, error=StorageRefused)
    job = await house.run(await house.submit(await house.sign_up()))
    assert job.stage is Stage.COMPLETED
    assert "object_not_described" in capsys.readouterr().out
