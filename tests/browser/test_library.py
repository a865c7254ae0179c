"""The library: finding, looking, and deleting with a way back."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import expect

from tests.browser.actions import card, ready
from tests.browser.conftest import CROWD, DESK, SWING, Open, Person, Screen

pytestmark = pytest.mark.timeout(300)


def deleted(person: Person, prompt: str) -> bool:
    listed = person.user.call("GET", "/v1/videos").json()["data"]
    return all(video["prompt"] != prompt for video in listed)


def shown(screen: Screen) -> list[str]:
    return screen.page.locator("#grid .card:not(.card-skeleton) .card-prompt").all_inner_texts()


def test_videos_are_found_by_status_date_and_words(open_studio: Open, person: Person, window: tuple[int, int]) -> None:
    """The service filters by status, model or project and by date; words are searched in the loaded videos."""
    person.user.finish("A fox in the snow [content blocked]", seconds=4)
    person.user.finish("A crowd on a square [content blocked]", seconds=4)
    person.user.finish("A fox in the dunes [content blocked]", seconds=3, model="omni-flash")
    screen = open_studio(window, person, "videos")
    page = screen.page
    cards = page.locator("#grid .card:not(.card-skeleton)")
    expect(cards).to_have_count(3)
    page.get_by_role("searchbox", name="Search prompts").fill("fox")
    expect(cards).to_have_count(2)
    page.get_by_role("combobox", name="Show").select_option("model:omni-flash")
    expect(cards).to_have_count(1)
    assert shown(screen) == ["A fox in the dunes [content blocked]"]
    page.get_by_role("combobox", name="Show").select_option("status:completed")
    expect(page.get_by_text("No results for “fox” in the 3 loaded videos.")).to_be_visible()
    page.get_by_role("button", name="Show all videos").click()
    expect(cards).to_have_count(3)
    page.get_by_role("combobox", name="Created").select_option("days")
    page.get_by_label("To", exact=True).fill("2020-01-01")
    expect(page.get_by_text("No videos match these filters.")).to_be_visible()
    page.get_by_role("combobox", name="Created").select_option("today")
    expect(cards).to_have_count(3)
    assert screen.fits()
    assert screen.complaints == []


def test_failed_video_shows_reason_next_step_and_refund(
    open_studio: Open, owner: Person, window: tuple[int, int]
) -> None:
    """On the card, and in full when it is opened."""
    screen = open_studio(window, owner, "videos")
    made = card(screen, CROWD)
    expect(made.get_by_text("40 credits refunded")).to_be_visible()
    expect(made.get_by_text("safety filter blocked the video")).to_be_visible()
    made.get_by_role("link", name="Details").click()
    dialog = screen.page.get_by_role("dialog", name="Video", exact=True)
    [failed] = owner.user.call("GET", "/v1/videos?status=failed").json()["data"]
    expect(dialog.get_by_text(failed["error"]["reason"])).to_be_visible()
    expect(dialog.get_by_text("Change the prompt")).to_be_visible()
    assert screen.fits()
    dialog.get_by_role("button", name="Use prompt").click()
    expect(screen.page.get_by_label("Prompt", exact=True)).to_have_value(CROWD)
    assert screen.complaints == []


def test_scrolling_loads_more_videos(open_studio: Open, person: Person) -> None:
    """By cursor, and each of them once."""
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda n: person.user.finish(f"Take {n} [content blocked]", seconds=4), range(7)))
    screen = open_studio((1280, 500), person, "account")
    # The same cursor in smaller steps, so that seven videos are many.
    screen.page.route(
        re.compile(r"/v1/videos\?limit=24"),
        lambda route: route.continue_(url=route.request.url.replace("limit=24", "limit=3")),
    )
    screen.page.reload()
    screen.go("videos")
    cards = screen.page.locator("#grid .card:not(.card-skeleton)")
    for _ in range(3):
        cards.last.scroll_into_view_if_needed()
        screen.page.mouse.wheel(0, 2000)
        screen.page.wait_for_timeout(50)
    expect(cards).to_have_count(7)
    assert sorted(shown(screen)) == sorted(f"Take {n} [content blocked]" for n in range(7))
    expect(screen.page.get_by_role("button", name="Show more")).to_be_hidden()
    assert screen.complaints == []


def test_hovering_plays_the_video(open_studio: Open, owner: Person) -> None:
    """Muted, in the card; not with reduced motion."""
    screen = open_studio(DESK, owner, reduced_motion="no-preference")
    link = ready(card(screen, SWING))
    link.hover()
    assert screen.until("document.querySelector('.previewing .preview')?.currentTime > 0")
    assert screen.page.evaluate("document.querySelector('.preview').muted")
    screen.page.locator("#prompt").hover()
    expect(screen.page.locator(".preview")).to_have_count(0)
    screen.page.emulate_media(reduced_motion="reduce")
    screen.page.clock.install()
    link.hover()
    screen.page.clock.run_for(2000)
    expect(screen.page.locator(".preview")).to_have_count(0)
    assert screen.complaints == []


def test_deletion_can_be_undone_until_it_is_sent(open_studio: Open, person: Person) -> None:
    """The card goes at once, the service is asked only when there was time to think better of it."""
    for prompt in ("Keep me [content blocked]", "Take me [content blocked]"):
        person.user.finish(prompt, seconds=4)
    screen = open_studio(DESK, person)
    page = screen.page
    card(screen, "Keep me").get_by_role("button", name="Delete").click()
    expect(card(screen, "Keep me")).to_have_count(0)
    undo = page.get_by_role("button", name="Undo")
    # The keyboard is where one needs it now.
    expect(undo).to_be_focused()
    assert not deleted(person, "Keep me [content blocked]")
    undo.click()
    expect(card(screen, "Keep me")).to_be_visible()
    page.clock.install()
    card(screen, "Take me").get_by_role("button", name="Delete").click()
    page.locator("#prompt").click()
    page.mouse.move(0, 0)
    with page.expect_response(lambda answer: answer.request.method == "DELETE") as gone:
        page.clock.fast_forward(20_000)
    assert gone.value.status == 200
    assert deleted(person, "Take me [content blocked]")
    assert not deleted(person, "Keep me [content blocked]")
    assert screen.complaints == []


def test_several_videos_are_deleted_at_once(open_studio: Open, person: Person, window: tuple[int, int]) -> None:
    """Chosen one by one or all together; leaving the page means it."""
    for prompt in ("One", "Two", "Three"):
        person.user.finish(f"{prompt} [content blocked]", seconds=4)
    screen = open_studio(window, person, "videos")
    page = screen.page
    page.get_by_role("button", name="Select", exact=True).click()
    page.get_by_role("checkbox", name="Select: One").check()
    page.get_by_role("checkbox", name="Select: Two").check()
    expect(page.get_by_text("2 selected")).to_be_visible()
    assert screen.fits()
    page.get_by_role("group", name="Selected videos").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("2 videos deleted.")).to_be_visible()
    assert shown(screen) == ["Three [content blocked]"]
    page.goto("about:blank")
    for _ in range(200):
        if deleted(person, "One [content blocked]") and deleted(person, "Two [content blocked]"):
            break
        page.wait_for_timeout(50)
    else:
        pytest.fail("the videos are still there")
    assert not deleted(person, "Three [content blocked]")
