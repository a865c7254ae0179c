"""The door: coming in, being refused, and a session that ends."""

from __future__ import annotations

import re
import secrets

import pytest
from playwright.sync_api import expect

from tests.browser.acts import generate, prompt_box, ready, sign_up
from tests.browser.conftest import PHONE, Open, Person

pytestmark = pytest.mark.timeout(300)


def test_a_new_user_is_told_how_to_begin_and_makes_a_first_video(open_studio: Open, window: tuple[int, int]) -> None:
    """An empty library explains itself, and one of its three prompts makes a video."""
    screen = open_studio(window)
    page = screen.page
    assert screen.fits()
    sign_up(screen, f"studio-{secrets.token_hex(5)}@example.com")
    screen.go("videos")
    expect(page.get_by_role("heading", name="Nothing shot yet")).to_be_visible()
    expect(page.locator("#starters li")).to_have_count(3)
    assert screen.fits()
    page.get_by_role("button", name="Paper boat").click()
    expect(prompt_box(screen)).to_have_value(re.compile("^A small paper boat"))
    ready(generate(screen, prompt_box(screen).input_value()))
    expect(page.get_by_role("heading", name="Nothing shot yet")).to_be_hidden()
    assert screen.fits()
    assert screen.complaints == []


def test_a_wrong_password_is_said_in_words(open_studio: Open) -> None:
    """What the identity service refuses is told as a sentence, not as its code."""
    page = open_studio(PHONE).page
    page.get_by_role("button", name="Have an account?").click()
    page.get_by_label("E-mail").fill(f"nobody-{secrets.token_hex(5)}@example.com")
    page.get_by_label("Password").fill("not the one")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="The e-mail or the password is not right.")).to_be_visible()


def test_a_session_that_ends_leads_to_the_door_and_keeps_the_draft(open_studio: Open, person: Person) -> None:
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
    expect(page.get_by_role("alert").filter(has_text="Your session has ended")).to_be_visible()
    assert page.evaluate("document.querySelector('dialog[open]')") is None
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(prompt_box(screen)).to_have_value("A draft that nobody may lose!")
    expect(page.locator("#balance")).to_have_text(re.compile(r"\d"))


def test_signing_out_in_one_tab_signs_out_the_other(open_studio: Open, person: Person) -> None:
    """A tab that goes on with somebody else's session would show his videos."""
    screen = open_studio(person=person)
    other = screen.page.context.new_page()
    other.goto(screen.page.url)
    expect(other.locator("#bar")).to_be_visible()
    screen.go("account")
    screen.page.get_by_role("button", name="Sign out").click()
    expect(screen.page.get_by_label("Password")).to_be_visible()
    expect(other.get_by_label("Password")).to_be_visible()
    assert screen.page.evaluate("localStorage.getItem('rushes.session')") is None
