"""What people do in the studio, and where they find things."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.browser.conftest import Screen

VIDEO = "document.querySelector('#player video')"


def sign_up(screen: Screen, email: str) -> None:
    """Pass the door as a new user, whose address isn't verified yet."""
    page = screen.page
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Create account", exact=True).click()
    expect(page.locator("#bar")).to_be_visible()


def prompt_box(screen: Screen) -> Locator:
    return screen.page.get_by_label("Prompt", exact=True)


def write(screen: Screen, prompt: str) -> None:
    if screen.is_narrow:
        screen.go("")
    prompt_box(screen).fill(prompt)


def generate(screen: Screen, prompt: str) -> Locator:
    """Write the prompt and send it; its card."""
    write(screen, prompt)
    screen.page.get_by_role("button", name="Generate").click()
    made = card(screen, prompt)
    expect(made).to_be_visible()
    return made


def card(screen: Screen, prompt: str) -> Locator:
    return screen.page.locator("#grid").get_by_role("listitem").filter(has_text=prompt)


def ready(made: Locator) -> Locator:
    """The card's link to the video, once it is there."""
    link = made.get_by_role("link", name="Play")
    expect(link).to_be_visible()
    return link


def ended(made: Locator) -> Locator:
    """The card's link, once the video has ended."""
    link = made.get_by_role("link", name=re.compile("Play|Details"))
    expect(link).to_be_visible()
    return link


def balance_becomes(screen: Screen, expected: int) -> None:
    expect(screen.page.locator("#balance")).to_have_text(f"{expected:,}")


def playing(screen: Screen) -> None:
    screen.until(f"{VIDEO}?.currentTime > 0.2")


def choose(screen: Screen, name: str) -> None:
    """One of the segments of a row; the radio button itself lies under its label."""
    screen.page.get_by_role("radio", name=name, exact=True).check(force=True)
