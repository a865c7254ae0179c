"""Projects: free text until a tenant has its first one."""

from __future__ import annotations

from typing import Any

import pytest

from shared.api.projects import ListProjectsQuery, NewProject, UpdateProject
from shared.api.videos import CreateVideo
from shared.core.errors import ApiError, Conflict, Unavailable
from shared.jobs import submission
from shared.platform.identity import Caller
from shared.workspace import projects
from shared.workspace.projects import Project
from tests.unit.conftest import House

BOSS = Caller("boss", "default", "admin", "default", None)
STRANGER = Caller("stranger", "studio-7", "admin", "default", None)


@pytest.fixture(autouse=True)
async def administrators(house: House) -> None:
    for caller in (BOSS, STRANGER):
        await house.sign_up(caller.account, role="admin", tenant=caller.tenant)


async def make(house: House, id_: str = "festival", caller: Caller = BOSS) -> Project:
    house.clock.advance(1)
    return await projects.make(house.services, caller, NewProject(id=id_, title=id_.title()))


async def archive(house: House, id_: str) -> Project:
    return await projects.update(house.services, BOSS, id_, UpdateProject(archived=True))


async def fails(call: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        await call
    return error.value


async def test_tenant_without_projects_accepts_any(house: House) -> None:
    caller = await house.sign_up()
    assert (await house.submit(caller, project="whatever")).project == "whatever"


async def test_tenant_with_projects_accepts_only_its_own(house: House) -> None:
    caller = await house.sign_up()
    await make(house)
    await make(house, "elsewhere", STRANGER)
    assert (await house.submit(caller, project="festival")).project == "festival"
    assert (await house.submit(caller)).project is None
    for project in ("whatever", "elsewhere"):
        error = await fails(house.submit(caller, project=project))
        assert (error.code, error.details["fields"][0]["field"]) == ("INVALID_REQUEST", "project")
    assert len(await house.store.newest(Project, {}, None, 10)) == 2


async def test_archived_project_accepts_no_new_videos(house: House) -> None:
    caller = await house.sign_up()
    await make(house)
    await archive(house, "festival")
    error = await fails(house.submit(caller, project="festival"))
    assert "archived" in str(error.message)
    assert (await fails(house.submit(caller, project="other"))).code == "INVALID_REQUEST"
    await projects.update(house.services, BOSS, "festival", UpdateProject(archived=False))
    await house.submit(caller, project="festival")


async def test_estimate_checks_projects_too(house: House) -> None:
    caller = await house.sign_up()
    await make(house)
    body = CreateVideo(prompt="p", project="other")
    assert (await fails(submission.estimate(house.services, caller, body))).code == "INVALID_REQUEST"


async def test_replay_works_after_its_project_was_archived(house: House) -> None:
    caller = await house.sign_up()
    await make(house)
    job = await house.submit(caller, "key", project="festival")
    await archive(house, "festival")
    assert (await house.submit(caller, "key", project="festival")).id == job.id


async def test_projects_have_different_ids(house: House) -> None:
    await make(house)
    assert (await fails(make(house))).code == "ALREADY_EXISTS"
    await make(house, caller=STRANGER)
    assert {project.tenant for project in house.store.documents(Project)} == {"default", "studio-7"}


async def test_another_tenants_project_is_not_found(house: House) -> None:
    await make(house)
    assert (await fails(projects.get(house.services, STRANGER, "festival"))).code == "NOT_FOUND"
    call = projects.update(house.services, STRANGER, "festival", UpdateProject(archived=True))
    assert (await fails(call)).code == "NOT_FOUND"
    assert await projects.page(house.services, STRANGER, ListProjectsQuery(after="festival")) == []
    assert (await fails(projects.get(house.services, BOSS, "no such/id"))).code == "NOT_FOUND"


async def test_projects_are_listed_newest_first_in_pages(house: House) -> None:
    for number in range(3):
        await make(house, f"p{number}")
    first = projects.page_view(await projects.page(house.services, BOSS, ListProjectsQuery(limit=2)), 2)
    assert ([one.id for one in first.data], first.has_more, first.last_id) == (["p2", "p1"], True, "p1")
    rest = await projects.page(house.services, BOSS, ListProjectsQuery(limit=2, after="p1"))
    assert [one.project for one in rest] == ["p0"]


async def test_update_keeps_omitted_fields(house: House) -> None:
    made = await make(house)
    house.clock.advance(5)
    changed = await projects.update(house.services, BOSS, "festival", UpdateProject(title="Fest"))
    assert (changed.title, changed.archived) == ("Fest", False)
    assert changed.updated_at > made.updated_at
    assert await projects.update(house.services, BOSS, "festival", UpdateProject()) == changed


@pytest.mark.parametrize("plan", ["lose", "fail"])
async def test_database_hiccup_changes_nothing_twice(house: House, plan: str) -> None:
    getattr(house.store, plan)("commit")
    await make(house)
    getattr(house.store, plan)("commit")
    assert (await archive(house, "festival")).archived
    assert len(house.store.documents(Project)) == 1


async def test_database_outage_is_unavailable(house: House) -> None:
    await make(house)
    house.store.fail("commit", 10_000, Conflict)
    with pytest.raises(Unavailable):
        await archive(house, "festival")
    with pytest.raises(Unavailable):
        await make(house, "other")


async def test_tenant_has_a_limited_number_of_projects(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projects, "MAX_PROJECTS", 2)
    await make(house, "a")
    await make(house, "b")
    assert (await fails(make(house, "c"))).code == "LIMIT_REACHED"
    await make(house, "a", STRANGER)
