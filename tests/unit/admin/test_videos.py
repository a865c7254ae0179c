"""All videos of a tenant: for its administrators, and on the record."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from shared.admin import videos
from shared.api.tenant_videos import ListTenantVideosQuery
from shared.core.errors import ApiError
from shared.jobs import queries
from shared.platform.identity import Caller
from tests.unit.conftest import House

BOSS = Caller("boss", "default", "admin", "default", None)
STRANGER = Caller("stranger", "studio-7", "admin", "default", None)


async def ids(house: House, caller: Caller = BOSS, **query: Any) -> list[str]:
    found = await videos.page(house.services, caller, ListTenantVideosQuery.model_validate(query))
    return [job.id for job in found]


def test_user_ids_match_the_users_api() -> None:
    with pytest.raises(ValueError, match="user"):
        ListTenantVideosQuery(user="alice")


async def test_tenants_videos_are_listed_newest_first(house: House) -> None:
    alice, bob = await house.sign_up("alice"), await house.sign_up("bob")
    jobs = []
    for caller in (alice, bob, alice):
        house.clock.advance(1)
        jobs.append(await house.submit(caller))
    assert await ids(house) == [job.id for job in reversed(jobs)]
    assert await ids(house, limit=1) == [jobs[2].id, jobs[1].id]
    assert await ids(house, after=jobs[1].id) == [jobs[0].id]
    page = videos.page_view([jobs[1]], 1, house.clock())
    assert (page.data[0].user, page.data[0].prompt) == ("bob", "a paper boat")


async def test_list_takes_one_filter(house: House) -> None:
    alice = await house.sign_up()
    omni, veo = await house.submit(alice), await house.submit_veo(alice)
    assert await ids(house, model="veo-3.1-fast") == [veo.id]
    assert set(await ids(house, status="queued")) == {omni.id, veo.id}
    assert await ids(house, status="failed") == []
    with pytest.raises(ApiError) as error:
        await ids(house, status="queued", model="omni-flash")
    assert error.value.code == "INVALID_REQUEST"


async def test_other_tenants_videos_are_not_found(house: House) -> None:
    job = await house.submit(await house.sign_up())
    assert await ids(house, STRANGER) == []
    assert await ids(house, STRANGER, after=job.id) == []
    with pytest.raises(ApiError) as error:
        await videos.watch(house.services, STRANGER, job.id)
    assert error.value.code == "NOT_FOUND"


@pytest.mark.parametrize("id_", ["video_x", "x", "video_" + "x" * 22])
async def test_malformed_id_is_not_found(house: House, id_: str) -> None:
    with pytest.raises(ApiError) as error:
        await videos.watch(house.services, BOSS, id_)
    assert error.value.code == "NOT_FOUND"


async def test_deleted_video_is_gone_for_administrators_too(house: House) -> None:
    alice = await house.sign_up()
    job = await house.run(await house.submit(alice))
    await queries.delete(house.services, alice, job.id)
    assert await ids(house) == []
    with pytest.raises(ApiError) as error:
        await videos.watch(house.services, BOSS, job.id)
    assert error.value.code == "NOT_FOUND"


async def test_administrator_can_watch_only_finished_videos(house: House) -> None:
    alice = await house.sign_up()
    job = await house.submit(alice)
    assert (await videos.watch(house.services, BOSS, job.id)).urls == []
    job = await house.run(job)
    watched = await videos.watch(house.services, BOSS, job.id)
    assert (watched.user, watched.status, len(watched.urls)) == ("alice", "completed", 1)
    assert watched.urls[0].expires_at > house.clock().timestamp()


async def test_administrators_view_does_not_extend_retention(house: House) -> None:
    job = await house.run(await house.submit(await house.sign_up()))
    await videos.watch(house.services, BOSS, job.id)
    assert (await house.job(job.id)).last_viewed_at == job.last_viewed_at


async def test_each_view_is_audited_with_the_prompts_hash(house: House, capsys: Any) -> None:
    job = await house.submit(await house.sign_up())
    capsys.readouterr()
    await ids(house)
    await videos.watch(house.services, BOSS, job.id)
    out = capsys.readouterr().out
    listed, viewed = (json.loads(line) for line in out.splitlines())
    assert (listed["message"], listed["videos"]) == ("videos_listed_as_admin", [job.id])
    assert (viewed["message"], viewed["video"], viewed["owner"]) == ("video_viewed_as_admin", job.id, "alice")
    assert viewed["prompt_sha256"] == hashlib.sha256(b"a paper boat").hexdigest()
    assert "paper boat" not in out


async def test_generating_and_deleting_are_audited(house: House, capsys: Any) -> None:
    alice = await house.sign_up()
    job = await house.run(await house.submit(alice))
    await queries.delete(house.services, alice, job.id)
    out = capsys.readouterr().out
    audits = [entry for entry in map(json.loads, out.splitlines()) if "logging.googleapis.com/labels" in entry]
    digest = hashlib.sha256(b"a paper boat").hexdigest()
    assert [(entry["message"], entry["video"], entry["prompt_sha256"]) for entry in audits] == [
        ("video_generated", job.id, digest),
        ("video_deleted", job.id, digest),
    ]
    assert "paper boat" not in out
