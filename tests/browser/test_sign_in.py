"""The door: coming in, being refused, and a session that ends."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from testing.cloud import Cloud
from tests.browser.actions import generate, prompt_box, ready, sign_up
from tests.browser.conftest import PHONE, Open, Person, session_of

pytestmark = pytest.mark.timeout(300)
# The page asks at most so often whether the address is verified.
CHECKED_AGAIN_MS = 3_100


def sign_in(page: Page, email: str, password: str) -> None:
    expect(page.get_by_label("Email")).to_be_visible()
    if page.get_by_role("button", name="Have an account?").is_visible():
        page.get_by_role("button", name="Have an account?").click()
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_new_user_verifies_the_email_and_makes_a_first_video(
    open_studio: Open, cloud: Cloud, window: tuple[int, int]
) -> None:
    """The link in the mail changes nothing until its button is pressed; then the page that waits notices by itself."""
    screen = open_studio(window)
    page = screen.page
    assert screen.fits()
    email = f"studio-{secrets.token_hex(5)}@example.com"
    sign_up(screen, email)
    asking = page.locator("#verify")
    expect(asking).to_contain_text(f"Open the link we emailed to {email}.")
    expect(page.locator("#balance")).to_have_text("0")
    assert screen.fits()
    asking.get_by_role("button", name="I’ve verified").click()
    expect(asking).to_contain_text("Not verified yet.")
    first = cloud.mailed(email)["oobCode"]
    asking.get_by_role("button", name="Send again").click()
    expect(asking).to_contain_text(f"Sent to {email}.")
    mail = cloud.mailed(email)
    assert mail["oobCode"] != first
    link = open_studio(window, url=mail["oobLink"])
    expect(link.page.get_by_text(f"Confirm that {email} is yours")).to_be_visible()
    assert link.fits()
    asking.get_by_role("button", name="I’ve verified").click()
    expect(asking).to_contain_text("Not verified yet.")
    link.page.get_by_role("button", name="Verify email").click()
    expect(link.page.get_by_text("Your email is verified.")).to_be_visible()
    assert "oobCode" not in link.page.url
    page.wait_for_timeout(CHECKED_AGAIN_MS)
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(asking).to_be_hidden()
    expect(page.locator("#balance")).to_have_text("500")
    screen.go("videos")
    expect(page.get_by_role("heading", name="No videos yet")).to_be_visible()
    expect(page.locator("#starters li")).to_have_count(3)
    assert screen.fits()
    page.get_by_role("button", name="Paper boat").click()
    expect(prompt_box(screen)).to_have_value(re.compile("^A small paper boat"))
    ready(generate(screen, prompt_box(screen).input_value()))
    expect(page.get_by_role("heading", name="No videos yet")).to_be_hidden()
    assert screen.fits()
    assert screen.complaints == []


def test_wrong_password_is_explained(open_studio: Open) -> None:
    """Errors of the identity service are shown as sentences, not codes."""
    page = open_studio(PHONE).page
    sign_in(page, f"nobody-{secrets.token_hex(5)}@example.com", "not the one")
    expect(page.get_by_role("alert").filter(has_text="Wrong email or password.")).to_be_visible()


def test_forgotten_password_is_reset_by_email(open_studio: Open, cloud: Cloud, person: Person) -> None:
    """The page demands a password within the policy; the link works once; unknown addresses get the same answer."""
    page = open_studio(PHONE).page
    page.get_by_role("button", name="Have an account?").click()
    for email in (f"nobody-{secrets.token_hex(5)}@example.com", person.email):
        page.get_by_label("Email").fill(email)
        page.get_by_role("button", name="Forgot your password?").click()
        expect(page.get_by_role("status").filter(has_text=f"If there’s an account for {email}")).to_be_visible()
    link = cloud.mailed(person.email, "PASSWORD_RESET")["oobLink"]
    page.goto(link)
    expect(page.get_by_text("At least 6 characters.")).to_be_visible()
    page.get_by_label("New password").fill("battery staple")
    page.get_by_role("button", name="Save password").click()
    expect(page.get_by_text("Your password is changed.")).to_be_visible()
    page.goto(link)
    expect(page.get_by_text("This link was already used")).to_be_visible()
    page.get_by_role("link", name="Continue to Rushes").click()
    sign_in(page, person.email, "battery staple")
    expect(page.locator("#bar")).to_be_visible()


def test_email_is_changed_by_link_and_back(open_studio: Open, cloud: Cloud, person: Person) -> None:
    page = open_studio(PHONE).page
    new = f"new-{secrets.token_hex(5)}@example.com"
    cloud.identity("sendOobCode", requestType="VERIFY_AND_CHANGE_EMAIL", idToken=person.user.token, newEmail=new)
    for kind, button, done in (
        ("VERIFY_AND_CHANGE_EMAIL", "Change email", "Your email is changed."),
        ("RECOVER_EMAIL", "Restore email", "Your email is restored."),
    ):
        page.goto(cloud.mailed(person.email, kind)["oobLink"])
        page.get_by_role("button", name=button).click()
        expect(page.get_by_text(done)).to_be_visible()
    page.goto(cloud.url)
    sign_in(page, person.email, person.password)
    expect(page.locator("#bar")).to_be_visible()


def test_google_sign_in_redirects_and_returns(open_studio: Open, cloud: Cloud) -> None:
    """No token stays in the address; a redirect that this tab didn't start does not sign in."""
    screen = open_studio(PHONE)
    page = screen.page
    email = f"google-{secrets.token_hex(5)}@example.com"
    page.get_by_role("button", name="Continue with Google").click()
    expect(page.get_by_role("heading", name="Stand-in for Google")).to_be_visible()
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.locator("#balance")).to_have_text("500")
    assert "id_token" not in page.url
    expect(page.locator("#verify")).to_be_hidden()
    page.evaluate("localStorage.clear()")
    page.goto(f"{cloud.url}/?x#state=forged&id_token=a.b.c")
    expect(page.get_by_role("alert").filter(has_text="Signing in with Google didn’t work.")).to_be_visible()
    assert page.evaluate("localStorage.getItem('rushes.session')") is None
    assert screen.complaints == []


