"""Live settings, which an administrator edits while it runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.core.catalog import MODELS
from shared.core.documents import LiveSettings
from shared.core.errors import Conflict, Unavailable
from shared.core.live_config import expected_duration_s
from shared.gateways.live_settings import StoredLiveSettings
from shared.jobs.worker import TaskResult
from tests.unit.conftest import SETTINGS, House
from tests.unit.core.test_pricing import request


def config_of(house: House) -> StoredLiveSettings:
    return StoredLiveSettings(SETTINGS, house.store, house.clock)


async def test_missing_document_means_defaults(house: House) -> None:
    assert await config_of(house).get() == LiveSettings(signup_credits=SETTINGS.signup_credits)


async def test_edit_applies_within_a_minute(house: House) -> None:
    config = config_of(house)
    await config.get()
    house.store.edit_config("video", {"credits_per_second": 7})
    house.clock.advance(59)
    assert (await config.get()).credits_per_second == 10
    house.clock.advance(1)
    assert (await config.get()).credits_per_second == 7


async def test_unset_value_keeps_its_default(house: House) -> None:
    house.store.edit_config("video", {"retention_days": 30})
    assert await config_of(house).get() == LiveSettings(signup_credits=500, retention_days=30)


async def test_removed_document_restores_the_defaults(house: House) -> None:
    config = config_of(house)
    house.store.edit_config("video", {"enabled": False})
    assert not (await config.get()).enabled
    house.store.remove("config", "video")
    house.clock.advance(60)
    assert (await config.get()).enabled


async def test_hundred_requests_a_minute_read_once(house: House) -> None:
    config = config_of(house)
    await asyncio.gather(*(config.get() for _ in range(100)))
    # config/video, config/expected_times and config/retired_models.
    assert house.store.calls["read_config"] == 3


@pytest.mark.parametrize("bad", [{"credits_per_second": -1}, {"credits_per_second": "much"}, {"enabled": "perhaps"}])
async def test_bad_edit_keeps_the_last_good_value_and_logs_once(house: House, capsys: Any, bad: dict[str, Any]) -> None:
    config = config_of(house)
    house.store.edit_config("video", {"credits_per_second": 7})
    await config.get()
    house.store.edit_config("video", {"credits_per_second": 7, **bad})
    for _ in range(5):
        house.clock.advance(60)
        kept = await config.get()
        assert (kept.credits_per_second, kept.enabled) == (7, True)
    assert capsys.readouterr().out.count('"config_not_valid"') == 1


async def test_good_edit_after_a_bad_one_applies(house: House) -> None:
    config = config_of(house)
    await config.get()
    house.store.edit_config("video", {"credits_per_second": -1})
    house.clock.advance(60)
    await config.get()
    house.store.edit_config("video", {"credits_per_second": 3})
    house.clock.advance(60)
    assert (await config.get()).credits_per_second == 3


async def test_bad_value_does_not_affect_good_ones(house: House) -> None:
    await config_of(house).get()
    house.store.edit_config("video", {"credits_per_second": -1, "enabled": False})
    assert not (await config_of(house).get()).enabled


async def test_concurrent_requests_wait_for_the_first_read(house: House) -> None:
    house.store.edit_config("video", {"enabled": False})
    config = config_of(house)
    house.store.before("read_config", lambda: asyncio.sleep(0))
    first, second = await asyncio.gather(config.get(), config.get())
    assert (first.enabled, second.enabled) == (False, False)


async def test_concurrent_requests_use_current_values_during_a_later_read(house: House) -> None:
    config = config_of(house)
    house.store.edit_config("video", {"credits_per_second": 7})
    await config.get()
    house.clock.advance(60)
    never = asyncio.Event()
    house.store.before("read_config", never.wait)
    slow = asyncio.create_task(config.get())
    await asyncio.sleep(0)
    assert (await config.get()).credits_per_second == 7
    never.set()
    await slow


async def test_outage_keeps_the_values_read(house: House) -> None:
    config = config_of(house)
    house.store.edit_config("video", {"credits_per_second": 7})
    await config.get()
    house.clock.advance(60)
    house.store.fail("read_config")
    assert (await config.get()).credits_per_second == 7


# --- a new process ---


async def test_without_a_successful_read_there_are_no_settings(house: House) -> None:
    """What an administrator stored may be anything: the defaults are no guess at it."""
    house.store.edit_config("video", {"enabled": False, "credits_per_second": 25})
    config = config_of(house)
    for _ in range(2):
        house.store.fail("read_config")
        with pytest.raises(Unavailable):
            await config.get()
    assert not (await config.get()).enabled


@pytest.mark.parametrize("document", ["video", "expected_times", "last_valid"])
async def test_new_process_without_settings_accepts_and_ends_no_jobs(house: House, document: str) -> None:
    caller = await house.sign_up()
    house.with_stored_config()
    job = await house.submit(caller)
    house.store.edit_config("video", {"enabled": False, "generation_timeout_s": 86_400})
    house.with_stored_config()
    method = "get" if document == "last_valid" else "read_config"
    house.store.let_pass(method, 1 if document == "expected_times" else 0)
    house.store.fail(method)
    with pytest.raises(Unavailable):
        await house.submit(caller)
    house.with_stored_config()
    house.store.let_pass("get")
    house.store.fail("read_config")
    assert await house.deliver(job) is TaskResult.RETRY
    assert await house.job(job.id) == job
    assert (await house.account()).balance == 470


async def test_waiters_on_a_failed_first_read_do_not_each_retry(house: House) -> None:
    config = config_of(house)

    async def slowly_fails() -> None:
        await asyncio.sleep(0)
        raise Unavailable("Firestore is down")

    house.store.before("read_config", slowly_fails, times=50)
    results = await asyncio.gather(*(config.get() for _ in range(50)), return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 50
    assert house.store.calls["read_config"] == 1


async def test_new_process_keeps_values_valid_before_a_bad_edit(house: House) -> None:
    house.store.edit_config("video", {"credits_per_second": 25, "enabled": False})
    await config_of(house).get()
    house.store.edit_config("video", {"credits_per_second": "much", "enabled": "perhaps", "message": "soon"})
    kept = await config_of(house).get()
    assert (kept.credits_per_second, kept.enabled, kept.message) == (25, False, "soon")
    # What was good of the bad edit is in force, and what was replaced by it stays known.
    house.store.edit_config("video", {"credits_per_second": -1, "message": 7})
    kept = await config_of(house).get()
    assert (kept.credits_per_second, kept.enabled, kept.message) == (25, True, "soon")


async def test_setting_unset_before_a_bad_edit_has_its_default(house: House) -> None:
    await config_of(house).get()
    house.store.edit_config("video", {"credits_per_second": -1})
    assert (await config_of(house).get()).credits_per_second == 10


async def test_invalid_setting_without_a_known_good_value_is_unavailable(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.store.edit_config("video", {"credits_per_second": -1})
    config = config_of(house)
    with pytest.raises(Unavailable, match="credits_per_second"):
        await config.get()
    assert '"config_not_valid"' in capsys.readouterr().out
    house.store.edit_config("video", {"credits_per_second": 25})
    assert (await config.get()).credits_per_second == 25


async def test_known_good_values_are_written_once_per_edit(house: House) -> None:
    processes = [config_of(house) for _ in range(5)]
    for price in (25, 30, -1, 35):
        house.store.edit_config("video", {"credits_per_second": price})
        for config in processes * 3:
            house.clock.advance(60)
            await config.get()
    assert house.store.fields("config", "last_valid")["values"] == {"credits_per_second": 35, "expected_times": {}}
    assert house.store.calls["commit"] == 3


@pytest.mark.parametrize("error", [Unavailable, Conflict])
async def test_next_read_retries_saving_known_good_values(house: House, error: type[Exception]) -> None:
    house.store.edit_config("video", {"credits_per_second": 25})
    config = config_of(house)
    house.store.fail("commit", error=error)
    assert (await config.get()).credits_per_second == 25
    assert house.store.fields("config", "last_valid") == {}
    house.clock.advance(60)
    await config.get()
    assert house.store.fields("config", "last_valid")["values"]["credits_per_second"] == 25


async def test_unknown_field_is_ignored(house: House) -> None:
    house.store.edit_config("video", {"note": "do not touch", "retention_days": 30})
    assert (await config_of(house).get()).retention_days == 30


async def test_expected_time_is_learned_or_from_the_catalog(house: House) -> None:
    house.store.edit_config("expected_times", {"veo-3.1-fast": 50.0, "veo-3.1-fast-4s": 30.0})
    config = await config_of(house).get()
    fast, omni = MODELS["veo-3.1-fast"], MODELS["omni-flash"]
    assert expected_duration_s(request(4), fast, config) == 30.0
    assert expected_duration_s(request(8), fast, config) == 50.0
    assert expected_duration_s(request(8, model="omni-flash"), omni, config) == omni.expected_s
