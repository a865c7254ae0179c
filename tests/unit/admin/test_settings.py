"""The live settings over the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from shared.admin import settings
from shared.api.settings import FIELDS, ConfigView, PutConfig
from shared.core.documents import LiveSettings, Plan
from shared.core.errors import ApiError, Conflict, Unavailable
from shared.platform.identity import Caller
from tests.unit.conftest import NOW, SETTINGS, House

BOSS = Caller("boss", "default", "admin", "default", None)


@pytest.fixture(autouse=True)
async def administrator(house: House) -> None:
    await house.sign_up(BOSS.account, role="admin")


async def put(house: House, if_match: str | None = "*", **fields: Any) -> ConfigView:
    return await settings.put(house.services, BOSS, PutConfig.model_validate(fields), if_match)


async def refused(call: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        await call
    return error.value


async def test_stale_etag_replaces_nothing(house: House) -> None:
    mine = (await settings.get(house.services)).etag
    theirs = await put(house, mine, credits_per_second=7)
    error = await refused(put(house, mine, message="soon"))
    assert (error.code, error.details) == ("PRECONDITION_FAILED", {"etag": theirs.etag})
    assert house.store.fields("config", "video") == {"credits_per_second": 7}
    both = await put(house, theirs.etag, credits_per_second=7, message="soon")
    assert both.stored == {"credits_per_second": 7, "message": "soon"}
    assert both.etag == (await settings.get(house.services)).etag


async def test_edit_between_read_and_commit_is_not_overwritten(house: House) -> None:
    mine = (await settings.get(house.services)).etag

    async def rival() -> None:
        house.store.edit_config("video", {"enabled": False})

    house.store.before("commit", rival)
    assert (await refused(put(house, mine, message="soon"))).code == "PRECONDITION_FAILED"
    assert house.store.fields("config", "video") == {"enabled": False}


async def test_missing_etag_replaces_nothing(house: House) -> None:
    assert (await refused(put(house, None, message="soon"))).code == "PRECONDITION_REQUIRED"
    assert house.store.fields("config", "video") == {}


async def test_etag_list_is_accepted_and_must_be_strong(house: House) -> None:
    etag = (await settings.get(house.services)).etag
    assert (await refused(put(house, f"W/{etag}", message="soon"))).code == "PRECONDITION_FAILED"
    assert (await refused(put(house, '"other"', message="soon"))).code == "PRECONDITION_FAILED"
    assert (await put(house, f'"other", {etag}', message="soon")).stored == {"message": "soon"}


async def test_comments_in_the_console_keep_the_etag(house: House) -> None:
    before = (await settings.get(house.services)).etag
    house.store.edit_config("video", {"message": None})
    assert (await settings.get(house.services)).etag == before
    await put(house, before, message="soon")


@pytest.mark.parametrize("change", [{"role": "user"}, {"disabled": True}, {"closed_at": NOW}])
async def test_locked_out_administrator_changes_nothing(house: House, change: dict[str, Any]) -> None:
    async def locked_out() -> None:
        house.store.edit("accounts", BOSS.account, change)

    house.store.before("commit", locked_out)
    assert (await refused(put(house, enabled=False))).entry.status == 403
    assert house.store.fields("config", "video") == {}


async def test_missing_document_shows_the_defaults(house: House) -> None:
    view = await settings.get(house.services)
    assert view.stored == {}
    assert view.defaults == LiveSettings(signup_credits=SETTINGS.signup_credits)
    assert view.values.model_dump(exclude={"expected_times"}) == view.defaults.model_dump(exclude={"expected_times"})


async def test_put_is_stored_and_applies_within_a_minute(house: House) -> None:
    house.with_stored_config()
    await house.services.live_settings.get()
    view = await put(house, credits_per_second=7, plans={"pro": {"requests_per_minute": 5}})
    assert view.values.credits_per_second == 7
    assert house.store.fields("config", "video") == {
        "credits_per_second": 7,
        "plans": {"pro": {"requests_per_minute": 5}},
    }
    assert (await settings.get(house.services)).stored == view.stored
    house.clock.advance(view.in_force_within_s)
    in_force = await house.services.live_settings.get()
    assert (in_force.credits_per_second, in_force.plans["pro"]) == (7, Plan(requests_per_minute=5))


async def test_price_of_unknown_model_is_rejected(house: House) -> None:
    """A typo would never be charged: the intended model would keep the common price."""
    with pytest.raises(ApiError) as caught:
        await put(house, credits_per_second_by_model={"veo-3.1 4k": 80, "veo-3.2 4k": 90})
    assert (caught.value.code, caught.value.details["fields"][0]["field"]) == (
        "INVALID_REQUEST",
        "credits_per_second_by_model",
    )
    assert house.store.fields("config", "video") == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"credits_per_second_by_model": {"__a__": 1}},
        {"credits_per_second_by_model": {"": 1}},
        {"plans": {"__a__": {}}},
        {"tenant_daily_credits": {"__a__": 1}},
        {"tenant_daily_credits": {"a": 2**63}},
        {"daily_credits": 2**63},
        {"default_models": {"__a__": "omni-flash"}},
        {"default_models": {str(number): "omni-flash" for number in range(1_001)}},
    ],
)
def test_unstorable_setting_is_rejected(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PutConfig.model_validate(fields)


async def test_omitted_setting_returns_to_its_default(house: House) -> None:
    await put(house, credits_per_second=7, message="soon")
    view = await put(house, message="later")
    assert house.store.fields("config", "video") == {"message": "later"}
    assert (view.values.credits_per_second, view.values.message) == (10, "later")
    assert (await put(house)).stored == {}


async def test_console_comments_are_kept(house: House) -> None:
    house.store.edit_config("video", {"note": "ask Ann", "retention_days": 30})
    await put(house, retention_days=60)
    assert house.store.fields("config", "video") == {"note": "ask Ann", "retention_days": 60}
    assert "note" not in (await settings.get(house.services)).stored


async def test_invalid_console_value_is_shown_and_replaced(house: House) -> None:
    house.store.edit_config("video", {"retention_days": "long", "credits_per_second": 3})
    view = await settings.get(house.services)
    assert (view.stored["retention_days"], view.values.retention_days, view.values.credits_per_second) == (
        "long",
        365,
        3,
    )
    assert (await put(house, credits_per_second=4)).values.retention_days == 365


@pytest.mark.parametrize("wrong", [{"retention_days": 0}, {"enabled": "perhaps"}, {"color": 1}, {"expected_times": {}}])
def test_invalid_value_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PutConfig.model_validate(wrong)


def test_every_live_setting_can_be_put() -> None:
    assert (
        set(PutConfig.model_fields)
        == set(FIELDS)
        == set(LiveSettings.model_fields) - {"expected_times", "retired_models"}
    )


async def test_another_tenants_administrator_cannot_put(house: House) -> None:
    stranger = Caller("stranger", "studio-7", "admin", "default", None)
    with pytest.raises(ApiError) as error:
        await settings.put(house.services, stranger, PutConfig.model_validate({"enabled": False}), "*")
    assert error.value.code == "FORBIDDEN"
    assert house.store.fields("config", "video") == {}


@pytest.mark.parametrize("plan", ["lose", "fail"])
async def test_database_hiccup_is_retried(house: House, plan: str, capsys: Any) -> None:
    getattr(house.store, plan)("commit")
    await put(house, enabled=False)
    assert house.store.fields("config", "video") == {"enabled": False}
    assert capsys.readouterr().out.count('"config_changed"') == 1


async def test_database_outage_is_unavailable(house: House) -> None:
    house.store.fail("commit", 10_000, Conflict)
    with pytest.raises(Unavailable):
        await put(house, enabled=False)


async def test_audit_log_records_old_and_new_values(house: House, capsys: Any) -> None:
    await put(house, credits_per_second=7, message="soon")
    await put(house, credits_per_second=8, message="soon")
    await put(house, credits_per_second=8, message="soon")
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["message"] for entry in entries] == ["config_changed"] * 2
    assert (entries[1]["before"], entries[1]["after"]) == ({"credits_per_second": 7}, {"credits_per_second": 8})