REFUSALS = (
    (403, "Requests from referer <empty> are blocked."),
    (429, "QUOTA_EXCEEDED : Exceeded quota for exchanging refresh tokens."),
    (400, "TOO_MANY_ATTEMPTS_TRY_LATER"),
    (503, "UNAVAILABLE"),
)
TOKENS = "**/securetoken.googleapis.com/**"


def refusing(status: int, message: str) -> Callable[[Route], None]:
    body = json.dumps({"error": {"code": status, "message": message}})
    return lambda route: route.fulfill(status=status, body=body)


def test_token_service_outage_signs_nobody_out(open_studio: Open, person: Person) -> None:
    """A blocked API key or an exhausted quota says nothing about the session, which continues afterwards."""
    pages = [open_studio().page for _ in REFUSALS]
    for page, (status, message) in zip(pages, REFUSALS, strict=True):
        page.route(TOKENS, refusing(status, message))
        page.evaluate(f"localStorage.setItem('rushes.session', {json.dumps(session_of(person))})")
        page.reload()
    for page in pages:
        expect(page.locator("#bar")).to_be_visible()
    pages[-1].wait_for_timeout(CHECKED_AGAIN_MS)
    for page, refusal in zip(pages, REFUSALS, strict=True):
        expect(page.get_by_label("Password"), str(refusal)).to_be_hidden()
        assert page.evaluate("localStorage.getItem('rushes.session')") is not None, refusal
        page.unroute(TOKENS)
        page.reload()
        expect(page.locator("#balance"), str(refusal)).to_have_text("500")


def test_expired_session_leads_to_sign_in_and_keeps_the_draft(open_studio: Open, person: Person) -> None:
    """Who changed the password elsewhere signs in again, and finds what was written."""
    screen = open_studio(person=person)
    page = screen.page
    expect(page.locator("#balance")).to_have_text(re.compile(r"\d"))
    prompt_box(screen).fill("A draft that nobody may lose")
    person.change_password("another horse")
    # An hour later the token has to be renewed.
    page.clock.install()
    page.clock.fast_forward("01:10:00")
    prompt_box(screen).press_sequentially("!")
    page.clock.run_for(1000)
    expect(page.get_by_role("alert").filter(has_text="You’ve been signed out")).to_be_visible()
    assert page.evaluate("document.querySelector('dialog[open]')") is None
    sign_in(page, person.email, person.password)
    expect(prompt_box(screen)).to_have_value("A draft that nobody may lose!")
    expect(page.locator("#balance")).to_have_text(re.compile(r"\d"))


def test_signing_out_in_one_tab_signs_out_the_other(open_studio: Open, person: Person) -> None:
    """A tab that kept using another user's session would show their videos."""
    screen = open_studio(person=person)
    other = screen.page.context.new_page()
    other.goto(screen.page.url)
    expect(other.locator("#bar")).to_be_visible()
    screen.go("account")
    screen.page.get_by_role("button", name="Sign out").click()
    expect(screen.page.get_by_label("Password")).to_be_visible()
    expect(other.get_by_label("Password")).to_be_visible()
    assert screen.page.evaluate("localStorage.getItem('rushes.session')") is None
