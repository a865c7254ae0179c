"""Exports of all user data, completed despite failures."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.accounts import api_keys, data_rights, exports
from shared.accounts.chores import Chore, ExportedFile
from shared.api.account_data import ExportQuery
from shared.api.api_keys import NewApiKey
from shared.api.webhooks import NewWebhookEndpoint
from shared.core.errors import ApiError
from shared.core.task_result import TaskResult
from shared.jobs import queries
from shared.platform import durable_tasks
from shared.platform.identity import Caller
from shared.webhooks import endpoints
from tests.unit.conftest import House

WEEK = timedelta(days=7)


async def settle(house: House, until: timedelta = timedelta(hours=2)) -> None:
    """Deliver all that is due within two hours, with a sweep every few minutes."""
    end = house.clock() + until
    for _ in range(4):
        while (at := house.queue.next_at()) is not None and at <= end:
            await house.deliver_next()
        house.clock.advance(122)
        await durable_tasks.sweep(house.services, Chore)


async def user(house: House) -> Caller:
    """A user with something of everything."""
    caller = await house.sign_up()
    await house.run(await house.submit(caller, prompt="a red kite", webhook_url="https://own.example.com/hook"))
    await house.run(await house.submit(caller, prompt="a blue kite"))
    await api_keys.make(house.services, caller, NewApiKey(name="laptop", scope="read"))
    await endpoints.make(house.services, caller, NewWebhookEndpoint(url="https://hooks.example.com/"))
    return caller


async def contents(house: House, chore: Chore) -> dict[str, list[dict[str, Any]]]:
    """The documents of each kind, from all of its files."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in chore.files:
        raw = house.read(file.object)
        assert raw is not None
        assert len(raw) == file.size_bytes
        body = json.loads(raw)
        assert body["export"] == chore.id
        found.setdefault(body["object"].removeprefix("export."), []).extend(body["data"])
    return found


async def test_export_holds_all_user_data_and_no_secrets(house: House) -> None:
    caller = await user(house)
    other = await house.sign_up("bob")
    await house.run(await house.submit(other, prompt="bob's own"))
    started = await exports.start(house.services, caller)
    assert started.status == "queued"
    await settle(house)
    chore = await exports.get(house.services, caller, started.id)
    assert chore.status == "completed"
    data = await contents(house, chore)
    assert data["account"][0]["subject"] == "alice"
    assert [video["prompt"] for video in data["videos"]] == ["a blue kite", "a red kite"]
    assert data["videos"][1]["webhook_url"] == "https://own.example.com/hook"
    assert data["videos"][0]["content"] == [f"/v1/videos/{data['videos'][0]['id']}/content?index=0"]
    assert sum(entry["amount"] for entry in data["transactions"]) == (await house.account()).balance
    assert data["api_keys"][0]["name"] == "laptop"
    assert data["webhook_endpoints"][0]["url"] == "https://hooks.example.com/"
    text = json.dumps(data)
    assert "whsec_" not in text
    assert "bob" not in text


async def test_completed_export_has_signed_urls_for_a_week(house: House) -> None:
    caller = await user(house)
    started = await exports.start(house.services, caller)
    await settle(house)
    chore = await exports.get(house.services, caller, started.id)
    view = await exports.view(house.services, chore)
    assert {file.name for file in view.files} >= {"account-0001.json", "videos-0001.json", "transactions-0001.json"}
    assert all("signature=" in file.url for file in view.files)
    assert (view.expires_at or 0) - (view.completed_at or 0) == WEEK.total_seconds()
    assert [name for name in await house.files() if name.startswith("exports/")]
    await settle(house, WEEK + timedelta(hours=3))
    expired = await exports.view(house.services, await exports.get(house.services, caller, started.id))
    assert (expired.status, expired.files) == ("expired", [])
    assert not [name for name in await house.files() if name.startswith("exports/")]
    assert (await exports.get(house.services, caller, started.id)).due_at is None


async def test_export_record_is_removed_after_30_days(house: House) -> None:
    caller = await house.sign_up()
    chore = await exports.start(house.services, caller)
    await settle(house, timedelta(days=8))
    assert (await exports.get(house.services, caller, chore.id)).status == "expired"
    for days, removed in ((21, 0), (3, 1)):
        house.clock.advance(timedelta(days=days).total_seconds())
        assert await durable_tasks.remove_expired(house.services, Chore) == {"chores": removed}
    with pytest.raises(ApiError) as caught:
        await exports.get(house.services, caller, chore.id)
    assert caught.value.code == "NOT_FOUND"


async def test_files_of_a_large_export_are_signed_page_by_page(house: House) -> None:
    caller = await user(house)
    started = await exports.start(house.services, caller)
    await settle(house)
    chore = await exports.get(house.services, caller, started.id)
    names = [f"videos-{number:04d}.json" for number in range(1, 251)]
    chore = chore.changed(
        files=tuple(ExportedFile(name=name, object=f"exports/{name}", size_bytes=1) for name in names)
    )
    seen: list[str] = []
    sizes = []
    after = None
    while True:
        view = await exports.view(house.services, chore, ExportQuery(after=after))
        seen += [file.name for file in view.files]
        sizes.append(len(view.files))
        if not view.has_more:
            break
        after = seen[-1]
    assert (seen, sizes) == (names, [100, 100, 50])
    assert len((await exports.view(house.services, chore)).files) == 100


