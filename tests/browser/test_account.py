"""The account page: usage, API keys and webhooks, data export and deletion."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, Route, expect

from testing.cloud import Cloud, User
from tests.acceptance.receiver import Receiver
from tests.browser.actions import balance_becomes
from tests.browser.conftest import DESK, Open, Person

pytestmark = pytest.mark.timeout(300)
KEYS = "**/v1/api-keys"


def test_usage_is_charted_and_the_ledger_balances(open_studio: Open, person: Person, window: tuple[int, int]) -> None:
    """Credits and videos per day, and every entry with the balance after it."""
    balance = person.user.account["balance"]
    person.user.create("A lighthouse [slow 300s]", seconds=4)
    person.user.finish("A crowd [content blocked]", seconds=4)
    screen = open_studio(window, person, "account")
    page = screen.page
    balance_becomes(screen, balance - 40)
    expect(page.locator(".balance-figure")).to_have_text(f"{balance - 40:,}")
    expect(page.get_by_text("Credits: 40 in total")).to_be_visible()
    expect(page.get_by_text("Videos: 2 in total")).to_be_visible()
    page.get_by_text("Show as table").first.click()
    expect(page.get_by_role("region", name="Show as table").get_by_role("row").last).to_contain_text("40")
    assert screen.fits()
    page.get_by_label("Name").fill("Ada")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert person.user.account["display_name"] == "Ada"
    page.get_by_role("navigation", name="Account").get_by_role("link", name="Ledger").click()
    rows = page.get_by_role("table", name="Ledger").get_by_role("row")
    expect(rows).to_have_count(5)
    for row, (change, after) in enumerate([("+40", balance - 40), ("−40", balance - 80), ("−40", balance - 40)], 1):
        expect(rows.nth(row)).to_contain_text(change)
        expect(rows.nth(row)).to_contain_text(f"{after:,}")
    assert screen.fits()
    assert screen.complaints == []


def test_api_key_is_created_shown_once_used_and_revoked(open_studio: Open, cloud: Cloud, person: Person) -> None:
    """The key works as the API says; afterwards nothing in the page holds it."""
    screen = open_studio(DESK, person, "account/keys")
    page = screen.page
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Name").fill("nightly renders")
    page.get_by_label("Permissions").select_option("read")
    page.get_by_role("button", name="Create key").click()
    shown = page.get_by_role("group", name="Copy your key now")
    key = shown.locator("code").inner_text()
    assert User(cloud, key).call("GET", "/v1/videos").status_code == 200
    assert User(cloud, key).call("POST", "/v1/videos", json={"prompt": "no"}).status_code == 403
    shown.get_by_role("button", name="Done").click()
    assert key not in page.content()
    page.get_by_role("button", name="Revoke: nightly renders").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("No API keys yet.")).to_be_visible()
    assert person.user.call("GET", "/v1/api-keys").json()["data"] == []


def test_key_needs_the_password_again_after_a_while(open_studio: Open, person: Person) -> None:
    """Closing the dialog creates nothing; a wrong password is an error; the right one continues the request."""
    screen = open_studio(DESK, person, "account/keys")
    page = screen.page
    made = page.get_by_role("group", name="Copy your key now")
    for answer in ("", "wrong horse", person.password):
        # As the service answers once the sign-in is five minutes old; after the dialog it is asked itself.
        page.route(KEYS, refusing_once())
        page.get_by_label("Name").fill("nightly renders")
        page.get_by_role("button", name="Create key").click()
        dialog = page.get_by_role("dialog", name="Enter your password again")
        expect(dialog).to_contain_text(person.email)
        dialog.locator("#again-password").fill(answer)
        if answer:
            dialog.get_by_role("button", name="Continue").click()
        if answer == "wrong horse":
            expect(dialog.get_by_text("Wrong email or password.")).to_be_visible()
        if answer != person.password:
            dialog.get_by_role("button", name="Close").click()
            expect(page.get_by_text("This needs a recent sign-in.")).to_be_visible()
            expect(made).to_be_hidden()
    expect(made).to_be_visible()
    assert [key["name"] for key in person.user.call("GET", "/v1/api-keys").json()["data"]] == ["nightly renders"]


def refusing_once() -> Callable[[Route, Request], None]:
    """A handler that refuses the next POST; the list of keys may be asked for meanwhile."""
    error = {"code": "REAUTHENTICATION_REQUIRED", "message": "This needs a recent sign-in.", "details": {}}
    answers = iter([{"error": error}])

    def handle(route: Route, request: Request) -> None:
        answer = next(answers, None) if request.method == "POST" else None
        if answer is None:
            route.fallback()
        else:
            route.fulfill(status=401, json=answer)

    return handle


def test_google_user_confirms_with_google_and_returns(open_studio: Open, cloud: Cloud, person: Person) -> None:
    """There is no password to ask for. Google's page leads back to the same place, where the key can be made."""
    screen = open_studio(DESK, person, "account/keys")
    page = screen.page
    with_google(page, person.email)
    page.route(KEYS, refusing_once())
    page.get_by_label("Name").fill("nightly renders")
    page.get_by_role("button", name="Create key").click()
    page.get_by_role("dialog", name="Sign in again").get_by_role("button", name="Continue with Google").click()
    on_googles_page(page, person.email)
    page.wait_for_url("**/#/account/keys")
    page.get_by_label("Name").fill("nightly renders")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_role("group", name="Copy your key now")).to_be_visible()


