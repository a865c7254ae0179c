"""The administrators' room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from testing.cloud import Cloud
from tests.browser.conftest import CROWD, DESK, Open, Person, Screen

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def admin(cloud: Cloud) -> Person:
    return Person.admin(cloud)


@pytest.fixture
def kept_settings(admin: Person) -> Iterator[None]:
    before = admin.user.call("GET", "/v1/admin/config").json()["stored"]
    yield
    anyway = {"If-Match": "*"}
    assert admin.user.call("PUT", "/v1/admin/config", json=before, headers=anyway).status_code == 200


def find(screen: Screen, email: str) -> None:
    page = screen.page
    page.get_by_role("searchbox", name="Exact email").fill(email)
    page.get_by_role("button", name="Find").click()
    page.get_by_role("button", name=f"Open: {email}").click()


def test_non_administrator_sees_no_admin_pages(open_studio: Open, person: Person) -> None:
    """There is no way in, and the address alone leads to a sentence."""
    screen = open_studio(DESK, person, "admin/users")
    expect(screen.page.get_by_text("Only administrators see this.")).to_be_visible()
    expect(screen.page.get_by_role("link", name="Admin")).to_be_hidden()


def test_user_is_found_credited_and_disabled(
    open_studio: Open, admin: Person, person: Person, window: tuple[int, int]
) -> None:
    """What is given is in the balance and the ledger, what is changed holds at the service."""
    balance = person.user.account["balance"]
    screen = open_studio(window, admin, "admin/users")
    page = screen.page
    find(screen, person.email)
    dialog = page.get_by_role("dialog", name=person.email)
    dialog.get_by_label("Credits", exact=True).fill("many")
    dialog.get_by_label("Reason").fill("monthly budget")
    dialog.get_by_role("button", name="Grant").click()
    expect(dialog.get_by_label("Credits", exact=True)).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Credits", exact=True).fill("250")
    dialog.get_by_role("button", name="Grant").click()
    expect(page.get_by_text(f"250 credits granted to {person.email}.")).to_be_visible()
    assert person.user.account["balance"] == balance + 250
    left = admin.user.call("GET", "/v1/admin/budget").json()["left"]
    expect(dialog.get_by_text(f"Your tenant can still grant {left:,} credits.")).to_be_visible()
    dialog.get_by_label("Plan").fill("no-such-plan")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_text("unknown plan")).to_be_visible()
    dialog.get_by_role("switch").uncheck()
    expect(page.get_by_text("Changes take effect within a minute.").first).to_be_visible()
    assert screen.fits()
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("table", name="Users")).to_contain_text("Disabled")
    found = admin.user.call("GET", f"/v1/admin/users?email={person.email}").json()["data"][0]
    assert (found["disabled"], found["balance"]) == (True, balance + 250)


def test_tenant_videos_are_filtered_by_status_and_user(open_studio: Open, admin: Person, owner: Person) -> None:
    """Everybody's, one user's, and one with what there is to say of it."""
    screen = open_studio(DESK, admin, "admin/users")
    page = screen.page
    find(screen, owner.email)
    page.get_by_role("button", name="See this user’s videos").click()
    rows = page.get_by_role("table", name="Videos").get_by_role("row")
    expect(rows).to_have_count(4)
    page.get_by_role("button", name="Open: A paper boat").click()
    dialog = page.get_by_role("dialog", name="A paper boat")
    expect(dialog.locator("video")).to_have_count(1)
    expect(dialog).to_contain_text(owner.email)
    screen.until("document.querySelector('dialog[open] video').readyState > 0")
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("combobox", name="Show").select_option("status:failed")
    expect(page.get_by_role("table", name="Videos")).to_contain_text(CROWD)
    assert screen.complaints == []


def test_project_is_created_renamed_and_archived(open_studio: Open, admin: Person, window: tuple[int, int]) -> None:
    """What is refused is said at its field."""
    screen = open_studio(window, admin, "admin/projects")
    page = screen.page
    form = page.get_by_role("form", name="Create project")
    id_ = f"spring-{window[0]}"
    form.get_by_label("Id").fill("no blanks")
    form.get_by_label("Title").fill("Spring campaign")
    form.get_by_role("button", name="Create project").click()
    expect(form.get_by_label("Id")).to_have_attribute("aria-invalid", "true")
    form.get_by_label("Id").fill(id_)
    form.get_by_role("button", name="Create project").click()
    row = page.get_by_role("table", name="Projects").get_by_role("row").filter(has_text=id_)
    row.get_by_role("button", name="Rename").click()
    page.get_by_role("dialog", name="Rename").get_by_label("Title").fill("Summer campaign")
    page.get_by_role("dialog", name="Rename").get_by_role("button", name="Save").click()
    expect(row).to_contain_text("Summer campaign")
    row.get_by_role("button", name="Archive").click()
    expect(row).to_contain_text("Archived")
    assert admin.user.call("GET", f"/v1/projects/{id_}").json()["archived"]
    assert screen.fits()


@pytest.mark.usefixtures("kept_settings")
def test_settings_are_changed_and_errors_shown_at_their_fields(
    open_studio: Open, admin: Person, window: tuple[int, int]
) -> None:
    """What the service refuses it names; what it accepts it keeps; what is emptied is as by default again."""
    screen = open_studio(window, admin, "admin/settings")
    page = screen.page
    jobs = page.get_by_label("Active videos per account")
    share = page.get_by_label("Share of accounts that can generate")
    expect(jobs).to_have_attribute("placeholder", "Default: 3")
    jobs.fill("lots")
    share.fill("101")
    page.get_by_role("button", name="Save settings").click()
    expect(jobs).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#setting-rollout_percent-fault")).to_contain_text("100")
    expect(page.get_by_text("Not saved: some values are invalid.")).to_be_visible()
    share.fill("")
    jobs.fill("7")
    plans = page.get_by_role("group", name="Plans")
    plans.get_by_role("button", name="Add").click()
    plans.get_by_label("Plan", exact=True).fill("pro")
    plans.get_by_label("Active jobs").fill("20")
    plans.get_by_label("Can wait").select_option("true")
    assert screen.fits()
    page.get_by_role("button", name="Save settings").click()
    expect(page.get_by_text("Saved. Takes effect within a minute.")).to_be_visible()
    stored = admin.user.call("GET", "/v1/admin/config").json()["stored"]
    assert stored["active_jobs_limit"] == 7
    assert stored["plans"]["pro"]["active_jobs_limit"] == 20
    assert stored["plans"]["pro"]["may_wait"] is True
    assert "rollout_percent" not in stored
    # Somebody else saves other settings while this page is open.
    anyway = {"If-Match": "*"}
    theirs = {**stored, "message": "Back at noon"}
    assert admin.user.call("PUT", "/v1/admin/config", json=theirs, headers=anyway).status_code == 200
    jobs.fill("8")
    page.get_by_role("button", name="Save settings").click()
    expect(page.get_by_text("Someone else has changed the settings in the meantime.")).to_be_visible()
    assert admin.user.call("GET", "/v1/admin/config").json()["stored"] == theirs
    page.get_by_role("button", name="Undo changes").click()
    expect(jobs).to_have_value("7")
    jobs.fill("8")
    # The first toast may still be there and says the same.
    with page.expect_response(lambda answer: answer.request.method == "PUT" and answer.status == 200):
        page.get_by_role("button", name="Save settings").click()
    expect(page.get_by_text("Saved. Takes effect within a minute.").last).to_be_visible()
    assert admin.user.call("GET", "/v1/admin/config").json()["stored"] == {**theirs, "active_jobs_limit": 8}


def test_health_page_explains_its_figures(
    open_studio: Open, admin: Person, owner: Person, window: tuple[int, int]
) -> None:
    """The current queue, success rate and times of the newest videos, as charts and tables."""
    screen = open_studio(window, admin, "admin/health")
    page = screen.page
    expect(page.get_by_text("cover your tenant’s newest")).to_be_visible()
    success = page.locator(".figure-box").filter(has_text="Success rate").locator(".figure-value")
    videos = admin.user.call("GET", "/v1/admin/videos?limit=100").json()["data"]
    made = [video["status"] for video in videos].count("completed")
    failed = [video["status"] for video in videos].count("failed")
    if len(videos) < 100:
        expect(success).to_have_text(f"{100 * made // (made + failed)} %")
    expect(page.get_by_text("Finished videos by day")).to_be_visible()
    expect(page.get_by_text("Time until ready, per video")).to_be_visible()
    assert page.locator(".plot-dot").count() >= 2
    expect(page.get_by_text("The model's safety filter blocked the video.")).to_be_visible()
    assert screen.fits()
    assert screen.complaints == []