async def test_lost_expiry_task_is_recovered_by_the_sweep(house: House) -> None:
    caller = await house.sign_up()
    started = await exports.start(house.services, caller)
    await settle(house)
    house.queue.purge()
    house.clock.advance(WEEK.total_seconds())
    await settle(house)
    assert (await exports.get(house.services, caller, started.id)).status == "expired"


async def test_unfinished_export_lists_no_files(house: House) -> None:
    caller = await user(house)
    started = await exports.start(house.services, caller)
    await house.deliver_next()
    await house.deliver_next()
    chore = await exports.get(house.services, caller, started.id)
    assert chore.status == "in_progress"
    assert (await exports.view(house.services, chore)).files == []


async def test_many_videos_are_split_over_files(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGES_A_FILE", 1)
    monkeypatch.setattr(exports, "MAX_PAGE", 2)
    caller = await house.sign_up(balance=1_000)
    made = []
    for number in range(5):
        house.clock.advance(1)
        made.append((await house.run(await house.submit(caller, prompt=f"kite {number}"))).id)
    started = await exports.start(house.services, caller)
    await settle(house)
    chore = await exports.get(house.services, caller, started.id)
    assert [file.name for file in chore.files if file.name.startswith("videos")] == [
        f"videos-{number:04d}.json" for number in (1, 2, 3)
    ]
    assert [video["id"] for video in (await contents(house, chore))["videos"]] == made[::-1]


async def test_deleted_video_is_not_exported(house: House) -> None:
    caller = await user(house)
    page = await queries.own_jobs(house.services, caller, exports.ListVideosQuery())
    await queries.delete(house.services, caller, page[0].id)
    started = await exports.start(house.services, caller)
    await settle(house)
    data = await contents(house, await exports.get(house.services, caller, started.id))
    assert [video["id"] for video in data["videos"]] == [page[1].id]


async def test_request_during_an_export_returns_the_same_export(house: House) -> None:
    caller = await house.sign_up()
    first = await exports.start(house.services, caller)
    assert (await exports.start(house.services, caller)).id == first.id


async def test_sixth_export_of_a_day_is_refused(house: House) -> None:
    caller = await house.sign_up()
    for _ in range(exports.EXPORTS_A_DAY):
        await exports.start(house.services, caller)
        await settle(house)
    with pytest.raises(ApiError) as caught:
        await exports.start(house.services, caller)
    assert caught.value.code == "RATE_LIMITED"
    assert 0 < (caught.value.retry_after_s or 0) <= 86_400
    house.clock.advance(caught.value.retry_after_s or 0)
    await exports.start(house.services, caller)


async def test_another_users_export_is_not_found(house: House) -> None:
    started = await exports.start(house.services, await house.sign_up())
    bob = await house.sign_up("bob")
    for export_id in (started.id, "export_" + "x" * 22, "..", "erasure_" + "x" * 22):
        with pytest.raises(ApiError) as caught:
            await exports.get(house.services, bob, export_id)
        assert caught.value.code == "NOT_FOUND"


FAULTS = [
    (effect, kind, passed)
    for effect, calls in (("store.get", 12), ("store.commit", 8), ("queue.create", 8), ("media.write", 6))
    for kind in ("fail", "lose")
    for passed in range(calls)
] + [("store.list_jobs", "fail", 0), ("store.newest", "fail", 1), ("store.list_transactions", "fail", 0)]


@pytest.mark.parametrize(("effect", "kind", "passed"), FAULTS)
async def test_export_completes_despite_any_single_failure(house: House, effect: str, kind: str, passed: int) -> None:
    caller = await user(house)
    started = await exports.start(house.services, caller)
    gateway, method = effect.split(".")
    getattr(house, gateway).let_pass(method, passed)
    getattr(getattr(house, gateway), kind)(method)
    await settle(house)
    getattr(house, gateway).calm()
    await settle(house)
    chore = await exports.get(house.services, caller, started.id)
    assert chore.status == "completed"
    data = await contents(house, chore)
    assert {kind: len(documents) for kind, documents in data.items()} == {
        "account": 1,
        "videos": 2,
        "transactions": 3,
        "api_keys": 1,
        "webhook_endpoints": 1,
    }


@pytest.mark.parametrize("effect", ["commit", "get"])
async def test_lost_answer_starts_one_export(house: House, effect: str) -> None:
    caller = await house.sign_up()
    if effect == "commit":
        house.store.lose("commit")
    started = await exports.start(house.services, caller)
    assert [chore.id for chore in house.store.documents(Chore)] == [started.id]
    assert len(house.queue.entries()) == 1


async def test_duplicate_and_late_deliveries_change_nothing(house: House) -> None:
    caller = await user(house)
    started = await exports.start(house.services, caller)
    await settle(house)
    before = await exports.get(house.services, caller, started.id)
    for step in range(before.step):
        assert await data_rights.deliver(house.services, started.id, step) is TaskResult.ACK
    assert await exports.get(house.services, caller, started.id) == before
    assert await data_rights.deliver(house.services, "export_none", 0) is TaskResult.ACK


async def test_concurrent_deliveries_write_a_step_once(house: House) -> None:
    caller = await user(house)
    started = await exports.start(house.services, caller)

    async def other() -> None:
        await data_rights.deliver(house.services, started.id, 0)

    house.store.before("commit", other)
    await data_rights.deliver(house.services, started.id, 0)
    await settle(house)
    chore = await exports.get(house.services, caller, started.id)
    assert len((await contents(house, chore))["account"]) == 1
