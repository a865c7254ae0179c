"""Who makes a video whose start was rejected: the pure choice, and what a delivery makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from local.memory.generator import Script, ScriptedGenerator
from shared.core import live_config
from shared.core.catalog import MODELS, Offering
from shared.core.documents import Extends, Input, InputRole, Job, LiveSettings, Stage
from shared.core.errors import ApiError
from shared.jobs import failover, retired_models, submission
from shared.jobs.failover import BUSY, RETIRED
from shared.jobs.worker import TaskResult
from shared.platform.provider import Rejected, Throttled
from tests.unit.conftest import House
from tests.unit.life import Life

EVERYBODY = Offering(frozenset({"vertex", "vertex-omni", "gemini"}))
CONFIG = LiveSettings()
GONE = Rejected(RETIRED, "Publisher Model was not found or your project does not have access to it")


def queued(failover_: bool = False, provider: str = "vertex", **request: Any) -> Job:
    job: Job = Life(**request).job.changed(failover=failover_, provider=provider)
    return job


def chosen(job: Job, rejection: str, offering: Offering = EVERYBODY, config: LiveSettings = CONFIG) -> Any:
    """The provider and model; None if there is none."""
    found = failover.alternative(job, rejection, offering, config)
    return (found.provider, found.request.model) if found is not None else None


def image(role: InputRole) -> Input:
    return Input(
        role=role, object="o", content_type="image/png", size_bytes=1, crc32c="AAAAAA==", width_px=1, height_px=1
    )


# --- the choice ---


@pytest.mark.parametrize(
    ("job", "rejection", "who"),
    [
        (queued(), RETIRED, ("vertex-omni", "omni-flash")),
        (queued(), BUSY, None),
        (queued(), "PROVIDER_DENIED", None),
        (queued(failover_=True), BUSY, ("vertex-omni", "omni-flash")),
        (queued(failover_=True), "PROVIDER_DENIED", ("vertex-omni", "omni-flash")),
        (queued(failover_=True), RETIRED, ("vertex-omni", "omni-flash")),
        # What is wrong with the prompt is wrong with it everywhere.
        (queued(failover_=True), "SAFETY_BLOCKED", None),
        (queued(failover_=True), "PROMPT_REJECTED", None),
        (queued(failover_=True), "PROMPT_TOO_LONG", None),
        # The same model comes first.
        (queued(provider="vertex-omni", model="omni-flash"), RETIRED, ("gemini", "omni-flash")),
        (queued(failover_=True, provider="vertex-omni", model="omni-flash"), BUSY, ("gemini", "omni-flash")),
        (queued(provider="vertex-omni", model="omni-flash"), BUSY, None),
    ],
)
def test_replacement_models(job: Job, rejection: str, who: tuple[str, str] | None) -> None:
    assert chosen(job, rejection) == who


@pytest.mark.parametrize(
    ("request_", "made"),
    [
        ({"resolution": "1080p", "seconds": 8}, True),
        ({"resolution": "4k", "seconds": 8}, True),
        ({"inputs": (image("first_frame"), image("last_frame"))}, True),
        ({"inputs": (image("reference"),) * 3}, True),
        ({"negative_prompt": "rain"}, False),
        ({"count": 2}, False),
        ({"generate_audio": False}, False),
        ({"person_generation": "dont_allow"}, False),
        ({"extends": Extends(job="v", object="o", seconds=8.0, size_bytes=1), "seconds": 7}, True),
        ({"extends": Extends(job="v", object="o", seconds=24.0, size_bytes=1), "seconds": 7}, False),
    ],
)
def test_only_a_fully_capable_model_replaces(request_: dict[str, Any], made: bool) -> None:
    assert chosen(queued(model="veo-3.1", **request_), RETIRED) == (("vertex-omni", "omni-flash") if made else None)


def test_veo_cannot_replace_omni_only_features() -> None:
    job = queued(failover_=True, provider="gemini", model="omni-flash", seconds=15)
    assert chosen(job, BUSY, Offering(frozenset({"vertex", "gemini"}))) is None
    assert chosen(job.changed(request=job.request.model_copy(update={"seconds": 8})), BUSY) is not None


def test_failover_never_costs_more_and_keeps_the_old_price() -> None:
    dear = LiveSettings(credits_per_second_by_model={"omni-flash": 11})
    job = queued(failover_=True)
    assert chosen(job, BUSY, config=dear) is None
    assert chosen(job, RETIRED, config=dear) == ("vertex-omni", "omni-flash")


def test_replacements_can_be_forbidden() -> None:
    forbidden = LiveSettings(allow_replacements=False)
    assert chosen(queued(), RETIRED, config=forbidden) is None
    # The same model of another provider is no replacement.
    omni = queued(provider="vertex-omni", model="omni-flash")
    assert chosen(omni, RETIRED, config=forbidden) == ("gemini", "omni-flash")


def test_no_model_is_tried_twice() -> None:
    job = queued(failover_=True).changed(rejected_by=("vertex-omni omni-flash",))
    assert chosen(job, BUSY) == ("gemini", "omni-flash")
    assert chosen(job.changed(rejected_by=("vertex-omni omni-flash", "gemini omni-flash")), BUSY) is None


def test_known_retired_model_is_not_chosen() -> None:
    offering = replace(EVERYBODY, retired=frozenset({"vertex-omni omni-flash"}))
    assert chosen(queued(), RETIRED, offering) == ("gemini", "omni-flash")


def test_possibly_started_job_is_not_moved() -> None:
    job = queued(failover_=True)
    assert chosen(job.changed(attempt=1), BUSY) is None
    assert chosen(job.changed(stage=Stage.STARTING, attempt=2), RETIRED) is None
    assert chosen(job.changed(stage=Stage.STARTING, attempt=1), RETIRED) is not None


@pytest.mark.parametrize(
    ("providers", "retired", "provider"),
    [
        ({"vertex", "gemini"}, {"vertex veo-3.1"}, None),
        ({"vertex"}, {"vertex veo-3.1"}, "vertex"),
        ({"vertex", "gemini"}, {"vertex veo-3.1", "gemini omni-flash"}, "vertex"),
        ({"vertex", "gemini"}, {"vertex-omni veo-3.1"}, "vertex"),
    ],
)
def test_retired_model_is_offered_only_without_a_successor(
    providers: set[str], retired: set[str], provider: str | None
) -> None:
    assert Offering(frozenset(providers), {}, frozenset(retired)).provider(MODELS["veo-3.1"]) == provider


# --- the deliveries ---


@pytest.fixture
def three(house: House, veo_video: bytes) -> ScriptedGenerator:
    """Omni on Vertex AI too; like Veo it writes into our bucket."""
    omni = ScriptedGenerator(media=house.media, video=veo_video)
    house.services.providers.by_provider["vertex-omni"] = omni
    house.with_stored_config()
    house.store.edit_config("video", {"signup_credits": 500})
    return omni


async def test_retired_model_is_replaced_for_this_and_new_jobs(
    house: House, three: ScriptedGenerator, capsys: Any
) -> None:
    alice = await house.sign_up()
    house.veo.script = Script(creates=[GONE])
    job = await house.run(await house.submit_veo(alice))
    assert (job.stage, job.provider, job.request.model) == (Stage.COMPLETED, "vertex-omni", "omni-flash")
    assert (len(house.veo.creates), len(three.creates), job.attempt) == (1, 1, 1)
    assert [each.code for each in job.warnings] == ["MODEL_REPLACED"]
    assert '"model_retired"' in capsys.readouterr().out
    house.check()
    house.clock.advance(live_config.KEPT_FOR.total_seconds())
    following = await house.submit_veo(alice)
    assert (following.request.model, [each.code for each in following.warnings]) == ("omni-flash", ["MODEL_REPLACED"])


async def test_retired_model_is_retried_after_an_hour(house: House, three: ScriptedGenerator) -> None:
    alice = await house.sign_up()
    house.veo.script = Script(creates=[GONE])
    await house.run(await house.submit_veo(alice))
    house.veo.script = Script()
    house.clock.advance(retired_models.BELIEVED_FOR.total_seconds() + live_config.KEPT_FOR.total_seconds())
    job = await house.run(await house.submit_veo(alice))
    assert (job.provider, job.request.model, job.warnings) == ("vertex", "veo-3.1-fast", ())


async def test_retired_model_without_capable_successor_fails_with_refund(
    house: House, three: ScriptedGenerator
) -> None:
    house.veo.script = Script(creates=[GONE])
    job = await house.run(await house.submit_veo(await house.sign_up(), negative_prompt="rain"))
    assert job.error is not None
    assert (job.error.code, job.refunded) == ("MODEL_RETIRED", job.cost)
    house.check()


async def test_invalid_retired_models_document_is_ignored_and_replaced(house: House, three: ScriptedGenerator) -> None:
    house.store.edit_config("retired_models", {"until": "never"})
    alice = await house.sign_up()
    house.veo.script = Script(creates=[GONE])
    job = await house.run(await house.submit_veo(alice))
    assert job.stage is Stage.COMPLETED
    assert list(house.store.fields("config", "retired_models")["until"]) == ["vertex veo-3.1-fast"]


async def test_unconfigured_model_is_not_recorded_as_retired(house: House, three: ScriptedGenerator) -> None:
    job = await house.submit_veo(await house.sign_up())
    house.services.providers.by_provider.pop("vertex")
    job = await house.run(job)
    assert (job.stage, job.request.model) == (Stage.COMPLETED, "omni-flash")
    assert await house.store.read_config("retired_models") == {}


async def test_busy_provider_is_left_at_once_only_on_request(house: House, three: ScriptedGenerator) -> None:
    alice = await house.sign_up()
    house.veo.script = Script(creates=[Throttled("429", 30.0), Throttled("429", 30.0), None])
    moved = await house.submit_veo(alice, failover=True)
    # The queue still slows down: other starts would be rejected too.
    assert await house.deliver(moved, 0) is TaskResult.THROTTLE
    moved = await house.run(await house.job(moved.id))
    assert (moved.provider, [each.code for each in moved.warnings]) == ("vertex-omni", ["FAILED_OVER"])
    stayed = await house.run(await house.submit_veo(alice))
    assert (stayed.provider, stayed.warnings) == ("vertex", ())
    house.check()


async def test_uncertain_start_is_never_moved(house: House, three: ScriptedGenerator) -> None:
    house.store.edit_config("video", {"uncertain_policy": "restart_once"})
    house.veo.script = Script(creates=[ConnectionError("cut"), GONE])
    job = await house.run(await house.submit_veo(await house.sign_up(), failover=True))
    assert job.error is not None
    assert (job.error.code, job.refunded, len(three.creates)) == ("MODEL_RETIRED", job.cost, 0)


async def test_savings_of_a_cheaper_model_are_refunded_at_the_end(house: House, three: ScriptedGenerator) -> None:
    house.store.edit_config("video", {"credits_per_second_by_model": {"omni-flash": 4}})
    house.veo.script = Script(creates=[Throttled("429")])
    job = await house.run(await house.submit_veo(await house.sign_up(), failover=True))
    assert (job.stage, job.cost, job.price, job.refunded) == (Stage.COMPLETED, 40, 16, 24)
    assert house.amounts(job) == [-40, 24]
    house.check()


async def test_cancel_after_failover_refunds_the_difference(house: House, three: ScriptedGenerator) -> None:
    house.store.edit_config("video", {"credits_per_second_by_model": {"omni-flash": 4}})
    house.veo.script = Script(creates=[Throttled("429")])
    alice = await house.sign_up()
    job = await house.run(await house.submit_veo(alice, failover=True), lambda job: job.stage is Stage.GENERATING)
    assert (await submission.cancel(house.services, alice, job.id)).refunded == 24


async def test_failover_start_is_paced_by_the_new_models_queue(house: House, three: ScriptedGenerator) -> None:
    house.veo.script = Script(creates=[GONE])
    job = await house.submit_veo(await house.sign_up())
    await house.deliver(job, 0)
    moved = await house.job(job.id)
    assert (moved.stage, moved.attempt, moved.task.queue) == (Stage.QUEUED, 0, MODELS["omni-flash"].queue)
    assert moved.due_at == house.clock()


async def test_explicitly_named_retired_model_can_be_refused(house: House, three: ScriptedGenerator) -> None:
    until = house.clock() + timedelta(minutes=5)
    house.store.edit_config("retired_models", {"until": {"vertex veo-3.1-fast": until}})
    house.store.edit_config("video", {"allow_replacements": False})
    with pytest.raises(ApiError) as error:
        await house.submit_veo(await house.sign_up())
    assert (error.value.code, error.value.details["successor"]) == ("MODEL_NOT_FOUND", "omni-flash")
