"""The studio page as somebody meets it, from the door to the video, in a real browser on a desk and on a phone."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import WAIT_S, Screen

Open = Callable[[int, int], Screen]
DESK = (1280, 800)
PHONE = (390, 844)
MEDIA = "document.querySelector('#player video')"

pytestmark = pytest.mark.timeout(300)


def sign_up(screen: Screen) -> int:
    """Pass the door as a new user; the credits that the account starts with."""
    page = screen.page
    page.get_by_label("E-mail").fill(f"studio-{uuid.uuid4()}@example.com")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Create account", exact=True).click()
    expect(page.get_by_role("heading", name="Nothing shot yet")).to_be_visible()
    return screen.number("#balance")


def write(screen: Screen, prompt: str) -> None:
    screen.page.get_by_label("Prompt", exact=True).fill(prompt)


def card(screen: Screen, prompt: str) -> Locator:
    return screen.page.get_by_role("listitem").filter(has_text=prompt)


def balance_becomes(screen: Screen, expected: int) -> None:
    expect(screen.page.locator("#balance")).to_have_text(f"{expected:,}", timeout=WAIT_S * 1000)


@pytest.mark.parametrize(
    ("window", "orientation", "width", "height"),
    [(DESK, "Landscape", 1280, 720), (PHONE, "Portrait", 720, 1280)],
    ids=["desk", "phone"],
)
def test_a_new_user_sees_the_cost_sends_a_prompt_and_plays_the_video(
    open_studio: Open, window: tuple[int, int], orientation: str, width: int, height: int
) -> None:
    """The price is known before sending, progress is shown, the video is as asked, the balance as was said."""
    screen = open_studio(*window)
    page = screen.page
    balance = sign_up(screen)
    assert screen.fits()

    prompt = "A paper boat drifts down a gutter at night, neon mirrored in the water."
    write(screen, prompt)
    page.get_by_role("radio", name=orientation).check(force=True)
    page.get_by_role("radio", name="4 s", exact=True).check(force=True)
    expect(page.locator("#prompt-count")).to_have_text("18 / 1,024 tokens")
    cost = screen.number("#quote-cost")
    assert cost > 0
    expect(page.locator("#quote-after")).to_have_text(f"{balance - cost:,}")

    page.get_by_role("button", name="Generate").click()
    made = card(screen, prompt)
    bar = made.get_by_role("progressbar")
    expect(bar).to_be_visible()
    expect(bar).to_have_attribute("aria-valuetext", re.compile(r"^\d+ %, \w+"))
    balance_becomes(screen, balance - cost)
    page.reload()
    play = card(screen, prompt).get_by_role("link", name="Play")
    expect(play).to_be_visible(timeout=WAIT_S * 1000)
    screen.until("document.querySelector('.card img.poster')?.naturalWidth > 0")
    assert screen.fits()

    play.click()
    screen.until(f"{MEDIA}?.currentTime > 0.5")
    size = page.evaluate(f"[{MEDIA}.videoWidth, {MEDIA}.videoHeight, Math.round({MEDIA}.duration)]")
    assert size == [width, height, 4]
    page.evaluate(f"{MEDIA}.currentTime = 3")
    screen.until(f"{MEDIA}.currentTime > 3 && !{MEDIA}.seeking")
    assert screen.fits()
    page.get_by_role("button", name="Close", exact=True).click()

    balance_becomes(screen, balance - cost)
    assert screen.complaints == []


def test_a_blocked_prompt_shows_why_and_gives_the_credits_back(open_studio: Open) -> None:
    """A failure says its reason and what to do; the refund is on the card, in the balance and in the ledger."""
    screen = open_studio(*DESK)
    page = screen.page
    balance = sign_up(screen)
    prompt = "A crowd on a square [blocked]"
    write(screen, prompt)
    cost = screen.number("#quote-cost")
    # The keys alone are enough to send.
    page.get_by_label("Prompt", exact=True).press("Control+Enter")

    failed = card(screen, prompt)
    expect(failed.get_by_text(f"{cost} credits returned")).to_be_visible(timeout=WAIT_S * 1000)
    expect(failed.get_by_text("safety filter blocked the video")).to_be_visible()
    expect(failed.get_by_text("Change the prompt")).to_be_visible()
    balance_becomes(screen, balance)

    for width, height in (DESK, PHONE):
        page.set_viewport_size({"width": width, "height": height})
        failed.get_by_role("link", name="Details").click()
        dialog = page.get_by_role("dialog", name="Video")
        expect(dialog.get_by_text("What to do")).to_be_visible()
        assert screen.fits()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()

        page.get_by_role("link", name="Account", exact=True).click()
        rows = page.locator("#ledger-rows tr")
        expect(rows).to_have_count(3)
        expect(rows.nth(0)).to_contain_text(f"+{cost}")
        expect(rows.nth(1)).to_contain_text(f"−{cost}")
        assert screen.fits()
        page.get_by_role("link", name="Studio", exact=True).click()
    assert screen.complaints == []


def test_what_a_model_cannot_do_is_barred_with_the_reason(open_studio: Open) -> None:
    """A choice that rules others out bars them and says why; a draft is still there after a reload."""
    screen = open_studio(*DESK)
    page = screen.page
    sign_up(screen)
    page.get_by_role("button", name="First light").click()
    page.get_by_role("radio", name="4 s", exact=True).check(force=True)
    page.get_by_role("radio", name="1080p").check(force=True)
    expect(page.get_by_role("radio", name="4 s", exact=True)).to_be_disabled()
    expect(page.get_by_role("radio", name="8 s", exact=True)).to_be_checked()
    expect(page.get_by_text("At 1080p the length is 8 s.")).to_be_visible()

    page.reload()
    expect(page.get_by_role("radio", name="1080p")).to_be_checked()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(re.compile("^Slow aerial shot"))
    assert screen.complaints == []


def test_a_request_whose_answer_is_lost_is_made_and_charged_once(open_studio: Open) -> None:
    """The page repeats a request of unknown outcome under the same Idempotency-Key, so nothing is doubled."""
    screen = open_studio(*DESK)
    page = screen.page
    balance = sign_up(screen)
    keys: list[str] = []

    def lose_the_first_answer(route) -> None:  # type: ignore[no-untyped-def]
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route(re.compile(r"/v1/videos$"), lose_the_first_answer)
    prompt = "Rain on a tin roof, close up"
    write(screen, prompt)
    cost = screen.number("#quote-cost")
    page.get_by_role("button", name="Generate").click()
    expect(card(screen, prompt)).to_have_count(1)
    balance_becomes(screen, balance - cost)
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_a_wrong_password_and_a_short_one_are_said_in_words(open_studio: Open) -> None:
    """What the identity service refuses is told as a sentence, not as its code."""
    page = open_studio(*PHONE).page
    page.get_by_role("button", name="Have an account?").click()
    page.get_by_label("E-mail").fill(f"nobody-{uuid.uuid4()}@example.com")
    page.get_by_label("Password").fill("not the one")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="The e-mail or the password is not right.")).to_be_visible()