def with_google(page: Page, email: str) -> None:
    """Sign out, and in again with Google, at the same place."""
    # A session that is just being renewed is kept once more when the response is there.
    expect(page.locator("#balance")).to_have_text(re.compile(r"\d"))
    page.evaluate("localStorage.clear()")
    page.reload()
    page.get_by_role("button", name="Continue with Google").click()
    on_googles_page(page, email)
    page.evaluate("location.hash = '#/account/keys'")


def on_googles_page(page: Page, email: str) -> None:
    expect(page.get_by_role("heading", name="Stand-in for Google")).to_be_visible()
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.locator("#bar")).to_be_visible()


def test_webhook_is_added_tested_and_its_deliveries_shown(
    open_studio: Open, person: Person, window: tuple[int, int]
) -> None:
    """A test message arrives at the user's server; the page shows its delivery."""
    with Receiver.listening() as receiver:
        screen = open_studio(window, person, "account/webhooks")
        page = screen.page
        page.get_by_label("URL").fill("ftp://example.com")
        page.get_by_role("button", name="Add endpoint").click()
        expect(page.get_by_label("URL")).to_have_attribute("aria-invalid", "true")
        page.get_by_label("URL").fill(receiver.url("/rushes"))
        page.get_by_label("Canceled").uncheck()
        page.get_by_role("button", name="Add endpoint").click()
        expect(page.get_by_text("Copy the signing secret now")).to_be_visible()
        page.get_by_role("button", name="Send test").click()
        [message] = receiver.wait(lambda messages: len(messages) == 1)
        assert json.loads(message.body)["type"] == "ping"
        table = page.get_by_role("table", name="Messages")
        expect(table.get_by_role("row")).to_have_count(2)
        page.get_by_role("button", name="Refresh").click()
        expect(table).to_contain_text("Delivered")
        assert screen.fits()
    # Not uncheck(): the name changes with the state.
    page.get_by_role("switch", name="Enabled").click()
    expect(page.get_by_role("switch", name="Disabled")).not_to_be_checked()
    [endpoint] = person.user.call("GET", "/v1/webhook-endpoints").json()["data"]
    assert endpoint["disabled"]
    assert endpoint["events"] == ["video.completed", "video.failed"]
    page.get_by_role("listitem").get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No endpoints yet.")).to_be_visible()


def test_data_is_exported_and_the_account_deleted(open_studio: Open, person: Person) -> None:
    """The copy can be downloaded; deleting asks for the address, and leads to the door for good."""
    screen = open_studio(DESK, person, "account/data")
    page = screen.page
    page.get_by_role("button", name="Start export").click()
    expect(page.get_by_text("Ready. The files expire on")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile(r"\.json$")).first.click()
    assert json.loads(Path(download.value.path()).read_text())["data"]
    page.get_by_role("button", name="Delete my account…").click()
    dialog = page.get_by_role("dialog", name="Permanently delete your account?")
    expect(dialog.get_by_role("button", name="Delete my account")).to_be_disabled()
    dialog.get_by_label(f"Type {person.email} to confirm").fill(person.email)
    dialog.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_role("alert").filter(has_text="Your account has been deleted.")).to_be_visible()
    expect(page.get_by_label("Password")).to_be_visible()
    assert person.user.call("POST", "/v1/videos", json={"prompt": "no"}).status_code == 403
