"""Videos in the making: as they happen, in every tab, through reloads, outages and sleep."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from testing.cloud import Cloud
from tests.browser.actions import balance_becomes, card, ended, generate, ready
from tests.browser.conftest import DESK, Open, Person
from tests.browser.cuttable_proxy import Way

pytestmark = pytest.mark.timeout(300)

# Long enough to look at, short enough to wait for.
SLOW = "[slow 8s]"
# Not over yet when its card appears.
A_MOMENT = "[slow 2s]"
ENDLESS = "[slow 300s]"


def test_several_jobs_are_followed_live(open_studio: Open, person: Person, window: tuple[int, int]) -> None:
    """Progress comes by the stream of events, over one connection and without asking for single videos."""
    screen = open_studio(window, person)
    page = screen.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition("/v1/")[2]))
    first = generate(screen, f"A heron lifts off {SLOW}")
    second = generate(screen, f"A kite climbs {SLOW}")
    for made in (first, second):
        expect(made.get_by_role("progressbar")).to_have_attribute("aria-valuetext", re.compile(r"^\d+ %, \w+"))
        expect(made.get_by_text(re.compile(r"\d:\d\d · (usually|longer)"))).to_be_visible()
    expect(page).to_have_title(re.compile(r"^\(2\) "))
    ready(first)
    ready(second)
    expect(page).to_have_title(re.compile(r"^[^(]"))
    assert not [path for path in asked if re.fullmatch(r"videos/video_[\w-]+", path)]
    assert screen.complaints == []


def test_canceling_shows_the_refund(open_studio: Open, person: Person, window: tuple[int, int]) -> None:
    """It asks first, says what was refunded, and the card and the balance show it."""
    screen = open_studio(window, person)
    page = screen.page
    balance = screen.number("#balance")
    made = generate(screen, f"A storm that nobody waits for {ENDLESS}")
    cost = screen.number("#quote-cost")
    balance_becomes(screen, balance - cost)
    made.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog", name="Cancel this video?")
    expect(dialog).to_contain_text(f"{cost} credits")
    dialog.get_by_role("button", name="Keep generating").click()
    expect(made.get_by_role("progressbar")).to_have_attribute("aria-valuetext", re.compile("Generating"))
    made.get_by_role("button", name="Cancel").click()
    expect(dialog).to_contain_text(f"You won’t get a refund of the {cost} credits.")
    dialog.get_by_role("button", name="Cancel video").click()
    ended(made)
    expect(made.get_by_text("No refund")).to_be_visible()
    assert screen.number("#balance") == balance - cost
    assert screen.complaints == []


def test_video_that_started_while_the_dialog_was_open_is_not_canceled_for_less(
    open_studio: Open, person: Person
) -> None:
    """The dialog offered a full refund; it asks again with the refund that is now due."""
    screen = open_studio(DESK, person)
    page = screen.page
    made = generate(screen, f"A ferry that is waited for {ENDLESS}")
    cost = screen.number("#quote-cost")
    expect(made.get_by_role("progressbar")).to_have_attribute("aria-valuetext", re.compile("Generating"))
    terms = re.compile(r"/cancel$")
    before = {"cost": cost, "cancel_returns": cost, "kept": 0, "reason": "not_begun"}
    page.route(terms, lambda route: route.fulfill(json=before))
    made.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog", name="Cancel this video?")
    expect(dialog).to_contain_text(f"Generation hasn’t started. You’ll get all {cost} credits back.")
    page.unroute(terms)
    dialog.get_by_role("button", name="Cancel video").click()
    expect(dialog).to_contain_text(f"You won’t get a refund of the {cost} credits.")
    dialog.get_by_role("button", name="Keep generating").click()
    expect(made.get_by_role("progressbar")).to_be_visible()
    assert person.user.call("GET", "/v1/videos").json()["data"][0]["status"] == "in_progress"


def test_job_continues_through_a_reload_and_in_another_tab(open_studio: Open, person: Person) -> None:
    """After a reload and in a second tab, the same card finishes."""
    screen = open_studio(DESK, person)
    other = screen.page.context.new_page()
    other.goto(screen.page.url)
    prompt = f"An old tram climbs the hill {SLOW}"
    generate(screen, prompt)
    elsewhere = other.locator("#grid").get_by_role("listitem").filter(has_text=prompt)
    expect(elsewhere.get_by_role("progressbar")).to_be_visible()
    screen.page.reload()
    expect(card(screen, prompt).get_by_role("progressbar")).to_be_visible()
    ready(card(screen, prompt))
    ready(elsewhere)
    # What is deleted in one goes in the other.
    video = person.user.call("GET", "/v1/videos").json()["data"][0]["id"]
    assert person.user.call("DELETE", f"/v1/videos/{video}").status_code == 200
    expect(card(screen, prompt)).to_have_count(0)
    expect(elsewhere).to_have_count(0)
    assert screen.complaints == []


def test_without_the_stream_the_page_polls(open_studio: Open, person: Person) -> None:
    """A proxy may block streams: the videos stay up to date all the same."""
    screen = open_studio(DESK, person)
    screen.page.context.route(re.compile(r"/v1/events$"), lambda route: route.abort())
    screen.page.reload()
    expect(screen.page.locator("#balance")).to_have_text(re.compile(r"\d"))
    ready(generate(screen, f"A kite without wind {A_MOMENT}"))


def test_page_recovers_from_a_service_outage(open_studio: Open, cloud: Cloud, person: Person) -> None:
    """The page says the service is down, retries on its own, and catches up on what it missed."""
    with Way.to(cloud.url) as way:
        screen = open_studio(DESK, person, url=way.url)
        generate(screen, f"A lighthouse in a storm {SLOW}")
        expect(card(screen, "A lighthouse").get_by_role("progressbar")).to_be_visible()
        way.close()
        notice = screen.page.get_by_text("Can’t reach Rushes.")
        expect(notice).to_be_visible()
        person.user.finish("Made while nobody looked", seconds=4)
        way.open()
        expect(notice).to_be_hidden()
        ready(card(screen, "A lighthouse"))
        ready(card(screen, "Made while nobody looked"))


def test_notifications_are_opt_in(open_studio: Open, person: Person) -> None:
    """Only once permitted and enabled, and only while the page is hidden."""
    screen = open_studio(DESK, person, permissions=["notifications"])
    page = screen.page
    page.evaluate(
        """() => {
          globalThis.told = [];
          globalThis.Notification = class extends EventTarget {
            static permission = 'granted';
            static requestPermission = async () => 'granted';
            constructor(title, { body }) { super(); told.push(`${title}: ${body}`); }
          };
        }"""
    )
    page.get_by_role("button", name="Notify me when a video is done").click()
    expect(page.get_by_role("button", name="Notifications on.")).to_have_attribute("aria-pressed", "true")
    generate(screen, f"A comet {SLOW}")
    page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true, configurable: true })")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert screen.until("told[0]") == f"Your video is ready: A comet {SLOW}"
