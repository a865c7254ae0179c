"""Watching: seeking, looping, the whole screen, taking it along."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from playwright.sync_api import expect

from testing.cloud import Cloud
from tests.browser.actions import VIDEO, card, playing, ready
from tests.browser.conftest import BOAT, DESK, SWING, Open, Person

pytestmark = pytest.mark.timeout(300)


def test_seeking_requests_a_range(open_studio: Open, owner: Person, window: tuple[int, int]) -> None:
    """The bytes come from the bucket, answered 206, without a token of ours in the address."""
    screen = open_studio(window, owner, "videos")
    page = screen.page
    answers: list[tuple[int, str | None]] = []
    page.on(
        "response",
        lambda answer: (
            answers.append((answer.status, answer.request.headers.get("range")))
            if "X-Goog-Signature" in answer.url and "mp4" in answer.url
            else None
        ),
    )
    ready(card(screen, BOAT)).click()
    playing(screen)
    page.evaluate(f"{VIDEO}.currentTime = 6.5")
    screen.until(f"{VIDEO}.currentTime > 6.5 && !{VIDEO}.seeking")
    assert answers
    assert all(status == 206 and (asked or "").startswith("bytes=") for status, asked in answers)
    assert screen.fits()
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.locator("#player video")).to_have_count(0)
    assert screen.complaints == []


def test_video_can_be_looped_shown_fullscreen_linked_and_downloaded(
    open_studio: Open, owner: Person, cloud: Cloud, tmp_path: Path
) -> None:
    """What one does with a video; the loop is remembered, the file plays elsewhere."""
    videos = owner.user.call("GET", "/v1/videos").json()["data"]
    id_ = next(video["id"] for video in videos if video["prompt"] == SWING)
    screen = open_studio(DESK, owner, permissions=["clipboard-read", "clipboard-write"])
    page = screen.page
    ready(card(screen, SWING)).click()
    playing(screen)
    page.get_by_role("button", name="Loop").click()
    assert page.evaluate(f"{VIDEO}.loop")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_text("Link copied.")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == f"{cloud.url}/#/videos/{id_}"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    path = tmp_path / download.value.suggested_filename
    assert path.name == "a-swing-in-the-garden-and-nobody-on.mp4"
    download.value.save_as(path)
    with av.open(str(path)) as container:
        assert container.duration == pytest.approx(4_000_000, abs=100_000)
    page.get_by_role("button", name="Full screen").click()
    screen.until("document.fullscreenElement?.tagName === 'VIDEO'")
    page.evaluate("document.exitFullscreen()")
    page.goto("about:blank")
    page.goto(link)
    playing(screen)
    assert page.evaluate(f"{VIDEO}.loop")
    assert screen.complaints == []


def test_expired_url_is_renewed_in_place(open_studio: Open, owner: Person) -> None:
    """Signed URLs live for minutes: the player requests another and continues where it was."""
    screen = open_studio(DESK, owner)
    ready(card(screen, BOAT)).click()
    playing(screen)
    screen.page.evaluate(f"{VIDEO}.currentTime = 5")
    screen.until(f"{VIDEO}.currentTime >= 5 && !{VIDEO}.seeking")
    before = screen.page.evaluate(f"{VIDEO}.src")
    screen.page.evaluate(f"{VIDEO}.dispatchEvent(new Event('error'))")
    screen.until(f"{VIDEO}.src !== '' && {VIDEO}.readyState > 1 && {VIDEO}.currentTime >= 5")
    assert screen.page.evaluate(f"{VIDEO}.src").partition("?")[0] == before.partition("?")[0]


def test_player_moves_between_videos(open_studio: Open, owner: Person, window: tuple[int, int]) -> None:
    """Older and newer, and a link to another user's video says so."""
    screen = open_studio(window, owner, "videos")
    page = screen.page
    expect(page.locator("#grid .card:not(.card-skeleton)")).to_have_count(3)
    prompts = page.locator("#grid .card-prompt").all_inner_texts()
    page.locator("#grid").get_by_role("link").first.click()
    expect(page.locator("#player-place")).to_have_text("1 of 3")
    expect(page.get_by_role("button", name="Newer video")).to_be_disabled()
    page.get_by_role("button", name="Older video").click()
    expect(page.locator("#player-place")).to_have_text("2 of 3")
    expect(page.locator("#player-prompt")).to_have_text(prompts[1])
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Video", exact=True)).to_be_hidden()
    screen.go("videos/video_0123456789012345678901")
    expect(page.get_by_text("Video not found.")).to_be_visible()
    # The browser's console logs each error response.
    assert all("404" in complaint for complaint in screen.complaints)
